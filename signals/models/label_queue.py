"""The queue half of labels: enqueue, claim, write, retry, cancel."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Self
from uuid import UUID

from django.db import connection, models, transaction
from django.db.models import Count, F, Q, Sum
from django.db.models.functions import Collate

from catalyst import database
from catalyst.llm import MAX_RETRY_AFTER_SECONDS
from catalyst.llms.amounts import Calls
from signals.models.run import STOPPED, SignalRun

MAX_ATTEMPTS = 5
MAX_OUTAGES = 100
MAX_LEASE = timedelta(minutes=1)
MAX_WAIT = timedelta(seconds=MAX_RETRY_AFTER_SECONDS)
"""No pause between two tries is longer: not ours, and none that a judge asks for."""
BATCH_SIZE = 2_000
CANCELLED = "Taken out of the queue when the signal was changed or disabled, or the run was cancelled."
WORKER_DIED = f"The worker stopped {MAX_ATTEMPTS} times while judging this."


@dataclass(frozen=True, slots=True)
class LabelRequest:
    """A target that is to have a label: the fields of `Label` by the same names."""

    version_id: int
    signal_id: int
    project_id: int
    scope: str
    target_key: str
    trace_id: UUID | None
    span_id: int | None
    session_key: str
    target_time: datetime
    wanted_revision: int
    run_id: int | None = None


_columns_of = attrgetter(*(field.name for field in fields(LabelRequest)))


class JudgeJob(models.Model):
    """What every row has that a judge works on."""

    class Status(models.TextChoices):
        QUEUED = "queued", "Waiting"
        RUNNING = "running", "Being judged"
        DONE = "done", "Labelled"
        FAILED = "failed", "Failed"
        SKIPPED = "skipped", "No content"

    status = models.CharField(max_length=7, choices=Status, default=Status.QUEUED)
    wanted_revision = models.BigIntegerField()
    judged_revision = models.BigIntegerField(default=0, help_text="Revision of the target that was judged last.")
    attempts = models.PositiveSmallIntegerField(default=0, help_text="Tries for the wanted revision.")
    outages = models.PositiveSmallIntegerField(
        default=0, help_text="Tries for the wanted revision that don't count, though the target may be to blame."
    )
    tried_at = models.DateTimeField(null=True, help_text="While it waits for another try: when the last one ended.")
    not_before = models.DateTimeField(help_text="When it may be tried.")
    lease_until = models.DateTimeField(null=True, help_text="While running: until when its worker has it.")
    reserved = models.DecimalField(
        max_digits=20,
        decimal_places=9,
        default=0,
        db_default=0,
        help_text="While running: US dollars that the call may cost; 0 where the model has no price.",
    )
    error = models.TextField(blank=True, help_text="Why the last attempt gave no label, in words for people.")

    class Meta:
        abstract = True


class LabelQueueQuerySet[Job: JudgeJob](models.QuerySet[Job]):
    """Labels as the judge's queue."""

    def enqueue(self, wanted: Sequence[LabelRequest], now: datetime) -> int:
        """Queue these targets; returns how many are new or are to be judged again.

        A target that is known goes back to the queue only if it has grown beyond what is wanted and was judged. Nothing
        is ever lowered. Rows are locked in order of (version, target key), as in `lock`.
        """
        if not wanted:
            return 0
        columns = [list(column) for column in zip(*map(_columns_of, wanted), strict=True)]
        with connection.cursor() as cursor:
            cursor.execute(_WANT, [now, now, *columns, list(STOPPED)])
            return int(cursor.rowcount)

    def claimable(self, now: datetime) -> Self:
        """Work that is due, and work whose worker's lease ran out."""
        return self.filter(Q(status="queued") | Q(status="running", lease_until__lt=now), not_before__lte=now)

    def in_flight(self, projects: Iterable[int], now: datetime) -> dict[tuple[int, int], Calls]:
        """Calls under way in these projects and what they may cost, by project and signal. Dead workers have none."""
        running = self.filter(status="running", lease_until__gte=now, project__in=list(projects)).order_by()
        rows = running.values_list("project_id", "signal_id").annotate(made=Count("id"), dollars=Sum("reserved"))
        return {(project_id, signal_id): Calls(*calls) for project_id, signal_id, *calls in rows}

    @transaction.atomic
    def extend_leases(self, labels: Sequence[Job], until: datetime) -> None:
        """Hold these claims on until then. A claim that was lost stays lost: its lease is another's."""
        for lease in {label.lease_until for label in labels}:
            ours = self.lock(label.pk for label in labels if label.lease_until == lease)
            ids = list(ours.filter(status="running", lease_until=lease).values_list("id", flat=True))
            self.filter(id__in=ids).update(lease_until=until)
        for label in labels:
            label.lease_until = until

    def lock(self, ids: Iterable[int]) -> Self:
        """Lock these labels for writing, in the order that `enqueue` locks them."""
        return self.filter(id__in=list(ids))._locked()

    def _locked(self) -> Self:
        return self.order_by("version_id", Collate(F("target_key"), "C")).select_for_update(of=("self",))

    def write(self, labels: Sequence[Job]) -> None:
        """Store what a try changes of these labels, which the caller holds. One cheap statement for all of them."""
        if labels:
            columns = [[getattr(label, name) for label in labels] for name in ("id", *_WRITTEN)]
            database.execute(_WRITE, columns)

    def retry(self, now: datetime) -> int:
        """Queue the failed ones among these again, with all their tries; returns how many.

        Those of a stopped run leave it, or they would leave the queue as the rest of it does.
        """
        failed = self.filter(status="failed")
        failed.filter(run__state__in=STOPPED).update(run=None)
        return failed.update(status="queued", attempts=0, outages=0, tried_at=None, not_before=now, error="")

    def lock_next_queued(self, run: SignalRun | None = None) -> list[Job]:
        """Lock some of the work of a run that waits, or of the live work, and return it.

        Which is left to an index: in the order of locks all that waits would be sorted for each batch.
        """
        waiting = self.filter(status="queued", run=run)
        return list(waiting.filter(id__in=waiting.order_by().values("id")[:BATCH_SIZE])._locked())

    def dequeue(self, labels: Sequence[Job]) -> None:
        """End waiting labels, which the caller holds: what was never tried goes, what has a value keeps it."""
        batch = self.filter(id__in=[label.pk for label in labels])
        batch.filter(value="", attempts=0, verdicts=None).delete()
        batch.filter(value="").update(status="failed", error=CANCELLED, tried_at=None)
        batch.exclude(value="").update(status="done", wanted_revision=F("judged_revision"), error="", tried_at=None)

    @transaction.atomic
    def release(self, labels: Sequence[Job]) -> list[int]:
        """Put claimed labels back in the queue and return the ids of those that were still held."""
        leases = {label.pk: label.lease_until for label in labels}
        held = self.lock(leases).filter(status="running")
        ids = [label.pk for label in held if label.lease_until == leases[label.pk]]
        self.filter(id__in=ids).update(status="queued", lease_until=None, reserved=0)
        return ids

    @transaction.atomic
    def clamp_future_times(self, now: datetime) -> None:
        """Have what waits, or is held, for longer than can be, since a time when the machine's clock was ahead, go on.

        An answer under a lease of then counts for another try.
        """
        waiting = self.filter(status="queued", not_before__gt=now + MAX_WAIT)
        self.filter(id__in=waiting._locked().values("id")).update(not_before=now)
        running = self.filter(status="running", lease_until__gt=now + MAX_LEASE)
        self.filter(id__in=running._locked().values("id")).update(lease_until=now, not_before=now)

    def oldest_due(self, now: datetime) -> datetime | None:
        """Since when the longest of the live work among these has been due; None where nothing is."""
        due = self.filter(status="queued", run=None, not_before__lte=now)
        return due.order_by("not_before").values_list("not_before", flat=True).first()


_WRITTEN = {
    "value": "text",
    "reason": "text",
    "judge": "text",
    "labelled_at": "timestamptz",
    "cost": "numeric",
    "judged_revision": "bigint",
    "status": "text",
    "error": "text",
    "attempts": "integer",
    "outages": "integer",
    "tried_at": "timestamptz",
    "not_before": "timestamptz",
    "lease_until": "timestamptz",
    "reserved": "numeric",
}

_WRITE = f"""
    UPDATE signals_label l SET {", ".join(f"{name} = w.{name}" for name in _WRITTEN)}
    FROM unnest(%s::bigint[], {", ".join(f"%s::{kind}[]" for kind in _WRITTEN.values())})
        AS w (id, {", ".join(_WRITTEN)})
    WHERE l.id = w.id
"""

_WANT = """
    INSERT INTO signals_label AS l (
        version_id, signal_id, project_id, scope, target_key, trace_id, span_id, session_key, target_time,
        wanted_revision, run_id, judged_revision, status, attempts, outages, not_before, created_at,
        value, reason, judge, error
    )
    SELECT w.*, 0, 'queued', 0, 0, %s, %s, '', '', '', ''
    FROM unnest(
        %s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::uuid[], %s::bigint[], %s::text[],
        %s::timestamptz[], %s::bigint[], %s::bigint[]
    ) AS w (version_id, signal_id, project_id, scope, target_key)
    ORDER BY w.version_id, w.target_key COLLATE "C"
    ON CONFLICT (version_id, target_key) DO UPDATE SET
        wanted_revision = EXCLUDED.wanted_revision,
        target_time = EXCLUDED.target_time,
        run_id = CASE
            WHEN l.run_id IN (SELECT id FROM signals_signalrun WHERE state = ANY(%s)) THEN EXCLUDED.run_id
            ELSE l.run_id
        END,
        status = CASE l.status WHEN 'running' THEN l.status ELSE EXCLUDED.status END,
        attempts = CASE WHEN l.status IN ('running', 'queued') THEN l.attempts ELSE 0 END,
        outages = CASE WHEN l.status IN ('running', 'queued') THEN l.outages ELSE 0 END,
        tried_at = CASE WHEN l.status IN ('running', 'queued') THEN l.tried_at END,
        not_before = CASE WHEN l.status IN ('running', 'queued') THEN l.not_before ELSE EXCLUDED.not_before END,
        error = CASE WHEN l.status IN ('running', 'queued') THEN l.error ELSE '' END
    WHERE EXCLUDED.wanted_revision > greatest(l.wanted_revision, l.judged_revision)
"""
