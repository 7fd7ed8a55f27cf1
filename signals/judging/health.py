"""Availability of the judge of a version."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import prefetch_related_objects

from catalyst.llms.availability import outages
from catalyst.llms.models import JudgeHealth
from signals.judging.judges import Judge, judge_of
from signals.models import SignalVersion


def outage_of(judge: Judge) -> JudgeHealth | None:
    """Return the judge's outage, or None if it answers."""
    return outages().get(judge.key) if judge.is_model else None


@dataclass(frozen=True, slots=True)
class JudgeUnavailable:
    """Title, sentence and what happens to labels meanwhile, for pages."""

    title: str
    text: str
    effect: str


def unavailable_judges(versions: Iterable[SignalVersion]) -> dict[int | None, JudgeUnavailable]:
    """Return versions without an available judge, by id, in one query, and one for connections."""
    versions = list(versions)
    prefetch_related_objects(versions, "connection")
    outage_by_model = outages()
    unavailable: dict[int | None, JudgeUnavailable] = {}
    for version in versions:
        judge = judge_of(version)
        if judge.kind == "none":
            text = judge.reason or "No model is connected."
            unavailable[version.pk] = JudgeUnavailable("No judge", text, "Labels fail. You can retry them later.")
        elif judge.is_model and judge.key in outage_by_model:
            text = f"{judge.name} does not answer: {outage_by_model[judge.key].error}"
            unavailable[version.pk] = JudgeUnavailable(
                "Judge does not answer", text if text.endswith(".") else f"{text}.", "Labels stay pending."
            )
    return unavailable
