"""Pages of alerts and channels."""
