"""`manage.py web`."""

import socket
from typing import Any

import uvicorn
from django.core.management.base import BaseCommand, CommandParser

from catalyst.env import env

KEEP_ALIVE_SECONDS = 75
GRACE_SECONDS = 5


class Command(BaseCommand):
    """Serve pages and take traces, in one process."""

    help = "Run the web server on CATALYST_HOST and CATALYST_PORT."

    def add_arguments(self, parser: CommandParser) -> None:
        """Arguments."""
        parser.add_argument("--fd", type=int, help="Serve on this open, listening socket instead.")

    def handle(self, *args: Any, **options: Any) -> None:
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
        listener = options["fd"]
        uvicorn.Server(config).run(sockets=None if listener is None else [socket.socket(fileno=listener)])
