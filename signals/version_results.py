"""What the versions of a signal gave: their labels, what these cost, and what changed from one to the next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Count, Sum

from catalyst.timerange import TimeRange
from signals import charts, versions
from signals.actions import question_of
from signals.charts import Outcome
from signals.models import Label, Signal, SignalVersion, Verdict
from signals.querysets import Coverage
from signals.results import Summary
from signals.versions import Diff

MOST = 20
"""Versions on a page."""


@dataclass(frozen=True, slots=True)
class Row:
    """A version with its labels in a range of time, what these have cost, and what it changed; the first, nothing."""

    version: SignalVersion
    summary: Summary
    cost: Decimal | None
    diff: Diff | None


def page(signal: Signal, time_range: TimeRange, before: int | None) -> tuple[list[Row], int | None]:
    """Versions, newest first, from below the number `before`; and the number to go on below, if there are more."""
    known = signal.versions.select_related("created_by").order_by("-number")
    found = list((known if before is None else known.filter(number__lt=before))[: MOST + 1])
    summaries, costs = summaries_of(signal, found[:MOST], time_range), _costs(signal, found[:MOST], time_range)
    shown = []
    for version, earlier in zip(found[:MOST], [*found[1:], None], strict=False):
        change = versions.diff(question_of(earlier), question_of(version)) if earlier else None
        shown.append(Row(version, summaries[version.pk], costs.get(version.pk), change))
    return shown, shown[-1].version.number if len(found) > MOST else None


def summaries_of(signal: Signal, found: Sequence[SignalVersion], time_range: TimeRange) -> dict[int, Summary]:
    """The labels of each of these versions in the range, by the version's id."""
    labels = Label.objects.filter(signal=signal, version__in=found).within(time_range)
    values: dict[int, dict[str, int]] = {version.pk: {} for version in found}
    states: dict[int, dict[str, int]] = {version.pk: {} for version in found}
    counted = labels.values_list("version_id", "value", "status").annotate(n=Count("id")).order_by()
    for pk, value, status, count in counted:
        states[pk][status] = states[pk].get(status, 0) + count
        if value:
            values[pk][value] = values[pk].get(value, 0) + count
    return {
        version.pk: Summary(signal, outcomes_of(version, values[version.pk]), Coverage(**states[version.pk]), None)
        for version in found
    }


def outcomes_of(version: SignalVersion, counts: Mapping[str, int]) -> list[Outcome]:
    """The labels of one version, in its order."""
    return charts.outcomes({value: version.sentiments[value] for value in version.labels}, counts)


def _costs(signal: Signal, found: Sequence[SignalVersion], time_range: TimeRange) -> dict[int, Decimal]:
    """US dollars that the judge calls for these labels have cost; without those whose calls have no price."""
    labels = Label.objects.filter(signal=signal, version__in=found).within(time_range)
    rows = Verdict.objects.filter(label__in=labels).values_list("label__version").annotate(total=Sum("cost")).order_by()
    return {pk: total for pk, total in rows if total is not None}
