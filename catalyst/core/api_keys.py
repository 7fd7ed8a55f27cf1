"""API keys looked up a moment ago, so that a busy sender costs a query every few seconds rather than one a request."""

import asyncio
from datetime import datetime, timedelta

from catalyst.core.models import ApiKey, digest_of
from catalyst.server.threads import in_thread

KEPT = timedelta(seconds=2)


class KeyCache:
    """The keys that this process found lately. For one event loop."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[datetime, ApiKey]] = {}
        self._looking: dict[str, asyncio.Task[ApiKey | None]] = {}

    async def find(self, text: str, now: datetime) -> ApiKey | None:
        """The live key with this text; None when unknown or revoked; what another process revokes goes on for KEPT.

        All who ask while a key is looked up wait for that. Raises django.db.Error.
        """
        digest = digest_of(text)
        found = self._found.get(digest)
        if found is not None and abs(now - found[0]) <= KEPT:
            return found[1]
        looking = self._looking.get(digest)
        if looking is None:
            looking = self._looking[digest] = asyncio.create_task(self._look_up(text, digest, now))
        return await asyncio.shield(looking)

    async def _look_up(self, text: str, digest: str, now: datetime) -> ApiKey | None:
        found, looking = self._found, self._looking
        try:
            key = await in_thread(ApiKey.objects.use, text, now)
        finally:
            looking.pop(digest, None)
        if key is None:
            found.pop(digest, None)
        else:
            found[digest] = now, key
        return key

    def clear(self) -> None:
        """Look every key up again; what is being looked up now is for those who asked before."""
        self._found, self._looking = {}, {}


key_cache = KeyCache()
