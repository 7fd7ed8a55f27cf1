"""Authentication by API key: identity, scope, rate limits."""

import asyncio
import math
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, cast

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from catalyst.core.actor import Actor
from catalyst.core.models import ApiKey, Project, digest_of
from catalyst.core.sent_keys import SEND, SentKey, sent_key
from catalyst.core.token_buckets import Limit, MemoryBuckets
from catalyst.server.threads import in_thread

CACHE_LIFETIME = timedelta(seconds=2)
# A quiet key may send this many seconds' worth of its rate at once.
BURST_SECONDS = 10


class ApiKeyRefused(Exception):
    """The API key does not allow this request. The message is for the sender; each interface has its own format.

    `status` is 401, 403 or 429. `retry_after` is in seconds.
    """

    def __init__(self, status: int, message: str, retry_after: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class ApiRequest(HttpRequest):
    """A request that `api_scope` has accepted."""

    api_key: ApiKey
    project: Project
    actor: Actor


class KeyCache:
    """API keys found recently, so that busy senders cost no query a request.

    Unknown and revoked keys are not stored, so they cannot fill it. Expiry is checked at each use.
    """

    def __init__(self) -> None:
        self._keys: dict[str, tuple[datetime, ApiKey]] = {}
        self._lookups: dict[tuple[asyncio.AbstractEventLoop, str], asyncio.Task[ApiKey | None]] = {}

    def find(self, text: str, now: datetime) -> ApiKey | None:
        """Return None for an unknown or revoked key. Raises django.db.Error.

        A key that another process revokes still works for CACHE_LIFETIME.
        """
        digest = digest_of(text)
        return self._cached(digest, now) or self._look_up(self._keys, text, digest, now)

    async def afind(self, text: str, now: datetime) -> ApiKey | None:
        """`find` on an event loop. Simultaneous calls share one lookup."""
        digest = digest_of(text)
        if cached := self._cached(digest, now):
            return cached
        lookup_key = asyncio.get_running_loop(), digest
        lookup = self._lookups.get(lookup_key)
        if lookup is None:
            lookup = self._lookups[lookup_key] = asyncio.create_task(self._alook_up(text, digest, now))
        return await asyncio.shield(lookup)

    def clear(self) -> None:
        # A lookup that is under way ends in the old dictionaries, for those who asked before.
        self._keys, self._lookups = {}, {}

    def _cached(self, digest: str, now: datetime) -> ApiKey | None:
        cached_at, key = self._keys.get(digest, (None, None))
        return key if cached_at is not None and abs(now - cached_at) <= CACHE_LIFETIME else None

    async def _alook_up(self, text: str, digest: str, now: datetime) -> ApiKey | None:
        keys, lookups = self._keys, self._lookups
        try:
            return await in_thread(self._look_up, keys, text, digest, now)
        finally:
            lookups.pop((asyncio.get_running_loop(), digest), None)

    @staticmethod
    def _look_up(keys: dict[str, tuple[datetime, ApiKey]], text: str, digest: str, now: datetime) -> ApiKey | None:
        key = ApiKey.objects.use(text, now)
        if key is None:
            keys.pop(digest, None)
        else:
            keys[digest] = now, key
        return key


key_cache = KeyCache()
_buckets = MemoryBuckets()


def authenticate(request: HttpRequest, now: datetime) -> ApiKey:
    """Return the key of a request. Raises ApiKeyRefused with 401, and django.db.Error."""
    sent = _sent(request)
    return _checked(key_cache.find(sent.text, now), sent, now)


async def aauthenticate(request: HttpRequest, now: datetime) -> ApiKey:
    """`authenticate` on an event loop."""
    sent = _sent(request)
    return _checked(await key_cache.afind(sent.text, now), sent, now)


def _sent(request: HttpRequest) -> SentKey:
    sent = sent_key(request.META)
    if not sent.text:
        raise ApiKeyRefused(401, f"No API key: the request {sent.problem}. {SEND}")
    return sent


def _checked(key: ApiKey | None, sent: SentKey, now: datetime) -> ApiKey:
    if key is None:
        raise ApiKeyRefused(
            401, f"The API key in {sent.place} is unknown or revoked. Make one under Settings, API keys. {SEND}"
        )
    if key.has_expired(now):
        expiry = f"{key.expires_at:%Y-%m-%d %H:%M} UTC"
        raise ApiKeyRefused(401, f"The API key expired on {expiry}. Make another under Settings, API keys.")
    return key


def admit(key: ApiKey, scope: str, now: datetime) -> None:
    """Count a request. Raises ApiKeyRefused with 403 or 429."""
    if scope not in key.scopes:
        raise ApiKeyRefused(403, f"The API key does not have the scope {scope}. Use one that has it.")
    for limit in _limits(key):
        wait = _buckets.seconds_to_wait(limit, key.pk, now)
        if wait is not None:
            raise ApiKeyRefused(
                429,
                f"This API key may send {limit.name} at {limit.tokens_per_second:,} per second on average."
                " Send again later.",
                max(1, math.ceil(wait)),
            )
    _charge(key, "requests", 1, now)


def charge_spans(key: ApiKey, spans: int, now: datetime) -> None:
    """Count the spans of an admitted request."""
    _charge(key, "spans", spans, now)


def _charge(key: ApiKey, limit_name: str, tokens: int, now: datetime) -> None:
    for limit in _limits(key):
        if limit.name == limit_name:
            _buckets.take(limit, key.pk, now, tokens)


def _limits(key: ApiKey) -> Iterator[Limit]:
    requests = key.requests_per_second or settings.KEY_REQUESTS_PER_SECOND
    spans = key.spans_per_second or settings.KEY_SPANS_PER_SECOND
    for name, rate in (("requests", requests), ("spans", spans)):
        if rate:
            yield Limit(name, rate * BURST_SECONDS, rate)


def api_scope(scope: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Require an API key with this scope. The view may be async and gets an `ApiRequest`.

    Other requests get 401, 403 or 429 as JSON: `{"error": {"code": "forbidden", "message": "…"}}` (docs/reference/api-
    keys.md). Keys are no cookies, so there is no CSRF check.
    """
    needed = ApiKey.Scope(scope)

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        async def checked_async(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            now = timezone.now()
            try:
                _admit_request(request, await aauthenticate(request, now), needed, now)
            except ApiKeyRefused as refused:
                return _refusal(refused)
            return await view(request, *args, **kwargs)

        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            now = timezone.now()
            try:
                _admit_request(request, authenticate(request, now), needed, now)
            except ApiKeyRefused as refused:
                return _refusal(refused)
            return view(request, *args, **kwargs)

        return csrf_exempt(login_not_required(checked_async if iscoroutinefunction(view) else checked))

    return decorate


def _admit_request(request: HttpRequest, key: ApiKey, scope: str, now: datetime) -> None:
    admit(key, scope, now)
    allowed = cast(ApiRequest, request)
    allowed.api_key, allowed.project, allowed.actor = key, key.project, Actor(api_key=key)


def _refusal(refused: ApiKeyRefused) -> HttpResponse:
    codes = {401: "unauthorized", 403: "forbidden", 429: "rate_limited"}
    error = {"code": codes[refused.status], "message": str(refused)}
    return JsonResponse({"error": error}, status=refused.status, headers=refusal_headers(refused))


def refusal_headers(refused: ApiKeyRefused) -> dict[str, str]:
    headers = {}
    if refused.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if refused.retry_after:
        headers["Retry-After"] = str(refused.retry_after)
    return headers
