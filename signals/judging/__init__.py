"""From queued labels to verdicts. Only this room sets a label's value."""
