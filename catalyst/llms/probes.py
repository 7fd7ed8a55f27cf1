"""The health probe of models."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from catalyst.health import Check, Metric, gauge_of
from catalyst.llms.endpoints import address
from catalyst.llms.models import JudgeHealth


@dataclass(frozen=True, slots=True)
class Judges:
    # The URL is empty if no endpoint is connected.
    url: str
    failing: list[JudgeHealth]


def judges(_now: datetime) -> Judges:
    return Judges(address(), list(JudgeHealth.objects.failing().of_instance(address())))


def check_judges(health: Judges, _now: datetime) -> Iterator[Check]:
    if health.url and not health.failing:
        yield Check("Judge", "model of the instance", "ok", f"no trouble with {health.url}")
    for judge in health.failing:
        advice = "Labels stay pending and none is lost. Check CATALYST_JUDGE_URL, its key and its quota."
        yield Check("Judge", judge.model, "warn", f"does not answer: {judge.error}", advice)


def judges_metrics(health: Judges, _now: datetime) -> Iterator[Metric]:
    yield gauge_of("judges_troubled", "Judge models that do not answer.", len(health.failing))
