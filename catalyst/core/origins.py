"""Origins of web pages, such as https://app.example.com, whose browsers may send with a key."""

import asyncio
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv6Address

from django.core.exceptions import ValidationError

from catalyst.core.models import MAX_ORIGIN_CHARACTERS, MAX_ORIGINS, ApiKey
from catalyst.server.threads import in_thread

CACHE_LIFETIME = timedelta(seconds=5)
DEFAULT_PORTS = {"http": 80, "https": 443}
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([^\s/:@?#*\[\]\\]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?/?")
_HOST = re.compile(r"[a-z0-9._-]+")


def checked_origins(texts: Iterable[str], scopes: Sequence[str]) -> list[str]:
    """Return the origins as browsers write them, each once. Raises ValidationError for `origins`.

    Everybody can read the key of a web page, so that only keys for ingest alone may have origins.
    """
    origins = list(dict.fromkeys(_normalized(text) for text in texts))
    if len(origins) > MAX_ORIGINS:
        raise _invalid(f"A key may have {MAX_ORIGINS} origins.")
    if origins and set(scopes) != {ApiKey.Scope.INGEST}:
        raise _invalid(
            "Only a key for ingest alone may have origins, because everybody can read the key of a web page."
        )
    return origins


def _normalized(text: str) -> str:
    found = _ORIGIN.fullmatch(text.strip().lower())
    host = _ascii_host(found[2]) if found else ""
    port = int(found[3]) if found and found[3] else None
    if not found or not host or (port or 0) > 65_535:
        raise _invalid(f"{text[:80]} is not an origin. Write scheme://host or scheme://host:port, without a path or *.")
    origin = f"{found[1]}://{host}"
    if port is not None and port != DEFAULT_PORTS.get(found[1]):
        origin += f":{port}"
    if len(origin) > MAX_ORIGIN_CHARACTERS:
        raise _invalid(f"An origin may have {MAX_ORIGIN_CHARACTERS} characters.")
    return origin


def _ascii_host(host: str) -> str:
    """Return the host as browsers write it, empty if it is none."""
    try:
        if host.startswith("["):
            return f"[{IPv6Address(host[1:-1]).compressed}]"
        host = host if host.isascii() else host.encode("idna").decode()
    except ValueError:
        return ""
    return host if _HOST.fullmatch(host) else ""


def _invalid(text: str) -> ValidationError:
    return ValidationError({"origins": text})


@dataclass(slots=True)
class _Known:
    origins: frozenset[str] = frozenset()
    read_at: datetime | None = None
    reads: dict[asyncio.AbstractEventLoop, asyncio.Task[None]] = field(default_factory=dict)


class OriginCache:
    """The origins of all keys that work, in all projects: a preflight does not say whose key the request will have.

    They are read at most once per CACHE_LIFETIME, so that preflights of strangers cost no queries.
    """

    def __init__(self) -> None:
        self._known = _Known()

    async def allows(self, origin: str, now: datetime) -> bool:
        """Raises django.db.Error."""
        known = self._known
        if known.read_at is None or abs(now - known.read_at) > CACHE_LIFETIME:
            await self._read_once(known, now)
        return origin in known.origins

    def clear(self) -> None:
        # A read that is under way ends in the old object, for those who asked before.
        self._known = _Known()

    async def _read_once(self, known: _Known, now: datetime) -> None:
        loop = asyncio.get_running_loop()
        read = known.reads.get(loop)
        if read is None:
            read = known.reads[loop] = asyncio.create_task(self._read(known, now))
        await asyncio.shield(read)

    @staticmethod
    async def _read(known: _Known, now: datetime) -> None:
        try:
            known.origins = await in_thread(ApiKey.objects.origins, now)
            known.read_at = now
        finally:
            known.reads.pop(asyncio.get_running_loop(), None)


origin_cache = OriginCache()
