"""Pages of signals, versions, runs and labels."""
