"""API keys as requests bring them: who sends, what the key may do, and how fast."""

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
from catalyst.core.token_buckets import Limit, MemoryBuckets
from catalyst.server.threads import in_thread

CACHED = timedelta(seconds=2)
BURST_SECONDS = 10
"""How long a key that was quiet may send at any speed, in seconds' worth of its rate."""


class ApiKeyRefused(Exception):
    """A request that its API key does not let in; each interface answers in its own format.

    `status` is that of HTTP: 401, 403 or 429. The message is for the sender. `retry_after` is in seconds.
    """

    def __init__(self, status: int, message: str, retry_after: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class ApiRequest(HttpRequest):
    """A request that `api_scope` has let in."""

    api_key: ApiKey
    project: Project
    actor: Actor


class KeyCache:
    """The keys that this process found lately, so that a busy sender costs no query for each request.

    It holds live keys only: whoever sends made-up ones cannot fill it.
    """

    def __init__(self) -> None:
        self._found: dict[str, tuple[datetime, ApiKey]] = {}
        self._lookups: dict[tuple[asyncio.AbstractEventLoop, str], asyncio.Task[ApiKey | None]] = {}

    def find(self, text: str, now: datetime) -> ApiKey | None:
        """The key with this text; None when unknown or revoked.

        What another process revokes still works for CACHED. Raises django.db.Error.
        """
        digest = digest_of(text)
        return self._cached(digest, now) or self._look_up(self._found, text, digest, now)

    async def afind(self, text: str, now: datetime) -> ApiKey | None:
        """The same on an event loop, where all who ask while a key is looked up wait for that."""
        digest = digest_of(text)
        if cached := self._cached(digest, now):
            return cached
        place = asyncio.get_running_loop(), digest
        lookup = self._lookups.get(place)
        if lookup is None:
            lookup = self._lookups[place] = asyncio.create_task(self._alook_up(text, digest, now))
        return await asyncio.shield(lookup)

    def clear(self) -> None:
        """Look every key up again."""
        # A lookup that is under way ends in the old dictionaries, for those who asked before.
        self._found, self._lookups = {}, {}

    def _cached(self, digest: str, now: datetime) -> ApiKey | None:
        found_at, key = self._found.get(digest, (None, None))
        return key if found_at is not None and abs(now - found_at) <= CACHED else None

    async def _alook_up(self, text: str, digest: str, now: datetime) -> ApiKey | None:
        found, lookups = self._found, self._lookups
        try:
            return await in_thread(self._look_up, found, text, digest, now)
        finally:
            lookups.pop((asyncio.get_running_loop(), digest), None)

    @staticmethod
    def _look_up(found: dict[str, tuple[datetime, ApiKey]], text: str, digest: str, now: datetime) -> ApiKey | None:
        key = ApiKey.objects.use(text, now)
        if key is None:
            found.pop(digest, None)
        else:
            found[digest] = now, key
        return key


key_cache = KeyCache()
_buckets = MemoryBuckets()


def authenticate(request: HttpRequest, now: datetime) -> ApiKey:
    """The key that a request brings. Raises ApiKeyRefused with 401 and django.db.Error."""
    return _checked(key_cache.find(_text(request), now), now)


async def aauthenticate(request: HttpRequest, now: datetime) -> ApiKey:
    """The same on an event loop."""
    return _checked(await key_cache.afind(_text(request), now), now)


def _text(request: HttpRequest) -> str:
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    text = bearer.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "").strip()
    if not text:
        raise ApiKeyRefused(401, "No API key. Send the header «Authorization: Bearer KEY» or «x-api-key: KEY».")
    return text


def _checked(key: ApiKey | None, now: datetime) -> ApiKey:
    if key is None:
        raise ApiKeyRefused(401, "The API key is unknown or revoked. Make one under Settings, API keys.")
    if key.has_expired(now):
        when = f"{key.expires_at:%Y-%m-%d %H:%M} UTC"
        raise ApiKeyRefused(401, f"The API key expired on {when}. Make another under Settings, API keys.")
    return key


def admit(key: ApiKey, scope: str, now: datetime) -> None:
    """Count a request that needs a scope. Raises ApiKeyRefused with 403 or 429."""
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
    """Count spans of a request that was let in."""
    _charge(key, "spans", spans, now)


def _charge(key: ApiKey, what: str, tokens: int, now: datetime) -> None:
    for limit in _limits(key):
        if limit.name == what:
            _buckets.take(limit, key.pk, now, tokens)


def _limits(key: ApiKey) -> Iterator[Limit]:
    requests = key.requests_per_second or settings.KEY_REQUESTS_PER_SECOND
    spans = key.spans_per_second or settings.KEY_SPANS_PER_SECOND
    for what, rate in (("requests", requests), ("spans", spans)):
        if rate:
            yield Limit(what, rate * BURST_SECONDS, rate)


def api_scope(scope: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A view for requests with an API key that has the scope; it may be async. Its request is an `ApiRequest`.

    All others get 401, 403 or 429 and JSON: `{"error": {"code": "forbidden", "message": "…"}}`
    (docs/reference/api-keys.md). A key is no cookie, so no CSRF token is asked for.
    """
    needed = ApiKey.Scope(scope)

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        async def checked_async(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            now = timezone.now()
            try:
                _let_in(request, await aauthenticate(request, now), needed, now)
            except ApiKeyRefused as refused:
                return _refusal(refused)
            return await view(request, *args, **kwargs)

        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            now = timezone.now()
            try:
                _let_in(request, authenticate(request, now), needed, now)
            except ApiKeyRefused as refused:
                return _refusal(refused)
            return view(request, *args, **kwargs)

        return csrf_exempt(login_not_required(checked_async if iscoroutinefunction(view) else checked))

    return decorate


def _let_in(request: HttpRequest, key: ApiKey, scope: str, now: datetime) -> None:
    admit(key, scope, now)
    allowed = cast(ApiRequest, request)
    allowed.api_key, allowed.project, allowed.actor = key, key.project, Actor(api_key=key)


def _refusal(refused: ApiKeyRefused) -> HttpResponse:
    codes = {401: "unauthorized", 403: "forbidden", 429: "rate_limited"}
    error = {"code": codes[refused.status], "message": str(refused)}
    return JsonResponse({"error": error}, status=refused.status, headers=refusal_headers(refused))


def refusal_headers(refused: ApiKeyRefused) -> dict[str, str]:
    """What HTTP wants beside the status."""
    headers = {}
    if refused.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if refused.retry_after:
        headers["Retry-After"] = str(refused.retry_after)
    return headers
