"""Tests of a definition: kept for a day, visible to who started them, never labels."""

from datetime import datetime, timedelta

from django.db import models
from django.db.models import Exists, OuterRef, Q

from catalyst.agents.models import Agent
from catalyst.core.actor import Actor
from catalyst.core.models import ApiKey, AuthoredModel, Project, User
from signals.definitions.choices import Scope
from signals.models.label_queue import JudgeJob, JudgeJobQuerySet
from signals.models.signal import DefinitionModel, Signal

MAX_DURATION = timedelta(minutes=5)
TOO_LONG = "The test took longer than 5 minutes, so the rest was not judged."


class SignalTestQuerySet(models.QuerySet["SignalTest"]):
    def started_by(self, actor: Actor) -> "SignalTestQuerySet":
        """Tests of one person, one API key, or the system."""
        return self.filter(created_by=actor.user, created_by_key=actor.api_key)

    def running(self) -> "SignalTestQuerySet":
        return self.filter(state="running")

    def cancel(self, now: datetime) -> int:
        """Cancel running tests. Return how many. Calls under way finish and count."""
        return self.running().update(state=SignalTest.State.CANCELLED, ended_at=now)

    def stop(self, now: datetime, error: str) -> None:
        self.running().update(state=SignalTest.State.STOPPED, ended_at=now, error=error)

    def end(self, now: datetime) -> None:
        """End running tests that have no open items or have timed out."""
        open_items = SignalTestItem.objects.filter(test=OuterRef("pk"), status__in=["queued", "running"])
        self.running().filter(~Exists(open_items)).update(state=SignalTest.State.DONE, ended_at=now)
        self.filter(ends_at__lte=now).stop(now, TOO_LONG)


class SignalTest(AuthoredModel, DefinitionModel):
    """A definition, saved or not, judged on some targets. An actor has at most one running test of a signal.

    RUNNING -> DONE, CANCELLED (by a person, or by the next test), or STOPPED (`error` has the reason).
    """

    class State(models.TextChoices):
        RUNNING = "running", "Judging"
        DONE = "done", "Done"
        CANCELLED = "cancelled", "Cancelled"
        STOPPED = "stopped", "Stopped"

    # Whoever started a test is the only one to see it, so it goes with them.
    created_by = models.ForeignKey(User, on_delete=models.CASCADE, null=True, editable=False, related_name="+")
    created_by_key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, null=True, editable=False, related_name="+")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="+")
    signal = models.ForeignKey(
        Signal, on_delete=models.CASCADE, null=True, related_name="+", help_text="Null: of a signal that is not saved."
    )
    scope = models.CharField(max_length=7, choices=Scope)
    state = models.CharField(max_length=9, choices=State, default=State.RUNNING)
    error = models.TextField(blank=True, help_text="Why it was stopped, in words for people.")
    limit = models.PositiveSmallIntegerField(help_text="Targets that were asked for.")
    shortfall = models.TextField(blank=True, help_text="Why fewer were found, in words for people.")
    repeats = models.BooleanField(default=False, help_text="Its targets are those of an earlier test.")
    finding = models.BigIntegerField(null=True, help_text="The finding on whose traces it ran, if it did.")
    calls_per_day = models.PositiveBigIntegerField(help_text="Targets that would be judged on a day, live.")
    cost_per_day = models.DecimalField(
        max_digits=20, decimal_places=9, null=True, help_text="US dollars of these calls; null: no public price."
    )
    created_at = models.DateTimeField()
    ends_at = models.DateTimeField(help_text="When it is stopped if it has not ended.")
    ended_at = models.DateTimeField(null=True)

    objects = SignalTestQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "signal", "created_by", "created_by_key"],
                condition=Q(state="running"),
                nulls_distinct=False,
                name="signals_test_one_at_a_time",
            ),
        ]
        indexes = [
            models.Index(fields=["state"], name="signals_test_running", condition=Q(state="running")),
            models.Index(fields=["created_at"], name="signals_test_age"),
        ]

    def __str__(self) -> str:
        return f"Test {self.pk} of {self.signal or 'a new signal'}"

    @property
    def is_running(self) -> bool:
        return self.state == self.State.RUNNING


class SignalTestItemQuerySet(JudgeJobQuerySet["SignalTestItem"]):
    owner = "test_id"
    written = {**JudgeJobQuerySet.written, "tokens": "bigint", "exchange": "bytea"}


class SignalTestItem(JudgeJob):
    """One target of a test with the judge's answer. The row is also the job."""

    test = models.ForeignKey(SignalTest, on_delete=models.CASCADE, related_name="items", db_index=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    signal = models.ForeignKey(Signal, on_delete=models.CASCADE, null=True, related_name="+")
    position = models.PositiveSmallIntegerField(help_text="Its place among the targets of the test.")
    before = models.CharField(max_length=60, blank=True, help_text="Its value in the test that this one repeats.")
    tokens = models.PositiveBigIntegerField(null=True, help_text="In and out; null: there was no call, or none told.")
    exchange = models.BinaryField(null=True, help_text="What the judge was sent last and answered, packed.")

    objects = SignalTestItemQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["test", "target_key"], name="signals_testitem_once_per_target"),
        ]
        indexes = [
            # The judge's claim: tests take turns.
            models.Index(
                fields=["position", "id"],
                name="signals_testitem_open",
                condition=Q(status__in=["queued", "running"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.test_id} {self.target_key}: {self.value or self.status}"

    @property
    def version(self) -> SignalTest:
        return self.test

    @property
    def agent_id(self) -> int:
        return self.test.agent_id

    @property
    def is_flipped(self) -> bool:
        return bool(self.value and self.before) and self.value != self.before
