"""The ASGI side of the web process."""
