"""Commands of people, projects and keys, and the commands that are generated from operations."""
