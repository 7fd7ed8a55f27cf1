"""What the versions of a signal gave: their labels, what these cost, and what changed from one to the next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter

from catalyst.timerange import TimeRange
from signals import charts, results, versions
from signals.actions import Overtaken, question_of
from signals.charts import Outcome
from signals.models import Signal, SignalVersion
from signals.results import Summary
from signals.sum_models import sums
from signals.versions import Diff

MOST = 20
"""Versions on a page."""


@dataclass(frozen=True, slots=True)
class Row:
    """A version with its labels in a range of time, and what it changed; the first, nothing."""

    version: SignalVersion
    summary: Summary
    diff: Diff | None


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two people edited at once: what the other changed, and what saving the second one's edit would change now."""

    newer: SignalVersion
    theirs: Diff
    mine: Diff


def conflict(overtaken: Overtaken, based_on: int) -> Conflict:
    """How an edit that began from version `based_on` stands to the one that went live meanwhile."""
    newer = overtaken.current
    began = newer.signal.versions.filter(number=based_on).first() or newer
    asked = question_of(newer)
    return Conflict(newer, versions.diff(question_of(began), asked), versions.diff(asked, overtaken.question))


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
    of_these = sums(signal=signal, version__in=found)
    counted = results.grouped(of_these.cells(time_range), attrgetter("version"))
    return {version.pk: results.summed(signal, counted[version.pk], partial(outcomes_of, version)) for version in found}


def outcomes_of(version: SignalVersion, counts: Mapping[str, int]) -> list[Outcome]:
    """The labels of one version, in its order."""
    return charts.outcomes({value: version.sentiments[value] for value in version.labels}, counts)
