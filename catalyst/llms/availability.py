"""A circuit breaker for models."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from catalyst import database
from catalyst.env import env
from catalyst.llms.endpoints import ModelKey, address
from catalyst.llms.models import JudgeHealth

MAX_BACKOFF = timedelta(minutes=1)
RESOLUTION = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Outage:
    """A failed call, which does not count as a try of its target.

    `request_suspect`: the target may be at fault. `connection_id`: None for the environment's endpoint.
    """

    model: str
    error: str
    asked_at: datetime
    retry_after: float | None = None
    request_suspect: bool = False
    connection_id: int | None = None

    @property
    def key(self) -> ModelKey:
        return self.connection_id, self.model


def paused_models(now: datetime) -> tuple[list[ModelKey], dict[ModelKey, datetime]]:
    """Return the paused models, and when each model last answered.

    The paused models include (None, "") if the default model is paused.
    """
    health = JudgeHealth.objects.reachable(address())
    rows = health.values_list("connection_id", "model", "paused_until", "answered_at")
    paused: list[ModelKey] = [(pk, model) for pk, model, until, _ in rows if until is not None and until > now]
    answers: dict[ModelKey, datetime] = {(pk, model): at for pk, model, _, at in rows if at is not None}
    return [*paused, (None, "")] if (None, env.judge_model) in paused else paused, answers


def record_success(models: Collection[ModelKey], now: datetime) -> None:
    # Keeps a pause that a server requested. In one order, so that workers don't lock each other out.
    rows = sorted(models, key=lambda key: (key[0] or 0, key[1]))
    if rows:
        connections, names = zip(*rows, strict=True)
        urls = [_url_of(pk) for pk in connections]
        database.execute(_RECORD_SUCCESS, [now, urls, list(connections), list(names), now - RESOLUTION])


def _url_of(connection_id: int | None) -> str:
    return address() if connection_id is None else ""


def pause(outage: Outage, now: datetime) -> datetime:
    """Pause a model and return the end of the pause. Needs a transaction.

    Every failure of a call made after the last pause doubles the pause, up to MAX_BACKOFF. `retry_after` is the
    minimum.
    """
    health, _ = JudgeHealth.objects.select_for_update().get_or_create(
        url=_url_of(outage.connection_id), connection_id=outage.connection_id, model=outage.model
    )
    if health.failures == 0 or health.paused_until is None or outage.asked_at >= health.paused_until:
        health.failures += 1
    health.failing_since = health.failing_since or now
    waits = [backoff(outage.model, health.failures, MAX_BACKOFF), timedelta(seconds=outage.retry_after or 0)]
    health.paused_until = max(health.paused_until or now, now + max(waits))
    health.error = outage.error
    health.save(update_fields=["failures", "failing_since", "paused_until", "error"])
    return health.paused_until


def backoff(seed: str, failures: int, limit: timedelta) -> timedelta:
    """Return a wait that doubles from one second, with 50 % jitter by a hash of `seed`."""
    jitter = 0.5 + hashlib.sha256(f"{seed}:{failures}".encode()).digest()[0] / 255
    return min(timedelta(seconds=2.0 ** min(failures - 1, 20)), limit) * jitter


def outages() -> dict[ModelKey, JudgeHealth]:
    """Return the failing models."""
    failing = JudgeHealth.objects.failing().reachable(address())
    return {(health.connection_id, health.model): health for health in failing}


def answering() -> dict[ModelKey, datetime]:
    """Return when each model last answered that does not fail."""
    rows = JudgeHealth.objects.reachable(address()).filter(failures=0, answered_at__isnull=False)
    return {(pk, model): at for pk, model, at in rows.values_list("connection_id", "model", "answered_at") if at}


_RECORD_SUCCESS = """
    INSERT INTO signals_judgehealth AS h (url, connection_id, model, failures, error, answered_at)
    SELECT url, connection_id, model, 0, '', %s
    FROM unnest(%s::text[], %s::bigint[], %s::text[]) AS m (url, connection_id, model)
    ON CONFLICT (url, model, connection_id) DO UPDATE SET
        failures = 0, failing_since = NULL, error = '', answered_at = EXCLUDED.answered_at
    WHERE h.failures > 0 OR h.answered_at IS NULL OR h.answered_at <= %s
"""
