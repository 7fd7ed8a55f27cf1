"""Where the database is: the server of DATABASE_URL, else the embedded one's socket in the data folder."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.db import close_old_connections, connection
from psycopg import Cursor

from catalyst.env import Env

NAME = "catalyst"
SOCKET = ".s.PGSQL.5432"
KEPT_SECONDS = 60
POOL_WAIT_SECONDS = 10
GIVEN_UP = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""When a server that vanished without a word counts as gone: libpq's own defaults are hours. Unix sockets need none."""
MAX_SOCKET_PATH_BYTES = 103  # bytes; macOS allows one less than 104, Linux a few more


def socket_folder(data: Path) -> Path:
    """Folder of the embedded server's unix socket.

    It lies in the data folder, unless that path is too long for a unix socket: then in /tmp, named by the path's hash.
    """
    folder = data.absolute() / "postgres" / "socket"
    if len(os.fsencode(folder / SOCKET)) <= MAX_SOCKET_PATH_BYTES:
        return folder
    digest = hashlib.sha256(os.fsencode(data.resolve())).hexdigest()[:16]
    return Path(f"/tmp/catalyst-{os.getuid()}-{digest}")


def embedded_url(data: Path, name: str = NAME) -> str:
    """Connection URL of a database of the embedded server."""
    return f"postgresql://postgres@/{name}?host={quote(str(socket_folder(data)), safe='')}"


def django_database(env: Env) -> dict[str, Any]:
    """Django's DATABASES entry for this process.

    Raises ImproperlyConfigured when DATABASE_URL is not a PostgreSQL URL.
    """
    parts = urlsplit(env.database_url or embedded_url(env.data))
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured(
            f"DATABASE_URL has the scheme {parts.scheme!r}; Catalyst needs postgresql://USER:PASSWORD@HOST:PORT/NAME."
        )
    try:
        port = str(parts.port or "")
    except ValueError as error:
        raise ImproperlyConfigured(f"DATABASE_URL: {error}.") from error
    options: dict[str, Any] = GIVEN_UP | dict(parse_qsl(parts.query))
    options["prepare_threshold"] = 0 if env.database_prepare else None
    host = options.pop("host", None) or unquote(parts.hostname or "")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")) or NAME,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": port,
        "CONN_MAX_AGE": KEPT_SECONDS,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }


def use_pool(database: dict[str, Any], size: int) -> None:
    """Let the threads of this process share at most `size` connections, rather than keep one each."""
    database["CONN_MAX_AGE"] = 0
    database["OPTIONS"]["pool"] = {"min_size": 1, "max_size": size, "timeout": POOL_WAIT_SECONDS}


def release() -> None:
    """Give this thread's connection back to the pool before a long wait. One in a transaction is kept."""
    if not connection.in_atomic_block:
        close_old_connections()


def execute(statement: str, parameters: Sequence[Any]) -> None:
    """Run a statement that the server plans once per connection, unlike Django's. Raises django.db.Error."""
    _run(statement, parameters)


def fetch(statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows of a statement that the server plans once per connection, unlike Django's. Raises django.db.Error."""
    return _run(statement, parameters).fetchall()


def _run(statement: str, parameters: Sequence[Any]) -> Cursor[tuple[Any, ...]]:
    connection.ensure_connection()
    with connection.wrap_database_errors:
        return Cursor(connection.connection).execute(statement, parameters)
