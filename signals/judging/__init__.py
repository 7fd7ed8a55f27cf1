"""From queued labels to verdicts. The only place where a label gets its value."""
