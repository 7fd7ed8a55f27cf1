"""Connections to the database: DATABASE_URL, or the embedded server in the data folder."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.db import close_old_connections, connection, transaction
from psycopg import Cursor

from catalyst.env import Env

NAME = "catalyst"
SOCKET = ".s.PGSQL.5432"
MAX_CONNECTION_AGE_SECONDS = 60
POOL_WAIT_SECONDS = 10
# Detects a server that vanished. The defaults of libpq are hours. Unix sockets ignore these.
TIMEOUTS = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
MAX_SOCKET_PATH_BYTES = 103  # bytes; macOS allows one less than 104, Linux a few more


def socket_folder(data: Path) -> Path:
    # Unix sockets need a short path, so a long one is replaced by a folder in /tmp named after its hash.
    folder = data.absolute() / "postgres" / "socket"
    if len(os.fsencode(folder / SOCKET)) <= MAX_SOCKET_PATH_BYTES:
        return folder
    digest = hashlib.sha256(os.fsencode(data.resolve())).hexdigest()[:16]
    return Path(f"/tmp/catalyst-{os.getuid()}-{digest}")


def embedded_url(data: Path, name: str = NAME) -> str:
    return f"postgresql://postgres@/{name}?host={quote(str(socket_folder(data)), safe='')}"


def django_database(env: Env) -> dict[str, Any]:
    """Return the entry for Django's DATABASES. Raises ImproperlyConfigured unless DATABASE_URL is a PostgreSQL URL."""
    parts = urlsplit(env.database_url or embedded_url(env.data))
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured(
            f"DATABASE_URL has the scheme {parts.scheme!r}; Catalyst needs postgresql://USER:PASSWORD@HOST:PORT/NAME."
        )
    try:
        port = str(parts.port or "")
    except ValueError as error:
        raise ImproperlyConfigured(f"DATABASE_URL: {error}.") from error
    options: dict[str, Any] = TIMEOUTS | dict(parse_qsl(parts.query))
    options["prepare_threshold"] = 0 if env.database_prepare else None
    host = options.pop("host", None) or unquote(parts.hostname or "")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")) or NAME,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": port,
        "CONN_MAX_AGE": MAX_CONNECTION_AGE_SECONDS,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }


def use_pool(database: dict[str, Any], size: int) -> None:
    """Share up to `size` connections among the threads of this process."""
    database["CONN_MAX_AGE"] = 0
    database["OPTIONS"]["pool"] = {"min_size": 1, "max_size": size, "timeout": POOL_WAIT_SECONDS}


def release() -> None:
    """Return this thread's connection to the pool before a long wait, unless a transaction is open."""
    if not connection.in_atomic_block:
        close_old_connections()


@contextmanager
def time_limit(milliseconds: int) -> Iterator[None]:
    """A transaction. Raises OperationalError if one of its statements takes longer."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{milliseconds}ms"])
        yield


def execute(statement: str, parameters: Sequence[Any]) -> None:
    """Run a statement, prepared once per connection if `database_prepare` is on. Raises django.db.Error.

    PostgreSQL may keep the plan from when a table was small, so joins of large tables don't belong here.
    """
    _run(statement, parameters)


def fetch(statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Run a statement as `execute` does and return its rows."""
    return _run(statement, parameters).fetchall()


def _run(statement: str, parameters: Sequence[Any]) -> Cursor[tuple[Any, ...]]:
    connection.ensure_connection()
    with connection.wrap_database_errors:
        return Cursor(connection.connection).execute(statement, parameters)
