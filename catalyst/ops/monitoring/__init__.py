"""Doctor, metrics and the operator page."""
