"""Forms of alerts and channels."""
