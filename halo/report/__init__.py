"""What a model writes, on its way into a report: what it is asked for, how it is read, checked and shown."""
