"""The relay between an engine and its model."""
