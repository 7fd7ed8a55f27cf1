"""The health of the models: which do not answer."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from catalyst.health import Check, Metric, gauge_of
from catalyst.llms.endpoints import endpoint
from catalyst.llms.models import JudgeHealth


@dataclass(frozen=True, slots=True)
class Judges:
    """The endpoint of the judge, empty when none is connected, and its models that fail."""

    url: str
    failing: list[JudgeHealth]


def judges(_now: datetime) -> Judges:
    return Judges(endpoint(), list(JudgeHealth.objects.failing().filter(url=endpoint())))


def check_judges(found: Judges, _now: datetime) -> Iterator[Check]:
    if not found.failing:
        text = f"no trouble with {found.url}" if found.url else "none is connected; rules judge"
        yield Check("Judge", "model", "ok", text)
    for judge in found.failing:
        advice = "Work waits and loses nothing. See CATALYST_JUDGE_URL, its key and its quota."
        yield Check("Judge", judge.model, "warn", f"does not answer: {judge.error}", advice)


def judges_metrics(found: Judges, _now: datetime) -> Iterator[Metric]:
    yield gauge_of("judges_troubled", "Judge models that do not answer.", len(found.failing))
