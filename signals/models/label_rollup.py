"""Label counts by half day, hour and minute of the targets' start. Triggers write the rows."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q, Sum

from catalyst.timerange import HOUR, MINUTE
from signals.filters import LabelFilter
from signals.models.folding import FoldingQuerySet
from signals.models.run import SignalRun

HALF_DAY = timedelta(hours=12)
UNSAMPLED = Q(state="unsampled")
EFFECTIVE = Q(is_effective=True)


@dataclass(frozen=True, slots=True)
class LabelCount:
    """Labels of one version, state and value. Counts of one kind add up.

    `value`: empty without a value; a queued label keeps the value of the earlier revision. `count`: effective
    labels, unless the query names a version. `cost` and `waiting`: all labels. `cost`: US dollars, None if no call
    had a known price. `last`: time of the newest label.
    """

    signal: int
    version: int
    state: str
    value: str
    count: int
    cost: Decimal | None
    last: datetime | None
    waiting: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """Labels by state. Each sampled target counts once."""

    waiting: int = 0
    done: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def sampled(self) -> int:
        return self.waiting + self.done + self.failed + self.skipped


class SumQuerySet[Row: "LabelHalfDay | LabelHour | LabelMinute"](FoldingQuerySet[Row]):
    # Column of the bucket's start.
    start: ClassVar[str]
    # Length of a bucket.
    length: ClassVar[timedelta]

    def within(self, *time_ranges: tuple[datetime, datetime]) -> Self:
        """Labels of targets that began in any of these time ranges. Their edges must be edges of buckets."""
        in_any = Q()
        for start, end in time_ranges:
            in_any |= Q(**{f"{self.start}__gte": start, f"{self.start}__lt": end})
        return self.filter(in_any)

    def matching(self, label_filter: LabelFilter) -> Self:
        """Labels that match the filter: effective ones, unless the filter names versions or a run."""
        return self.including_superseded(label_filter).filter(Q() if label_filter.includes_superseded else EFFECTIVE)

    def including_superseded(self, label_filter: LabelFilter) -> Self:
        condition = Q(version__is_candidate=False) if label_filter.pools_versions else Q()
        if label_filter.version is not None:
            condition &= Q(version__number=label_filter.version)
        if label_filter.run is not None:
            condition &= Q(run=label_filter.run)
        if label_filter.value:
            condition &= Q(value=label_filter.value)
        if label_filter.status == "labelled":
            condition &= ~Q(value="")
        elif label_filter.status:
            condition &= Q(state=label_filter.status)
        return self.filter(condition)

    def _fold_statement(self) -> str:
        return _FOLD.format(table=self.model._meta.db_table, start=self.start)


_FOLD = """
    WITH changes AS (
        DELETE FROM {table} WHERE id IN (
            SELECT id FROM {table} WHERE NOT folded ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
        ) RETURNING *
    ), kinds AS (
        INSERT INTO {table} AS h
            (signal_id, {start}, version_id, run_id, is_effective, state, value, count, cost, last, folded)
        SELECT signal_id, {start}, version_id, run_id, is_effective, state, value,
            sum(count), sum(cost), max(last), true
        FROM changes GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 2, 3, 4, 5, 6, 7
        ON CONFLICT (signal_id, {start}, version_id, run_id, is_effective, state, value) WHERE folded DO UPDATE SET
            count = h.count + EXCLUDED.count,
            cost = coalesce(h.cost + EXCLUDED.cost, h.cost, EXCLUDED.cost),
            last = greatest(h.last, EXCLUDED.last)
        RETURNING id, count, cost
    )
    SELECT (SELECT count(*) FROM changes), (SELECT array_agg(id) FROM kinds WHERE count = 0 AND coalesce(cost, 0) = 0)
"""


class LabelSum(models.Model):
    """Count and cost of labels of one kind.

    The sums always equal the rows in `Label`: a trigger there inserts a change for each statement.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "Pending"
        DONE = "done", "Labelled"
        FAILED = "failed", "Failed"
        SKIPPED = "skipped", "No content"
        UNSAMPLED = "unsampled", "Not sampled"

    # Deleted labels subtract their counts, so these rows need no foreign keys in the database.
    version = models.ForeignKey(
        "signals.SignalVersion", on_delete=models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    run = models.ForeignKey(
        "signals.SignalRun",
        on_delete=models.DO_NOTHING,
        null=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
        help_text="As of the labels.",
    )
    is_effective = models.BooleanField(default=True, db_default=True, help_text="As of the labels.")
    state = models.CharField(max_length=9, choices=State, help_text="A label's status; waiting is queued or running.")
    value = models.CharField(max_length=60, blank=True, help_text="With the state waiting: of the target as it was.")
    count = models.IntegerField(help_text="Labels; of a change, how many more or, below zero, fewer.")
    cost = models.DecimalField(
        max_digits=20, decimal_places=9, null=True, help_text="US dollars, or the change of them; null: unpriced."
    )
    last = models.DateTimeField(null=True, help_text="When a label became one of these last, if it has a value.")
    folded = models.BooleanField(default=False, help_text="Whether it is the one row of its kind, not a change.")

    class Meta:
        abstract = True


def _one_of_a_kind(model: str, start: str) -> models.UniqueConstraint:
    kind = ["signal", start, "version", "run", "is_effective", "state", "value"]
    return models.UniqueConstraint(
        fields=kind, condition=Q(folded=True), nulls_distinct=False, name=f"signals_{model}_kind"
    )


def _by_time_and_changes(model: str, start: str) -> list[models.Index]:
    return [
        models.Index(fields=["signal", start], name=f"signals_{model}_{start}"),
        models.Index(fields=["id"], condition=Q(folded=False), name=f"signals_{model}_change"),
    ]


class LabelHalfDayQuerySet(SumQuerySet["LabelHalfDay"]):
    start, length = "half_day", HALF_DAY


class LabelHalfDay(LabelSum):
    signal = models.ForeignKey(
        "signals.Signal", on_delete=models.DO_NOTHING, related_name="half_days", db_constraint=False, db_index=False
    )
    half_day = models.DateTimeField(help_text="Its start: midnight or noon, in UTC.")

    objects = LabelHalfDayQuerySet.as_manager()

    class Meta:
        constraints = [_one_of_a_kind("labelhalfday", "half_day")]
        indexes = _by_time_and_changes("labelhalfday", "half_day")

    def __str__(self) -> str:
        return f"{self.count} {self.state} {self.value} from {self.half_day:%Y-%m-%d %H:00}"


class LabelHourQuerySet(SumQuerySet["LabelHour"]):
    start, length = "hour", HOUR

    def coverage(self) -> Coverage:
        return Coverage(**dict(self.exclude(UNSAMPLED).order_by().values_list("state").annotate(n=Sum("count"))))

    def waiting_by_version(self) -> dict[int, int]:
        rows = self.filter(state="waiting").order_by().values_list("version_id").annotate(n=Sum("count"))
        return {version: count for version, count in rows if count}

    def coverage_by_run(self, runs: Iterable[SignalRun]) -> dict[int, Coverage]:
        counts_by_run: dict[int, dict[str, int]] = defaultdict(dict)
        rows = self.filter(run__in=runs).order_by().values_list("run_id", "state").annotate(n=Sum("count"))
        for run_id, state, count in rows:
            counts_by_run[run_id][state] = count
        return {run_id: Coverage(**counts) for run_id, counts in counts_by_run.items()}

    def newest(self) -> datetime | None:
        """Return the newest hour with labels, or None."""
        hour, _ = self._hours().first() or (None, 0)
        return hour

    def reach(self, limit: int, before: datetime) -> datetime | None:
        """Return the hour that a search for the newest `limit` labels before `before` must reach back to.

        Returns the oldest hour if there are fewer labels, and None if there are none.
        """
        # Each hour has at least one label. The hour of `before` may have only later ones, so it does not count.
        hour, total = None, 0
        for hour, count in self.filter(hour__lte=before)._hours()[: limit + 1]:
            total += count if hour + HOUR <= before else 0
            if total >= limit:
                break
        return hour

    def _hours(self) -> "models.QuerySet[LabelHour, tuple[datetime, int]]":
        return self.exclude(UNSAMPLED).values_list("hour").annotate(n=Sum("count")).filter(n__gt=0).order_by("-hour")


class LabelHour(LabelSum):
    """Labels of targets that began in one hour. The state UNSAMPLED counts targets that the version did not sample."""

    signal = models.ForeignKey(
        "signals.Signal", on_delete=models.DO_NOTHING, related_name="hours", db_constraint=False, db_index=False
    )
    hour = models.DateTimeField(help_text="Start of the hour, in UTC.")

    objects = LabelHourQuerySet.as_manager()

    class Meta:
        constraints = [_one_of_a_kind("labelhour", "hour")]
        indexes = [
            *_by_time_and_changes("labelhour", "hour"),
            # What waits and failed, in all hours: few rows among those of a year.
            models.Index(
                fields=["signal"], condition=Q(state__in=["waiting", "failed"]), name="signals_labelhour_unlabelled"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.count} {self.state} {self.value} in {self.hour:%Y-%m-%d %H:00}"


class LabelMinuteQuerySet(SumQuerySet["LabelMinute"]):
    start, length = "minute", MINUTE


class LabelMinute(LabelSum):
    signal = models.ForeignKey(
        "signals.Signal", on_delete=models.DO_NOTHING, related_name="minutes", db_constraint=False, db_index=False
    )
    minute = models.DateTimeField(help_text="Start of the minute, in UTC.")

    objects = LabelMinuteQuerySet.as_manager()

    class Meta:
        constraints = [_one_of_a_kind("labelminute", "minute")]
        indexes = _by_time_and_changes("labelminute", "minute")

    def __str__(self) -> str:
        return f"{self.count} {self.state} {self.value} in {self.minute:%Y-%m-%d %H:%M}"
