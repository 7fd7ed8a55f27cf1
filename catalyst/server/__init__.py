"""The ASGI side of the web process: request handler, threads, limit of body size."""
