"""Whether judges answer, and how long to wait for one that does not."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from catalyst import database
from catalyst.env import env
from signals.judging import judges
from signals.judging.judges import Judge, endpoint, judge_of
from signals.models import JudgeHealth, SignalVersion

MAX_PAUSE = timedelta(minutes=1)
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


def availability(now: datetime) -> tuple[list[str], dict[str, datetime]]:
    """The `judge_model` of versions that must wait, where the empty one stands for the instance's model, and when each
    model that was ever asked last answered."""
    rows = JudgeHealth.objects.filter(url=endpoint()).values_list("model", "paused_until", "answered_at")
    known = list(rows)
    paused = [model for model, until, _ in known if until is not None and until > now]
    answers = {model: answered for model, _, answered in known if answered is not None}
    return [*paused, ""] if env.judge_model in paused else paused, answers


def record_success(models: Sequence[str], now: datetime) -> None:
    """These models answered. A pause that a server asked for is kept."""
    if models:
        database.execute(_NOTE_ANSWERS, [endpoint(), now, models, now - RESOLUTION])


def pause(outage: Outage, now: datetime) -> datetime:
    """Leave a model alone; returns until when. Call it in a transaction.

    The pause doubles with every failure of a call that was made after the last pause, up to a minute, and is never
    shorter than the server asked for.
    """
    health, _ = JudgeHealth.objects.select_for_update().get_or_create(url=endpoint(), model=outage.model)
    if health.failures == 0 or health.paused_until is None or outage.asked_at >= health.paused_until:
        health.failures += 1
    waits = [backoff(outage.model, health.failures, MAX_PAUSE), timedelta(seconds=outage.retry_after or 0)]
    health.paused_until = max(health.paused_until or now, now + max(waits))
    health.error = outage.error
    health.save(update_fields=["failures", "paused_until", "error"])
    return health.paused_until


def backoff(seed: str, failures: int, longest: timedelta) -> timedelta:
    """A wait that doubles from one second with every failure, give or take half of it by a hash of the seed."""
    jitter = 0.5 + hashlib.sha256(f"{seed}:{failures}".encode()).digest()[0] / 255
    return min(timedelta(seconds=2.0 ** min(failures - 1, 20)), longest) * jitter


_NOTE_ANSWERS = """
    INSERT INTO signals_judgehealth AS h (url, model, failures, error, answered_at)
    SELECT %s, model, 0, '', %s FROM unnest(%s::text[]) AS m (model)
    ON CONFLICT (url, model) DO UPDATE SET failures = 0, error = '', answered_at = EXCLUDED.answered_at
    WHERE h.failures > 0 OR h.answered_at IS NULL OR h.answered_at <= %s
"""


def outages() -> dict[str, JudgeHealth]:
    """The models of the endpoint that did not answer when last asked, by name. One query."""
    return {each.model: each for each in JudgeHealth.objects.failing().filter(url=judges.endpoint())}


def outage_of(judge: Judge) -> JudgeHealth | None:
    """Why this judge does not answer; None while it does."""
    return outages().get(judge.name) if judge.is_model else None


@dataclass(frozen=True, slots=True)
class JudgeUnavailable:
    """Why no judge answers, for people: in short, and in words."""

    title: str
    text: str


def unavailable_judges(versions: Iterable[SignalVersion]) -> dict[int | None, JudgeUnavailable]:
    """The versions that no judge answers for, by id. One query for all."""
    known = outages()
    found: dict[int | None, JudgeUnavailable] = {}
    for version in versions:
        judge = judge_of(version)
        if judge.kind == "none":
            found[version.pk] = JudgeUnavailable("No judge", "No model is connected, so every label fails.")
        elif judge.is_model and judge.name in known:
            words = f"{judge.name} does not answer: {known[judge.name].error}"
            found[version.pk] = JudgeUnavailable("Judge does not answer", words)
    return found
