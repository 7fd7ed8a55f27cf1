"""Manual runs of a signal over past traffic."""

from django.db import models
from django.db.models import F, Q

from catalyst.core.models import AuthoredModel, Project
from signals.models.signal import Signal, SignalVersion

STOPPED = ("cancelled", "failed")
"""States of manual runs whose work is to be done no more."""


class SignalRunQuerySet(models.QuerySet["SignalRun"]):
    """Manual runs."""

    def stopped(self) -> "SignalRunQuerySet":
        """Those whose work is to be done no more."""
        return self.filter(state__in=STOPPED)

    def for_signal(self, signal: Signal) -> "SignalRunQuerySet":
        """Runs of any version of a signal, newest first, with what a list shows of them."""
        return self.filter(version__signal=signal)._for_list()

    def for_project(self, project: Project) -> "SignalRunQuerySet":
        """The same for all signals of a project."""
        return self.filter(version__signal__project=project)._for_list()

    def _for_list(self) -> "SignalRunQuerySet":
        return self.select_related("version__signal").order_by("-pk")

    def open(self) -> "SignalRunQuerySet":
        """Runs that still work, oldest first."""
        return self.filter(state__in=["collecting", "judging"]).order_by("pk")

    def collecting(self) -> "SignalRunQuerySet":
        """Runs that still look for targets, oldest first."""
        return self.filter(state="collecting").order_by("pk")

    def overtaken(self) -> "SignalRunQuerySet":
        """Open runs whose signal was archived, and open backfills of a version that is not current any more."""
        changed = Q(purpose="backfill") & ~Q(version=F("version__signal__current_version"))
        return self.open().filter(changed | Q(version__signal__archived_at__isnull=False))


class SignalRun(AuthoredModel):
    """A manual run of one version over a window of the past; its labels are tied to it. The row is also the job.

    COLLECTING (queues a label for each sampled target, chunk by chunk) -> JUDGING (until no label waits) -> DONE.
    """

    class State(models.TextChoices):
        COLLECTING = "collecting", "Looking for targets"
        JUDGING = "judging", "Judging"
        DONE = "done", "Done"
        CANCELLED = "cancelled", "Cancelled"
        FAILED = "failed", "Failed"

    class Purpose(models.TextChoices):
        BACKFILL = "backfill", "Judge past traffic"
        DUEL = "duel", "Compare versions"

    OPEN = (State.COLLECTING, State.JUDGING)

    version = models.ForeignKey(SignalVersion, on_delete=models.CASCADE, related_name="runs")
    purpose = models.CharField(
        max_length=8,
        choices=Purpose,
        default=Purpose.BACKFILL,
        db_default=Purpose.BACKFILL,
        help_text="A backfill ends when its version is superseded; a duel judges any version.",
    )
    window_start = models.DateTimeField()
    window_end = models.DateTimeField()
    sample_rate = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=10, choices=State, default=State.COLLECTING)
    after_time = models.DateTimeField(null=True, help_text="With `after_id`: behind which target collecting goes on.")
    after_id = models.BigIntegerField(null=True)
    matched = models.PositiveBigIntegerField(default=0, help_text="Targets found so far.")
    sampled = models.PositiveBigIntegerField(default=0, help_text="Of these, the ones within the sample rate.")
    queued = models.PositiveBigIntegerField(default=0, help_text="Of these, the ones that had no label yet.")
    error = models.TextField(blank=True, help_text="Why it ended before its work was done, in words for people.")
    ended_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = SignalRunQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(sample_rate__lte=100), name="signals_run_rate_is_a_percentage"),
        ]
        indexes = [
            models.Index(fields=["state"], name="signals_run_open", condition=Q(state__in=["collecting", "judging"])),
        ]

    def __str__(self) -> str:
        return f"{self.version} run {self.pk}"

    @property
    def is_open(self) -> bool:
        """Whether it still works."""
        return self.state in self.OPEN

    @property
    def was_stopped(self) -> bool:
        """Whether it ended before its work was done."""
        return self.state in STOPPED
