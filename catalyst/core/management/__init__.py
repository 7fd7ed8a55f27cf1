"""Commands of core, and those generated from operations."""
