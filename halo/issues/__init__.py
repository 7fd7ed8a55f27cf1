"""Issues: recognized in each new report, and changed by people."""
