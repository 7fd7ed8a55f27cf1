"""Manual runs of a signal over past traffic."""

from django.db import models
from django.db.models import F, Q

from catalyst.core.models import AuthoredModel, Project
from signals.models.signal import Signal, SignalVersion

STOPPED = ("cancelled", "failed")


class SignalRunQuerySet(models.QuerySet["SignalRun"]):
    def stopped(self) -> "SignalRunQuerySet":
        return self.filter(state__in=STOPPED)

    def for_signal(self, signal: Signal) -> "SignalRunQuerySet":
        return self.filter(version__signal=signal)._for_list()

    def for_project(self, project: Project) -> "SignalRunQuerySet":
        return self.filter(version__signal__project=project)._for_list()

    def _for_list(self) -> "SignalRunQuerySet":
        return self.select_related("version__signal").order_by("-pk")

    def open(self) -> "SignalRunQuerySet":
        return self.filter(state__in=["collecting", "judging"]).order_by("pk")

    def collecting(self) -> "SignalRunQuerySet":
        """Runs that look for targets, those with the fewest first, so that a long run delays no short one."""
        return self.filter(state="collecting").order_by("matched", "pk")

    def overtaken(self) -> "SignalRunQuerySet":
        """Open runs of archived signals, and open backfills of superseded versions."""
        changed = Q(purpose="backfill") & ~Q(version=F("version__signal__current_version"))
        return self.open().filter(changed | Q(version__signal__archived_at__isnull=False))


class SignalRun(AuthoredModel):
    """A manual run of one version over a past window. The row is also the job.

    COLLECTING (enqueues a label for each sampled target, in chunks) -> JUDGING (until no label is queued) -> DONE.
    """

    class State(models.TextChoices):
        COLLECTING = "collecting", "Looking for targets"
        JUDGING = "judging", "Judging"
        DONE = "done", "Done"
        CANCELLED = "cancelled", "Cancelled"
        FAILED = "failed", "Failed"

    class Purpose(models.TextChoices):
        BACKFILL = "backfill", "Backfill"
        COMPARISON = "duel", "Compare versions"

    OPEN = (State.COLLECTING, State.JUDGING)

    version = models.ForeignKey(SignalVersion, on_delete=models.CASCADE, related_name="runs")
    purpose = models.CharField(
        max_length=8,
        choices=Purpose,
        default=Purpose.BACKFILL,
        db_default=Purpose.BACKFILL,
        help_text="A backfill ends when its version is superseded; a comparison judges any version.",
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
        return self.state in self.OPEN

    @property
    def known(self) -> int:
        """Sampled targets that the version had judged or queued before. The run leaves them as they are."""
        return self.sampled - self.queued

    @property
    def was_stopped(self) -> bool:
        return self.state in STOPPED
