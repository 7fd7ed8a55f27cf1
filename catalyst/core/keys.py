"""API keys looked up a moment ago, so that a busy sender costs a query every few seconds rather than one a request."""

from datetime import datetime, timedelta

from catalyst.core.models import ApiKey, digest_of

KEPT = timedelta(seconds=2)


class RecentKeys:
    """The keys that this process found lately."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[datetime, ApiKey]] = {}

    def find(self, text: str, now: datetime) -> ApiKey | None:
        """The live key with this text; None when unknown or revoked; what another process revokes goes on for KEPT."""
        digest = digest_of(text)
        looked, key = self._found.get(digest, (now - 2 * KEPT, None))
        if abs(now - looked) > KEPT:
            key = ApiKey.objects.find(text)
            if key is None:
                self._found.pop(digest, None)
            else:
                self._found[digest] = now, key
        return key

    def forget(self) -> None:
        """Look every key up again."""
        self._found.clear()


recent = RecentKeys()
