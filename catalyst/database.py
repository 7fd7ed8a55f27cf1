"""Where the database is: the server of DATABASE_URL, else the embedded one's socket in the data folder."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from catalyst.env import Env


def socket_folder(data: Path) -> Path:
    """Folder of the embedded server's unix socket."""
    return data / "postgres" / "socket"


def embedded_url(data: Path) -> str:
    """Connection URL of the embedded server."""
    return f"postgresql://postgres@/catalyst?host={socket_folder(data)}"


def django_database(env: Env) -> dict[str, Any]:
    """Django's DATABASES entry for this process.

    Raises ImproperlyConfigured when DATABASE_URL is not a PostgreSQL URL.
    """
    parts = urlsplit(env.database_url or embedded_url(env.data))
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured(
            f"DATABASE_URL has the scheme {parts.scheme!r}; Catalyst needs postgresql://USER:PASSWORD@HOST:PORT/NAME."
        )
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    host = options.pop("host", None) or unquote(parts.hostname or "")
    if env.database_pool:
        options["pool"] = {"min_size": 1, "max_size": env.database_pool, "timeout": 10}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")) or "catalyst",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 0,
        "OPTIONS": options,
    }
