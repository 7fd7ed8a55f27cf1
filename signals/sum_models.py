"""How many labels there are, by half days, hours and minutes that their targets began in: rows that triggers write."""

from typing import Any

from django.db import models
from django.db.models import Q

from signals.rollups import LabelHalfDayQuerySet, LabelHourQuerySet, LabelMinuteQuerySet, Sums


class LabelSum(models.Model):
    """How many labels of one kind there are, and what they have cost.

    The rows of a kind add up, always and exactly, to what is in `Label`: a trigger there adds rows for what a statement
    changes, and folding makes one of them. Labels that go take their counts along, so that nothing here needs a
    foreign key in the database.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        DONE = "done", "Labelled"
        FAILED = "failed", "Failed"
        SKIPPED = "skipped", "No content"
        UNSAMPLED = "unsampled", "Not sampled"

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
    """Of the rows that are folded; `start` is the field that their time is in."""
    kind = ["signal", start, "version", "run", "state", "value"]
    return models.UniqueConstraint(
        fields=kind, condition=Q(folded=True), nulls_distinct=False, name=f"signals_{model}_kind"
    )


def _by_time_and_changes(model: str, start: str) -> list[models.Index]:
    return [
        models.Index(fields=["signal", start], name=f"signals_{model}_{start}"),
        models.Index(fields=["id"], condition=Q(folded=False), name=f"signals_{model}_change"),
    ]


class LabelHalfDay(LabelSum):
    """Labels about targets that began in one half of a UTC day."""

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


class LabelHour(LabelSum):
    """Labels about targets that began in one hour.

    With the state UNSAMPLED: how many targets of that hour a version looked at and left out, by `Unsampled`.
    """

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


class LabelMinute(LabelSum):
    """Labels about targets that began in one minute."""

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


def sums(**which: Any) -> Sums:
    """The sums of labels that these lookups name, such as `signal__in`."""
    return Sums(
        LabelHalfDay.objects.filter(**which), LabelHour.objects.filter(**which), LabelMinute.objects.filter(**which)
    )
