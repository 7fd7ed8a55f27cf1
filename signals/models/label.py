"""Labels: the answer of one version for one target."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db import models
from django.db.models import Count, F, Q

from catalyst.core.models import Project
from catalyst.core.user_hashes import user_hash
from catalyst.pagination import Cursor
from catalyst.timerange import TimeRange
from signals.filters import Counted, LabelFilter
from signals.models.label_queue import JudgeJob, LabelQueueQuerySet
from signals.models.run import SignalRun
from signals.models.signal import Signal, SignalVersion


class LabelQuerySet(LabelQueueQuerySet["Label"]):
    def of_user(self, project: Project, user: str) -> "LabelQuerySet":
        """Labels of targets of an end user, whether or not these are still stored."""
        return self.filter(project=project, user_hash=user_hash(project.pk, user)).exclude(user_hash=None)

    def oldest_before(self, before: datetime, limit: int) -> list[int]:
        oldest = self.order_by("id").values_list("id", "created_at")[:limit]
        return [pk for pk, created_at in oldest if created_at < before]

    def errors(self, limit: int) -> list[tuple[str, int]]:
        """Return (error, count) of the newest `limit` failed labels, the most frequent first."""
        newest = self.filter(status="failed").order_by("-target_time", "-id").values("id")[:limit]
        reasons = self.model.objects.filter(id__in=newest).order_by().values_list("error")
        return list(reasons.annotate(n=Count("id")).order_by("-n", "error"))

    def labelled(self) -> "LabelQuerySet":
        """Labels with a value, including those queued again because their target grew."""
        return self.exclude(value="")

    def within(self, time_range: TimeRange) -> "LabelQuerySet":
        return self.filter(target_time__gte=time_range.start, target_time__lt=time_range.end)

    def newest(self, after: Cursor | None = None) -> "LabelQuerySet":
        """Sort by target time, newest first. With `after`, continue behind that cursor."""
        labels = self.select_related("version").order_by("-target_time", "-id")
        if after is None:
            return labels
        return labels.filter(Q(target_time__lt=after.time) | Q(id__lt=after.id), target_time__lte=after.time)

    def effective(self) -> "LabelQuerySet":
        """One label for each target: the newest version's with a value, else the newest's. Candidates never count."""
        return self.filter(is_effective=True)

    def matching(self, label_filter: LabelFilter) -> "LabelQuerySet":
        """Labels that match the filter: effective ones, unless the filter names versions or a run."""
        labels = self.filter(version__is_candidate=False) if label_filter.pools_versions else self
        if not label_filter.includes_superseded:
            labels = self.effective()
        if label_filter.version is not None:
            labels = labels.filter(version__number=label_filter.version)
        if label_filter.run is not None:
            labels = labels.filter(run=label_filter.run)
        if label_filter.value:
            labels = labels.filter(value=label_filter.value)
        if label_filter.text:
            labels = labels.filter(reason__icontains=label_filter.text)
        if label_filter.counted is not None:
            labels = labels._counted(label_filter.counted)
        return labels._in_status(label_filter.status)

    def _in_status(self, status: str) -> "LabelQuerySet":
        if status == "labelled":
            return self.labelled()
        if not status:
            return self
        return self.filter(status__in=["queued", "running"] if status == "waiting" else [status])

    def _counted(self, counted: Counted) -> "LabelQuerySet":
        window = self.filter(settled_at__gte=counted.start, settled_at__lt=counted.end)
        labels = window.filter(status=Label.Status.DONE, settled_live=True)
        return labels.filter(labelled_at__lt=counted.judged_before) if counted.judged_before else labels

    def for_list(self) -> "LabelQuerySet":
        return self.select_related("version").fetch_mode(models.FETCH_RAISE)

    def for_trace(self, project: "Project", trace_id: UUID) -> "LabelQuerySet":
        """Return labels of a trace, then those of its spans by span id."""
        labels = self.filter(project=project, trace_id=trace_id, scope__in=["trace", "span"])._with_signal()
        return labels.order_by(F("span_id").asc(nulls_first=True), "signal__name", "signal_id", "id")

    def for_sessions(self, project: "Project", keys: Iterable[str]) -> "LabelQuerySet":
        return self.filter(project=project, session_key__in=[key for key in keys if key])._with_signal()

    def _with_signal(self) -> "LabelQuerySet":
        labels = self.effective().filter(signal__archived_at=None).select_related("signal", "version")
        return labels.order_by("signal__name", "signal_id", "id")


class Label(JudgeJob):
    """The current answer of one version for one target. The row is also the judge's job.

    QUEUED -> RUNNING (leased) -> DONE, FAILED or SKIPPED. If the target grows, `wanted_revision` exceeds
    `judged_revision` and the label is queued again. Its value stays readable meanwhile.
    """

    version = models.ForeignKey(SignalVersion, on_delete=models.CASCADE, related_name="label_set", db_index=False)
    signal = models.ForeignKey(Signal, on_delete=models.CASCADE, related_name="label_set", db_index=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    run = models.ForeignKey(
        SignalRun,
        on_delete=models.SET_NULL,
        null=True,
        related_name="label_set",
        db_index=False,
        help_text="The backfill or comparison that asked first; null for live traffic.",
    )

    settled_at = models.DateTimeField(
        null=True, help_text="When the wanted revision settled, or a backfill took it; null: not known."
    )
    settled_live = models.BooleanField(
        default=True,
        db_default=True,
        help_text="Whether arriving traffic asked for the wanted revision, not a backfill.",
    )

    user_hash = models.UUIDField(
        null=True,
        help_text="Keyed hash of the user of its target, by which it is found when the target is gone; null: no user.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    # Never set it: the trigger function signals_keep_effective() of migration 0019 does (docs/adr/0018).
    is_effective = models.BooleanField(
        default=True,
        db_default=True,
        help_text="Whether it counts for its target: the newest version's that has a value, else the newest's.",
    )

    objects = LabelQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["version", "target_key"], name="signals_label_once_per_version_and_target"),
            models.CheckConstraint(
                condition=~Q(status="done") | (~Q(value="") & Q(labelled_at__isnull=False)),
                name="signals_label_done_has_value",
            ),
            models.CheckConstraint(
                condition=Q(scope="span", trace_id__isnull=False, span_id__isnull=False, session_key="")
                | Q(scope="trace", trace_id__isnull=False, span_id=None, session_key="")
                | (Q(scope="session", trace_id=None, span_id=None) & ~Q(session_key="")),
                name="signals_label_target_of_scope",
            ),
        ]
        indexes = [
            # The judge's claim: open work of each project, due first; live traffic before manual runs.
            models.Index(
                fields=["project", "not_before", "id"],
                name="signals_label_next_live",
                condition=Q(status__in=["queued", "running"], run=None),
            ),
            models.Index(
                fields=["project", "not_before", "id"],
                name="signals_label_next_run",
                condition=Q(status__in=["queued", "running"], run__isnull=False),
            ),
            # Calls under way, and what they may cost.
            models.Index(fields=["project", "signal"], name="signals_label_under_way", condition=Q(status="running")),
            # How long a signal's live work has been waiting.
            models.Index(
                fields=["signal", "not_before"], name="signals_label_waiting", condition=Q(status="queued", run=None)
            ),
            # A run's labels.
            models.Index(fields=["run", "status"], name="signals_label_by_run", condition=Q(run__isnull=False)),
            # A signal's page: newest labels, all or of one value.
            models.Index(fields=["signal", "-target_time", "-id"], name="signals_label_newest"),
            models.Index(
                fields=["signal", "value", "-target_time", "-id"],
                name="signals_label_by_value",
                condition=~Q(value=""),
            ),
            # What has no label, beside a million that have one.
            models.Index(
                fields=["signal", "status", "-target_time", "-id"],
                name="signals_label_unlabelled",
                condition=Q(status__in=["failed", "skipped"]),
            ),
            # What an alert counted.
            models.Index(
                fields=["version", "settled_at"],
                name="signals_label_settled",
                condition=Q(status="done", settled_live=True),
            ),
            # The labels of a target by all versions.
            models.Index(fields=["signal", "target_key"], name="signals_label_siblings"),
            # A signal's page: newest effective labels of one value, beside any number that were superseded.
            models.Index(
                fields=["signal", "value", "-target_time", "-id"],
                name="signals_label_effective_value",
                condition=Q(is_effective=True) & ~Q(value=""),
            ),
            # Pills beside traces, spans and sessions.
            models.Index(
                fields=["project", "trace_id"], name="signals_label_trace", condition=Q(trace_id__isnull=False)
            ),
            models.Index(fields=["project", "session_key"], name="signals_label_session", condition=~Q(session_key="")),
        ]

    @property
    def agent_id(self) -> int:
        return self.signal.agent_id

    def __str__(self) -> str:
        return f"{self.version} {self.target_key}: {self.value or self.status}"
