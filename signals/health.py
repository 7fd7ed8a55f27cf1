"""Whether the judge models answer: one that doesn't is left alone for a while, and work waits without losing a try."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from catalyst.env import env
from signals.models import JudgeHealth, SignalVersion

OPENAI = "https://api.openai.com/v1"
LONGEST_PAUSE = timedelta(minutes=1)
RESOLUTION = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Outage:
    """A model that could not be asked: nothing is known about the target, so the try doesn't count.

    `suspect`: the target may be to blame all the same.
    """

    model: str
    error: str
    asked_at: datetime
    retry_after: float | None = None
    suspect: bool = False


def endpoint() -> str:
    """The base URL of the judge's API; empty when none is connected."""
    return env.judge_url or (OPENAI if env.judge_api_key else "")


def model_for(version: SignalVersion) -> str:
    """The model that judges a version; empty when none is connected."""
    return model_named(version.judge_model)


def model_named(judge_model: str) -> str:
    """The model that judges versions with that `judge_model`; empty when none is connected."""
    return (judge_model or env.judge_model) if endpoint() else ""


def paused_models(now: datetime) -> list[str]:
    """The `judge_model` of versions that must wait; the empty one stands for the instance's model."""
    paused = list(JudgeHealth.objects.paused(endpoint(), now))
    return [*paused, ""] if env.judge_model in paused else paused


def last_answers() -> dict[str, datetime]:
    """When each model that was ever asked last answered."""
    return JudgeHealth.objects.last_answers(endpoint())


def note_answers(models: Iterable[str], now: datetime) -> None:
    """These models answered. A pause that a server asked for is kept."""
    for model in models:
        known = JudgeHealth.objects.filter(url=endpoint(), model=model, failures=0, answered_at__gt=now - RESOLUTION)
        if not known.exists():
            JudgeHealth.objects.update_or_create(
                url=endpoint(), model=model, defaults={"failures": 0, "error": "", "answered_at": now}
            )


def pause(outage: Outage, now: datetime) -> datetime:
    """Leave a model alone; returns until when. Call it in a transaction.

    The pause doubles with every failure of a call that was made after the last pause, up to a minute, and is never
    shorter than the server asked for.
    """
    health, _ = JudgeHealth.objects.select_for_update().get_or_create(url=endpoint(), model=outage.model)
    if health.failures == 0 or health.paused_until is None or outage.asked_at >= health.paused_until:
        health.failures += 1
    waits = [backoff(outage.model, health.failures, LONGEST_PAUSE), timedelta(seconds=outage.retry_after or 0)]
    health.paused_until = max(health.paused_until or now, now + max(waits))
    health.error = outage.error
    health.save(update_fields=["failures", "paused_until", "error"])
    return health.paused_until


def backoff(seed: str, failures: int, longest: timedelta) -> timedelta:
    """A wait that doubles from one second with every failure, give or take half of it by a hash of the seed."""
    jitter = 0.5 + hashlib.sha256(f"{seed}:{failures}".encode()).digest()[0] / 255
    return min(timedelta(seconds=2.0 ** min(failures - 1, 20)), longest) * jitter
