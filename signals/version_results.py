"""What the versions of a signal gave: their labels, what these cost, and what changed from one to the next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from catalyst.timerange import TimeRange
from signals import charts, results, versions
from signals.actions import question_of
from signals.charts import Outcome
from signals.models import Signal, SignalVersion
from signals.results import Summary
from signals.rollups import cells
from signals.versions import Diff

MOST = 20
"""Versions on a page."""


@dataclass(frozen=True, slots=True)
class Row:
    """A version with its labels in a range of time, and what it changed; the first, nothing."""

    version: SignalVersion
    summary: Summary
    diff: Diff | None


def page(signal: Signal, time_range: TimeRange, before: int | None) -> tuple[list[Row], int | None]:
    """Versions, newest first, from below the number `before`; and the number to go on below, if there are more."""
    known = signal.versions.select_related("created_by").order_by("-number")
    found = list((known if before is None else known.filter(number__lt=before))[: MOST + 1])
    summaries = summaries_of(signal, found[:MOST], time_range)
    shown = []
    for version, earlier in zip(found[:MOST], [*found[1:], None], strict=False):
        change = versions.diff(question_of(earlier), question_of(version)) if earlier else None
        shown.append(Row(version, summaries[version.pk], change))
    return shown, shown[-1].version.number if len(found) > MOST else None


def summaries_of(signal: Signal, found: Sequence[SignalVersion], time_range: TimeRange) -> dict[int, Summary]:
    """The labels of each of these versions in the range, by the version's id."""
    hours, labels = signal.hours.filter(version__in=found), signal.label_set.filter(version__in=found)
    counted = results.by_owner(cells(hours, labels, time_range, of="version_id"))
    return {version.pk: results.summed(signal, counted[version.pk], partial(outcomes_of, version)) for version in found}


def outcomes_of(version: SignalVersion, counts: Mapping[str, int]) -> list[Outcome]:
    """The labels of one version, in its order."""
    return charts.outcomes({value: version.sentiments[value] for value in version.labels}, counts)
