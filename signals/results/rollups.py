"""Counts of labels in a time range, read from their rollups."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import models
from django.db.models import Max, Q, Sum
from django.db.models.functions import Coalesce

from catalyst.timerange import TimeRange, bucket_start, ceil, floor
from signals.filters import LabelFilter
from signals.models import LabelHalfDay, LabelHour, LabelMinute
from signals.models.label_rollup import (
    EFFECTIVE,
    UNSAMPLED,
    LabelCount,
    LabelHalfDayQuerySet,
    LabelHourQuerySet,
    LabelMinuteQuerySet,
)

type CountsByBucket = Counter[tuple[datetime, str]]  # labels by the bucket in which their target began, and value


class FailuresAndCost(NamedTuple):
    """Number of failed labels, and cost of all labels in US dollars."""

    failed: int = 0
    cost: Decimal = Decimal(0)


type AnySums = LabelHalfDayQuerySet | LabelHourQuerySet | LabelMinuteQuerySet


@dataclass(frozen=True, slots=True)
class Sums:
    """Labels by half day, hour and minute. Superseded labels add only to cost and waiting, unless they count."""

    half_days: LabelHalfDayQuerySet
    hours: LabelHourQuerySet
    minutes: LabelMinuteQuerySet
    counts_superseded: bool = False

    def matching(self, wanted: LabelFilter) -> "Sums":
        """Labels that pass a filter. Superseded ones count if it names versions or a run."""
        return Sums(
            self.half_days.including_superseded(wanted),
            self.hours.including_superseded(wanted),
            self.minutes.including_superseded(wanted),
            self.counts_superseded or wanted.includes_superseded,
        )

    def including_superseded(self) -> "Sums":
        return replace(self, counts_superseded=True)

    def totals(self, time_range: TimeRange) -> list[LabelCount]:
        """Labels of the range, in one query. The edges of the range must be whole minutes."""
        first, *others = [_totals(part) for part in self._parts(time_range)]
        return [
            LabelCount(
                signal=signal,
                version=version,
                state=state,
                value=value,
                count=count if is_effective or self.counts_superseded else 0,
                cost=cost,
                last=last,
                waiting=count if state == LabelHour.State.WAITING else 0,
            )
            for signal, version, state, value, is_effective, count, cost, last in first.union(*others, all=True)
        ]

    def _parts(self, time_range: TimeRange) -> Iterator[AnySums]:
        # Half days, then the hours and minutes at both ends: few rows hold each label once.
        held: tuple[datetime, datetime] | None = None
        for sums in self._grains():
            first, last = ceil(time_range.start, sums.length), floor(time_range.end, sums.length)
            if first < last and (first, last) != held:
                yield sums.within((first, held[0]), (held[1], last)) if held else sums.within((first, last))
                held = first, last

    def over_time(self, time_range: TimeRange) -> Mapping[int, CountsByBucket]:
        """Labels with a value by signal and bucket, in one query. Buckets must be whole minutes."""
        sums, bar = self._in_bars(time_range)
        valued = sums.filter(self._counted).exclude(value="").values_list("signal_id", bar, "value")
        found: dict[int, CountsByBucket] = defaultdict(Counter)
        for signal_id, start, value, count in valued.annotate(n=Sum("count")).filter(n__gt=0):
            found[signal_id][start, value] = count
        return found

    def trouble_over_time(self, time_range: TimeRange) -> Mapping[int, Mapping[datetime, FailuresAndCost]]:
        """Failures and cost by signal and bucket, in one query. Empty buckets are missing."""
        sums, bar = self._in_bars(time_range)
        rows = sums.values_list("signal_id", bar).annotate(
            failed=Coalesce(Sum("count", filter=self._counted & Q(state="failed")), 0),
            spent=Coalesce(Sum("cost"), Decimal(0)),
        )
        found: dict[int, dict[datetime, FailuresAndCost]] = defaultdict(dict)
        for signal_id, start, failed, spent in rows:
            found[signal_id][start] = FailuresAndCost(failed, spent)
        return found

    def _in_bars(self, time_range: TimeRange) -> "tuple[models.QuerySet[Any, Any], models.Func]":
        # The longest rows that the buckets consist of, and the bucket of each row.
        ends = {time_range.start, time_range.end}
        sums: AnySums = next(
            sums
            for sums in self._grains()
            if not time_range.bucket_width % sums.length and all(end == floor(end, sums.length) for end in ends)
        )
        within = sums.within((time_range.start, time_range.end)).exclude(UNSAMPLED).order_by()
        return within, bucket_start(sums.start, time_range)

    @property
    def _counted(self) -> Q:
        return Q() if self.counts_superseded else EFFECTIVE

    def _grains(self) -> tuple[AnySums, ...]:
        return self.half_days, self.hours, self.minutes


def _totals(sums: AnySums) -> models.QuerySet[Any, Any]:
    kinds = sums.exclude(UNSAMPLED).order_by().values_list("signal_id", "version_id", "state", "value", "is_effective")
    return kinds.annotate(n=Sum("count"), spent=Sum("cost"), newest=Max("last")).filter(n__gt=0)


def sums(**which: Any) -> Sums:
    return Sums(
        LabelHalfDay.objects.filter(**which), LabelHour.objects.filter(**which), LabelMinute.objects.filter(**which)
    )
