"""A circuit breaker for models."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from catalyst import database
from catalyst.env import env
from catalyst.llms.endpoints import address
from catalyst.llms.models import JudgeHealth

MAX_BACKOFF = timedelta(minutes=1)
RESOLUTION = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Outage:
    """A failed call, which does not count as a try of its target.

    `request_suspect`: the target may be at fault.
    """

    model: str
    error: str
    asked_at: datetime
    retry_after: float | None = None
    request_suspect: bool = False


def paused_models(now: datetime) -> tuple[list[str], dict[str, datetime]]:
    """Return the paused models, and when each model last answered.

    The paused models include "" if the default model is paused.
    """
    health = JudgeHealth.objects.filter(url=address()).values_list("model", "paused_until", "answered_at")
    paused = [model for model, until, _ in health if until is not None and until > now]
    answers = {model: answered for model, _, answered in health if answered is not None}
    return [*paused, ""] if env.judge_model in paused else paused, answers


def record_success(models: Sequence[str], now: datetime) -> None:
    # Keeps a pause that a server requested.
    if models:
        database.execute(_RECORD_SUCCESS, [address(), now, models, now - RESOLUTION])


def pause(outage: Outage, now: datetime) -> datetime:
    """Pause a model and return the end of the pause. Needs a transaction.

    Every failure of a call made after the last pause doubles the pause, up to MAX_BACKOFF. `retry_after` is the
    minimum.
    """
    health, _ = JudgeHealth.objects.select_for_update().get_or_create(url=address(), model=outage.model)
    if health.failures == 0 or health.paused_until is None or outage.asked_at >= health.paused_until:
        health.failures += 1
    waits = [backoff(outage.model, health.failures, MAX_BACKOFF), timedelta(seconds=outage.retry_after or 0)]
    health.paused_until = max(health.paused_until or now, now + max(waits))
    health.error = outage.error
    health.save(update_fields=["failures", "paused_until", "error"])
    return health.paused_until


def backoff(seed: str, failures: int, limit: timedelta) -> timedelta:
    """Return a wait that doubles from one second, with 50 % jitter by a hash of `seed`."""
    jitter = 0.5 + hashlib.sha256(f"{seed}:{failures}".encode()).digest()[0] / 255
    return min(timedelta(seconds=2.0 ** min(failures - 1, 20)), limit) * jitter


def outages() -> dict[str, JudgeHealth]:
    """Return the failing models of the endpoint by name."""
    return {health.model: health for health in JudgeHealth.objects.failing().filter(url=address())}


_RECORD_SUCCESS = """
    INSERT INTO signals_judgehealth AS h (url, model, failures, error, answered_at)
    SELECT %s, model, 0, '', %s FROM unnest(%s::text[]) AS m (model)
    ON CONFLICT (url, model) DO UPDATE SET failures = 0, error = '', answered_at = EXCLUDED.answered_at
    WHERE h.failures > 0 OR h.answered_at IS NULL OR h.answered_at <= %s
"""
