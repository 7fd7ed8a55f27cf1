"""Which models answer, and how long a model that does not is left alone: a circuit breaker."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from catalyst import database
from catalyst.env import env
from catalyst.llms.endpoints import endpoint
from catalyst.llms.models import JudgeHealth

MAX_BACKOFF = timedelta(minutes=1)
RESOLUTION = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Outage:
    """A model that could not be asked: nothing is known about the target, so the try doesn't count.

    `request_suspect`: the target may be to blame all the same.
    """

    model: str
    error: str
    asked_at: datetime
    retry_after: float | None = None
    request_suspect: bool = False


def paused_models(now: datetime) -> tuple[list[str], dict[str, datetime]]:
    """The names of paused models, and when each model that was ever asked last answered.

    An empty name stands for the instance's model.
    """
    rows = JudgeHealth.objects.filter(url=endpoint()).values_list("model", "paused_until", "answered_at")
    known = list(rows)
    paused = [model for model, until, _ in known if until is not None and until > now]
    answers = {model: answered for model, _, answered in known if answered is not None}
    return [*paused, ""] if env.judge_model in paused else paused, answers


def record_success(models: Sequence[str], now: datetime) -> None:
    """These models answered. A pause that a server asked for is kept."""
    if models:
        database.execute(_RECORD_SUCCESS, [endpoint(), now, models, now - RESOLUTION])


def pause(outage: Outage, now: datetime) -> datetime:
    """Leave a model alone; returns until when. Call it in a transaction.

    The pause doubles with every failure of a call that was made after the last pause, up to a minute, and is never
    shorter than the server asked for.
    """
    health, _ = JudgeHealth.objects.select_for_update().get_or_create(url=endpoint(), model=outage.model)
    if health.failures == 0 or health.paused_until is None or outage.asked_at >= health.paused_until:
        health.failures += 1
    waits = [backoff(outage.model, health.failures, MAX_BACKOFF), timedelta(seconds=outage.retry_after or 0)]
    health.paused_until = max(health.paused_until or now, now + max(waits))
    health.error = outage.error
    health.save(update_fields=["failures", "paused_until", "error"])
    return health.paused_until


def backoff(seed: str, failures: int, longest: timedelta) -> timedelta:
    """A wait that doubles from one second with every failure, give or take half of it by a hash of the seed."""
    jitter = 0.5 + hashlib.sha256(f"{seed}:{failures}".encode()).digest()[0] / 255
    return min(timedelta(seconds=2.0 ** min(failures - 1, 20)), longest) * jitter


def outages() -> dict[str, JudgeHealth]:
    """The models of the endpoint that did not answer when last asked, by name. One query."""
    return {each.model: each for each in JudgeHealth.objects.failing().filter(url=endpoint())}


_RECORD_SUCCESS = """
    INSERT INTO signals_judgehealth AS h (url, model, failures, error, answered_at)
    SELECT %s, model, 0, '', %s FROM unnest(%s::text[]) AS m (model)
    ON CONFLICT (url, model) DO UPDATE SET failures = 0, error = '', answered_at = EXCLUDED.answered_at
    WHERE h.failures > 0 OR h.answered_at IS NULL OR h.answered_at <= %s
"""
