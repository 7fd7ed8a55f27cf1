"""Sums of labels by hour and by minute, so that pages need not count a million rows. See docs/adr/0010."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from django.db import connection, models, transaction
from django.db.models import Max, Q, Sum
from django.db.models.functions import Coalesce

from catalyst.timerange import HOUR, TimeRange, ceil, floor
from signals.querysets import LabelFilter
from traces.querysets import bar_of

if TYPE_CHECKING:
    from signals.models import LabelHour, LabelMinute, SignalRun

MOST_CHANGES = 20_000
_UNSAMPLED = Q(state="unsampled")

type OverTime = Counter[tuple[datetime, str]]
"""How many labels have each value, by the bar that their target began in."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Labels of one signal or version, in one state and with one value (empty: without). Cells of a kind add up.

    A label that waits with a value has that of its target as it was; `cost` is in US dollars, None where no call had a
    known price; `last` is when the last of them was labelled.
    """

    of: int
    state: str
    value: str
    count: int
    cost: Decimal | None
    last: datetime | None


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many labels are in each state. Every sampled target is counted once."""

    waiting: int = 0
    done: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def sampled(self) -> int:
        """All of them."""
        return self.waiting + self.done + self.failed + self.skipped


class Trouble(NamedTuple):
    """Labels that failed, and what all of them cost in US dollars."""

    failed: int = 0
    cost: Decimal = Decimal(0)


class SumQuerySet[Sums: "LabelHour | LabelMinute"](models.QuerySet[Sums]):
    """Sums of labels. Rows of a kind add up: never look at one alone."""

    def matching(self, wanted: LabelFilter) -> Self:
        """Labels that pass a filter."""
        passes = Q()
        if wanted.version is not None:
            passes &= Q(version__number=wanted.version)
        if wanted.run is not None:
            passes &= Q(run=wanted.run)
        if wanted.value:
            passes &= Q(value=wanted.value)
        if wanted.status:
            passes &= Q(state=wanted.status)
        return self.filter(passes)

    def fold(self, most: int = MOST_CHANGES) -> int:
        """Add up to so many changes to the rows of their kind; returns how many. Repeat until there is none."""
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_FOLD[self.model._meta.db_table], [most])
            folded, empty = cursor.fetchone()
            if empty:
                self.filter(id__in=empty).delete()
        return int(folded)


class LabelMinuteQuerySet(SumQuerySet["LabelMinute"]):
    """Labels by the minute."""


class LabelHourQuerySet(SumQuerySet["LabelHour"]):
    """Labels by the hour, and what was not sampled."""

    def within(self, time_range: TimeRange) -> "LabelHourQuerySet":
        """Labels of targets that began in the range, whose edges must be whole hours."""
        return self.filter(hour__gte=time_range.start, hour__lt=time_range.end)

    def coverage(self) -> Coverage:
        """How many of these labels are in which state."""
        return Coverage(**dict(self.exclude(_UNSAMPLED).order_by().values_list("state").annotate(n=Sum("count"))))

    def waiting_by_version(self) -> dict[int, int]:
        """How many of these labels no judge has ended with yet, by the id of their version."""
        rows = self.filter(state="waiting").order_by().values_list("version_id").annotate(n=Sum("count"))
        return {version: count for version, count in rows if count}

    def coverage_by_run(self, runs: Iterable["SignalRun"]) -> dict[int, Coverage]:
        """The same for each of these manual runs, by its id."""
        found: dict[int, dict[str, int]] = defaultdict(dict)
        rows = self.filter(run__in=runs).order_by().values_list("run_id", "state").annotate(n=Sum("count"))
        for run_id, state, count in rows:
            found[run_id][state] = count
        return {run_id: Coverage(**counts) for run_id, counts in found.items()}

    def newest(self) -> datetime | None:
        """The newest hour with any of these labels."""
        hour, _ = self._hours().first() or (None, 0)
        return hour

    def reach(self, most: int, before: datetime) -> datetime | None:
        """The hour back to which the newest `most` of these labels before a time are found; None if there is none.

        That of the oldest if there are fewer: so a search for them stops where there can't be more.
        """
        hour, found = None, 0
        for hour, count in self.filter(hour__lte=before)._hours():
            found += count if hour + HOUR <= before else 0
            if found >= most:
                break
        return hour

    def _hours(self) -> "models.QuerySet[LabelHour, tuple[datetime, int]]":
        """The hours with any of these labels and how many, newest first."""
        return self.exclude(_UNSAMPLED).values_list("hour").annotate(n=Sum("count")).filter(n__gt=0).order_by("-hour")


def cells(
    hours: LabelHourQuerySet, minutes: LabelMinuteQuerySet, time_range: TimeRange, of: str = "signal_id"
) -> list[Cell]:
    """Labels of the range, whose edges must be whole minutes, in one query: less than an hour at its ends by minutes.

    `hours` and `minutes` sum the same labels; `of` is `signal_id` or `version_id`.
    """
    start, end = time_range.start, time_range.end
    first, last = ceil(start, HOUR), floor(end, HOUR)
    found = _summed(hours.filter(hour__gte=first, hour__lt=last), of)
    if (first, last) != (start, end):
        ends = minutes.filter(Q(minute__lt=first) | Q(minute__gte=last), minute__gte=start, minute__lt=end)
        found = found.union(_summed(ends, of), all=True)
    return [Cell(*row) for row in found]


def _summed(sums: LabelHourQuerySet | LabelMinuteQuerySet, of: str) -> "models.QuerySet[Any, Any]":
    kinds = sums.exclude(_UNSAMPLED).order_by().values_list(of, "state", "value")
    return kinds.annotate(n=Sum("count"), spent=Sum("cost"), newest=Max("last")).filter(n__gt=0)


def over_time(hours: LabelHourQuerySet, minutes: LabelMinuteQuerySet, time_range: TimeRange) -> Mapping[int, OverTime]:
    """Labels of the range that have a value, by signal, in one query; empty for a signal without any.

    Bars of an hour or more add hours up, finer ones minutes.
    """
    sums, bar = _in_bars(hours, minutes, time_range)
    valued = sums.exclude(value="").values_list("signal_id", bar, "value")
    found: dict[int, OverTime] = defaultdict(Counter)
    for signal_id, start, value, count in valued.annotate(n=Sum("count")).filter(n__gt=0):
        found[signal_id][start, value] = count
    return found


def trouble_over_time(
    hours: LabelHourQuerySet, minutes: LabelMinuteQuerySet, time_range: TimeRange
) -> Mapping[int, Mapping[datetime, Trouble]]:
    """What labels of the range cost and how many failed, by signal and bar, in one query; none where there are none."""
    sums, bar = _in_bars(hours, minutes, time_range)
    rows = sums.values_list("signal_id", bar).annotate(
        failed=Coalesce(Sum("count", filter=Q(state="failed")), 0), spent=Coalesce(Sum("cost"), Decimal(0))
    )
    found: dict[int, dict[datetime, Trouble]] = defaultdict(dict)
    for signal_id, start, failed, spent in rows:
        found[signal_id][start] = Trouble(failed, spent)
    return found


def _in_bars(
    hours: LabelHourQuerySet, minutes: LabelMinuteQuerySet, time_range: TimeRange
) -> "tuple[models.QuerySet[Any, Any], models.Func]":
    """The sums of the range, and the bar that each is in."""
    start, end = time_range.start, time_range.end
    if time_range.step < HOUR or (ceil(start, HOUR), floor(end, HOUR)) != (start, end):
        within = minutes.filter(minute__gte=time_range.start, minute__lt=time_range.end)
        return within.exclude(_UNSAMPLED).order_by(), bar_of("minute", time_range)
    return hours.within(time_range).exclude(_UNSAMPLED).order_by(), bar_of("hour", time_range)


_FOLD_SUMS = """
    WITH changes AS (
        DELETE FROM signals_label{grain} WHERE id IN (
            SELECT id FROM signals_label{grain} WHERE NOT folded ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
        ) RETURNING *
    ), kinds AS (
        INSERT INTO signals_label{grain} AS h
            (signal_id, {grain}, version_id, run_id, state, value, count, cost, last, folded)
        SELECT signal_id, {grain}, version_id, run_id, state, value, sum(count), sum(cost), max(last), true
        FROM changes GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6
        ON CONFLICT (signal_id, {grain}, version_id, run_id, state, value) WHERE folded DO UPDATE SET
            count = h.count + EXCLUDED.count,
            cost = coalesce(h.cost + EXCLUDED.cost, h.cost, EXCLUDED.cost),
            last = greatest(h.last, EXCLUDED.last)
        RETURNING id, count, cost
    )
    SELECT (SELECT count(*) FROM changes), (SELECT array_agg(id) FROM kinds WHERE count = 0 AND coalesce(cost, 0) = 0)
"""
_FOLD = {f"signals_label{grain}": _FOLD_SUMS.format(grain=grain) for grain in ("hour", "minute")}
