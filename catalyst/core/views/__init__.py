"""Pages for signing in, one's own account and a project's settings."""
