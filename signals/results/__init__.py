"""Reading: summaries, rates, charts, coverage, comparison, why a label is missing."""
