"""The web server."""

import asyncio
import gc
import signal
import socket
import sys
from ipaddress import ip_network

import uvicorn

from catalyst import pricing
from catalyst.core.key_use import usage_counter
from catalyst.env import env
from catalyst.ops.heartbeat import HeartbeatThread
from catalyst.ops.processes import memory
from catalyst.server.connections import ConnectionTable, most_connections, raise_file_limit
from catalyst.server.protocol import bounded_protocol

KEEP_ALIVE_SECONDS = 75
GRACE_SECONDS = 5
# Connections of one client whose request has not arrived.
MOST_RECEIVING = 256
# Collect garbage after this many new objects. Reading 512 spans creates 6,000, none of them garbage.
GC_THRESHOLD_OBJECTS = 50_000
# A thread that computes gives way after this time, so that short requests hardly wait for large ones.
SWITCH_SECONDS = 0.0005


def serve(listener: socket.socket | None = None) -> None:
    """Serve until SIGTERM, on `listener` or the address in the settings."""
    pricing.load()  # so that no request waits for it
    gc.set_threshold(GC_THRESHOLD_OBJECTS)
    sys.setswitchinterval(SWITCH_SECONDS)
    table = ConnectionTable(most_connections(raise_file_limit()), MOST_RECEIVING)

    async def check_connections() -> None:
        table.check(asyncio.get_running_loop().time())

    config = uvicorn.Config(
        "catalyst.asgi:application",
        host=env.host,
        port=env.port,
        http=bounded_protocol(table, [ip_network(each) for each in env.trusted_proxies]),
        ws="none",
        lifespan="off",
        forwarded_allow_ips=env.trusted_proxies,
        callback_notify=check_connections,
        timeout_notify=1,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    config.load()  # sets up the pool before the first beat, whose connection comes from it
    signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn raises it again when it has stopped in good order
    heart = HeartbeatThread("web", chore=_tidy)
    heart.start()
    try:
        uvicorn.Server(config).run(sockets=[listener] if listener else None)
    finally:
        heart.stop()


def _tidy() -> None:
    memory.trim()
    usage_counter.flush()
