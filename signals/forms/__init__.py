"""Forms of the signal pages."""
