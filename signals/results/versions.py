"""Results of a signal's versions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter

from catalyst.timerange import TimeRange
from signals.definitions import diff as versions
from signals.definitions.diff import Diff
from signals.models import Signal, SignalVersion
from signals.results import charts
from signals.results.charts import Outcome
from signals.results.rollups import sums
from signals.results.summaries import Summary, grouped, summed

PAGE_SIZE = 20


@dataclass(frozen=True, slots=True)
class Row:
    """A version with its labels. `diff` is None for the first version."""

    version: SignalVersion
    summary: Summary
    diff: Diff | None


def page(signal: Signal, time_range: TimeRange, before: int | None) -> tuple[list[Row], int | None]:
    """Versions below the number `before`, newest first, and the next `before` or None."""
    known = signal.versions.published().order_by("-number")
    found = list((known if before is None else known.filter(number__lt=before))[: PAGE_SIZE + 1])
    summaries = summaries_of(signal, found[:PAGE_SIZE], time_range)
    shown = []
    for version, earlier in zip(found[:PAGE_SIZE], [*found[1:], None], strict=False):
        change = versions.diff(earlier.definition, version.definition) if earlier else None
        shown.append(Row(version, summaries[version.pk], change))
    return shown, shown[-1].version.number if len(found) > PAGE_SIZE else None


def summaries_of(signal: Signal, found: Sequence[SignalVersion], time_range: TimeRange) -> dict[int, Summary]:
    """Labels in the range by version id."""
    of_these = sums(signal=signal, version__in=found).including_superseded()
    counted = grouped(of_these.totals(time_range), attrgetter("version"))
    return {version.pk: summed(signal, counted[version.pk], partial(outcomes_of, version)) for version in found}


def outcomes_of(version: SignalVersion, counts: Mapping[str, int]) -> list[Outcome]:
    return charts.outcomes({value: version.sentiments[value] for value in version.labels}, counts)
