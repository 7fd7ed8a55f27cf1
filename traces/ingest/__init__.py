"""From decoded requests to stored rows."""
