"""The web server."""

import socket

import uvicorn

from catalyst import pricing
from catalyst.env import env

KEEP_ALIVE_SECONDS = 75
GRACE_SECONDS = 5


def serve(listener: socket.socket | None = None) -> None:
    """Serve until SIGTERM, on an open listening socket or else on the address of the settings."""
    pricing.find_tariff("openai", "gpt-4o")  # reads the price list now, so that no request waits for it
    config = uvicorn.Config(
        "catalyst.asgi:application",
        host=env.host,
        port=env.port,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    uvicorn.Server(config).run(sockets=[listener] if listener else None)
