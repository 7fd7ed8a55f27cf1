"""Sums of labels by half day, hour and minute, so that pages need not count a million rows. See docs/adr/0010."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from django.db import connection, models, transaction
from django.db.models import Max, Q, Sum
from django.db.models.functions import Coalesce

from catalyst.querysets import bar_of
from catalyst.timerange import HOUR, MINUTE, TimeRange, ceil, floor
from signals.querysets import LabelFilter

if TYPE_CHECKING:
    from signals.models import LabelHalfDay, LabelHour, LabelMinute, SignalRun

MOST_CHANGES = 20_000
HALF_DAY = timedelta(hours=12)
_UNSAMPLED = Q(state="unsampled")

type OverTime = Counter[tuple[datetime, str]]
"""How many labels have each value, by the bar that their target began in."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Labels of one version, in one state and with one value (empty: without). Cells of a kind add up.

    A label that waits with a value has that of its target as it was; `cost` is in US dollars, None where no call had a
    known price; `last` is when the last of them was labelled.
    """

    signal: int
    version: int
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


class SumQuerySet[Row: "LabelHalfDay | LabelHour | LabelMinute"](models.QuerySet[Row]):
    """Sums of labels. Rows of a kind add up: never look at one alone."""

    start: ClassVar[str]
    """The field that a row's time is in."""
    length: ClassVar[timedelta]
    """Of a row's time."""

    def within(self, *stretches: tuple[datetime, datetime]) -> Self:
        """Labels of targets that began in any of these stretches of time, whose edges must be those of rows."""
        of_any = Q()
        for start, end in stretches:
            of_any |= Q(**{f"{self.start}__gte": start, f"{self.start}__lt": end})
        return self.filter(of_any)

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
            cursor.execute(_FOLD.format(table=self.model._meta.db_table, start=self.start), [most])
            folded, empty = cursor.fetchone()
            if empty:
                self.filter(id__in=empty).delete()
        return int(folded)


class LabelHalfDayQuerySet(SumQuerySet["LabelHalfDay"]):
    """Labels by the half day."""

    start, length = "half_day", HALF_DAY


class LabelMinuteQuerySet(SumQuerySet["LabelMinute"]):
    """Labels by the minute."""

    start, length = "minute", MINUTE


class LabelHourQuerySet(SumQuerySet["LabelHour"]):
    """Labels by the hour, and what was not sampled."""

    start, length = "hour", HOUR

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

        That of the oldest if there are fewer: so a search for them stops where there can't be more. Each hour has one
        at least, but for the hour that the time lies in.
        """
        hour, found = None, 0
        for hour, count in self.filter(hour__lte=before)._hours()[: most + 1]:
            found += count if hour + HOUR <= before else 0
            if found >= most:
                break
        return hour

    def _hours(self) -> "models.QuerySet[LabelHour, tuple[datetime, int]]":
        """The hours with any of these labels and how many, newest first."""
        return self.exclude(_UNSAMPLED).values_list("hour").annotate(n=Sum("count")).filter(n__gt=0).order_by("-hour")


type AnySums = LabelHalfDayQuerySet | LabelHourQuerySet | LabelMinuteQuerySet


@dataclass(frozen=True, slots=True)
class Sums:
    """The same labels three times: by the half day, by the hour and by the minute."""

    half_days: LabelHalfDayQuerySet
    hours: LabelHourQuerySet
    minutes: LabelMinuteQuerySet

    def matching(self, wanted: LabelFilter) -> "Sums":
        """Labels that pass a filter."""
        return Sums(self.half_days.matching(wanted), self.hours.matching(wanted), self.minutes.matching(wanted))

    def cells(self, time_range: TimeRange) -> list[Cell]:
        """Labels of the range, whose edges must be whole minutes, in one query.

        Its half days, the hours of less than half a day at its ends, and the minutes of less than an hour there.
        """
        first, *others = [_summed(part) for part in self._parts(time_range)]
        return [Cell(*row) for row in first.union(*others, all=True)]

    def _parts(self, time_range: TimeRange) -> Iterator[AnySums]:
        """Rows that hold each label of the range once, the longest that fit."""
        held: tuple[datetime, datetime] | None = None
        for sums in self._grains():
            first, last = ceil(time_range.start, sums.length), floor(time_range.end, sums.length)
            if first < last and (first, last) != held:
                yield sums.within((first, held[0]), (held[1], last)) if held else sums.within((first, last))
                held = first, last

    def over_time(self, time_range: TimeRange) -> Mapping[int, OverTime]:
        """Labels of the range that have a value, by signal, in one query; empty for a signal without any.

        Bars of the chart must be of whole minutes.
        """
        sums, bar = self._in_bars(time_range)
        valued = sums.exclude(value="").values_list("signal_id", bar, "value")
        found: dict[int, OverTime] = defaultdict(Counter)
        for signal_id, start, value, count in valued.annotate(n=Sum("count")).filter(n__gt=0):
            found[signal_id][start, value] = count
        return found

    def trouble_over_time(self, time_range: TimeRange) -> Mapping[int, Mapping[datetime, Trouble]]:
        """What labels of the range cost and how many failed, by signal and bar, in one query; none where none are."""
        sums, bar = self._in_bars(time_range)
        rows = sums.values_list("signal_id", bar).annotate(
            failed=Coalesce(Sum("count", filter=Q(state="failed")), 0), spent=Coalesce(Sum("cost"), Decimal(0))
        )
        found: dict[int, dict[datetime, Trouble]] = defaultdict(dict)
        for signal_id, start, failed, spent in rows:
            found[signal_id][start] = Trouble(failed, spent)
        return found

    def _in_bars(self, time_range: TimeRange) -> "tuple[models.QuerySet[Any, Any], models.Func]":
        """The longest rows that bars of the range consist of, and the bar that each is in."""
        ends = {time_range.start, time_range.end}
        sums: AnySums = next(
            sums
            for sums in self._grains()
            if not time_range.step % sums.length and all(end == floor(end, sums.length) for end in ends)
        )
        within = sums.within((time_range.start, time_range.end)).exclude(_UNSAMPLED).order_by()
        return within, bar_of(sums.start, time_range)

    def _grains(self) -> tuple[AnySums, ...]:
        return self.half_days, self.hours, self.minutes


def _summed(sums: AnySums) -> "models.QuerySet[Any, Any]":
    kinds = sums.exclude(_UNSAMPLED).order_by().values_list("signal_id", "version_id", "state", "value")
    return kinds.annotate(n=Sum("count"), spent=Sum("cost"), newest=Max("last")).filter(n__gt=0)


_FOLD = """
    WITH changes AS (
        DELETE FROM {table} WHERE id IN (
            SELECT id FROM {table} WHERE NOT folded ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
        ) RETURNING *
    ), kinds AS (
        INSERT INTO {table} AS h
            (signal_id, {start}, version_id, run_id, state, value, count, cost, last, folded)
        SELECT signal_id, {start}, version_id, run_id, state, value, sum(count), sum(cost), max(last), true
        FROM changes GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6
        ON CONFLICT (signal_id, {start}, version_id, run_id, state, value) WHERE folded DO UPDATE SET
            count = h.count + EXCLUDED.count,
            cost = coalesce(h.cost + EXCLUDED.cost, h.cost, EXCLUDED.cost),
            last = greatest(h.last, EXCLUDED.last)
        RETURNING id, count, cost
    )
    SELECT (SELECT count(*) FROM changes), (SELECT array_agg(id) FROM kinds WHERE count = 0 AND coalesce(cost, 0) = 0)
"""
