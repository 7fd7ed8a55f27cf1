"""The judge's queue: jobs wait, are leased and end. Which columns that writes is in `label_states`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from operator import attrgetter
from typing import Any, Self
from uuid import UUID

from django.db import connection, models, transaction
from django.db.models import Count, Exists, F, OuterRef, Q, Sum
from django.db.models.functions import Collate

from catalyst import database
from catalyst.llm import MAX_RETRY_AFTER_SECONDS
from catalyst.llms.amounts import Account, Calls
from signals.definitions.choices import Scope, Sentiment
from signals.models.label_states import Event, Status, columns
from signals.models.run import STOPPED, SignalRun
from signals.models.signal import DefinitionModel

MAX_OUTAGES = 100
MAX_LEASE = timedelta(minutes=1)
# Caps every delay between two tries, including the retry-after of a judge.
MAX_WAIT = timedelta(seconds=MAX_RETRY_AFTER_SECONDS)
BATCH_SIZE = 2_000


@dataclass(frozen=True, slots=True)
class LabelRequest:
    """A request to label a target. Fields are named like those of `Label`.

    `settled_at` defaults to the time of enqueueing.
    """

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
    settled_at: datetime | None = None
    user_hash: UUID | None = None


_columns_of = attrgetter(*(field.name for field in fields(LabelRequest)))


class JudgeJob(models.Model):
    """A row that a judge works on: target, place in the queue, answer."""

    Status = Status

    scope = models.CharField(max_length=7, choices=Scope)
    target_key = models.CharField(
        max_length=256, help_text="Trace id; trace id and span id with a colon between; or session id."
    )
    trace_id = models.UUIDField(null=True, help_text="Of a span or trace target.")
    span_id = models.BigIntegerField(null=True, help_text="Of a span target.")
    session_key = models.CharField(max_length=256, blank=True, help_text="Of a session target.")
    target_time = models.DateTimeField(help_text="Start of the target.")

    value = models.CharField(max_length=60, blank=True)
    reason = models.TextField(blank=True)
    judge = models.CharField(max_length=200, blank=True, help_text="The model that gave the value, or offline.")
    labelled_at = models.DateTimeField(null=True)
    cost = models.DecimalField(
        max_digits=20,
        decimal_places=9,
        null=True,
        help_text="US dollars of all its judge calls; null while none had a known price.",
    )

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

    @property
    def version(self) -> DefinitionModel:
        raise NotImplementedError

    @property
    def agent_id(self) -> int:
        raise NotImplementedError

    @property
    def sentiment(self) -> str:
        return str(self.version.sentiments.get(self.value, Sentiment.NEUTRAL))

    # The ways in which a try ends. They change the instance, which the caller holds; `write` stores it.

    def retry_later(self, now: datetime, not_before: datetime, error: str) -> None:
        self._apply(Event.RETRY_LATER, error=error, tried_at=now, not_before=not_before)

    def wait_for_judge(self, now: datetime, not_before: datetime, error: str, outages: int) -> None:
        """Try again at `not_before`. This try doesn't count, because the judge was unreachable."""
        tries = {"attempts": self.attempts - 1, "outages": outages}
        self._apply(Event.WAIT_FOR_JUDGE, error=error, tried_at=now, not_before=not_before, **tries)

    def finish(self, now: datetime, revision: int, *, value: str, reason: str, judge: str) -> None:
        answer: dict[str, Any] = {"value": value, "reason": reason, "judge": judge, "labelled_at": now}
        self._end(Event.FINISH, now, revision, **answer)

    def skip(self, now: datetime, revision: int, error: str) -> None:
        self._end(Event.SKIP, now, revision, error)

    def fail(self, now: datetime, revision: int, error: str) -> None:
        self._end(Event.FAIL, now, revision, error)

    def _end(self, event: Event, now: datetime, revision: int, error: str = "", **answer: Any) -> None:
        judged = max(self.judged_revision, revision)
        self._apply(event, error=error, not_before=now, judged_revision=judged, **answer)
        if self.wanted_revision > revision:
            self._apply(Event.JUDGE_AGAIN)

    def _apply(self, event: Event, **given: Any) -> None:
        for name, value in columns(self.status, event, **given).items():
            setattr(self, name, value)


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


class JudgeJobQuerySet[Job: JudgeJob](models.QuerySet[Job]):
    # Column of the row's owner. Rows are locked in the order of owner and target key.
    owner = ""
    # Columns that a try changes, with their database types.
    written: Mapping[str, str] = _WRITTEN

    def claimable(self, now: datetime) -> Self:
        """Due jobs, and jobs whose lease has expired."""
        return self.filter(Q(status="queued") | Q(status="running", lease_until__lt=now), not_before__lte=now)

    def in_flight(self, projects: Iterable[int], now: datetime) -> dict[Account, Calls]:
        """Return calls under way and their maximum cost, by account. Expired leases don't count."""
        running = self.filter(status="running", lease_until__gte=now, project__in=list(projects)).order_by()
        rows = running.values_list("project_id", "signal_id").annotate(made=Count("id"), dollars=Sum("reserved"))
        return {Account(project, signal): Calls(made, dollars) for project, signal, made, dollars in rows}

    def lease(self, labels: Sequence[Job], reserved: Mapping[int, Decimal], until: datetime) -> None:
        """Start a try of these locked jobs. `reserved`: the maximum cost of each call in dollars, by job id."""
        if labels:
            statement = _LEASE.format(table=self.model._meta.db_table)
            database.execute(statement, [until, list(reserved), list(reserved.values())])
        for label in labels:
            label.status, label.attempts, label.lease_until = Status.RUNNING, label.attempts + 1, until
            label.reserved = reserved[label.pk]

    def give_up(self, labels: Sequence[Job]) -> None:
        """Fail these locked jobs because their workers died too often."""
        if labels:
            gave_up = columns(Status.RUNNING, Event.GIVE_UP)
            self.filter(id__in=[label.pk for label in labels]).update(**gave_up)
        for label in labels:
            label.status = Status.FAILED

    @transaction.atomic
    def extend_leases(self, labels: Sequence[Job], until: datetime) -> None:
        """Extend these leases. A lease that another worker has taken over stays with that worker."""
        for lease in {label.lease_until for label in labels}:
            ours = self.lock(label.pk for label in labels if label.lease_until == lease)
            ids = list(ours.filter(status="running", lease_until=lease).values_list("id", flat=True))
            extended = columns(Status.RUNNING, Event.EXTEND_LEASE, lease_until=until)
            self.filter(id__in=ids).update(**extended)
        for label in labels:
            label.lease_until = until

    def lock(self, ids: Iterable[int]) -> Self:
        """Lock these jobs in the same order as `enqueue`, which prevents deadlocks."""
        return self.filter(id__in=list(ids))._locked()

    def _locked(self) -> Self:
        return self.order_by(self.owner, Collate(F("target_key"), "C")).select_for_update(of=("self",))

    def write(self, labels: Sequence[Job]) -> None:
        """Store the result of a try for these locked jobs in one statement."""
        if labels:
            values = [[getattr(label, name) for label in labels] for name in ("id", *self.written)]
            database.execute(_write_statement(self.model._meta.db_table, tuple(self.written.items())), values)

    @transaction.atomic
    def release(self, labels: Sequence[Job]) -> list[int]:
        """Put claimed jobs back into the queue. Return the ids of those whose lease still held."""
        leases = {label.pk: label.lease_until for label in labels}
        held = self.lock(leases).filter(status="running")
        ids = [label.pk for label in held if label.lease_until == leases[label.pk]]
        self.filter(id__in=ids).update(**columns(Status.RUNNING, Event.RELEASE))
        return ids

    @transaction.atomic
    def resume(self, connection_id: int, now: datetime) -> None:
        """Make queued jobs due that wait after a try, and whose judge is a model of this connection."""
        waiting = self.filter(status="queued", not_before__gt=now, tried_at__isnull=False)
        tried = waiting.filter(**{f"{self.owner.removesuffix('_id')}__connection": connection_id})
        due = columns(Status.QUEUED, Event.RESUME, not_before=now)
        self.filter(id__in=tried._locked().values("id")).update(**due)

    @transaction.atomic
    def clamp_future_times(self, now: datetime) -> None:
        """Make jobs due that were delayed or leased while the machine's clock was ahead."""
        waiting = self.filter(status="queued", not_before__gt=now + MAX_WAIT)
        clamped = columns(Status.QUEUED, Event.CLAMP_FUTURE_TIMES, not_before=now)
        self.filter(id__in=waiting._locked().values("id")).update(**clamped)
        running = self.filter(status="running", lease_until__gt=now + MAX_LEASE)
        clamped = columns(Status.RUNNING, Event.CLAMP_FUTURE_TIMES, lease_until=now, not_before=now)
        self.filter(id__in=running._locked().values("id")).update(**clamped)


class LabelQueueQuerySet[Job: JudgeJob](JudgeJobQuerySet[Job]):
    owner = "version_id"

    def enqueue(self, requests: Sequence[LabelRequest], now: datetime) -> int:
        """Queue these targets. Return how many are new or will be judged again.

        A known target is queued again only if it has grown since the last request. Revisions never decrease.
        Rows are locked in order of (version, target key).
        """
        if not requests:
            return 0
        values = [list(column) for column in zip(*map(_columns_of, requests), strict=True)]
        targets = ([request.signal_id for request in requests], [request.target_key for request in requests])
        # These are planned each time: a plan kept from when the table was small reads all of it.
        with connection.cursor() as cursor:
            cursor.execute(_LOCK_TARGETS, targets)
            cursor.execute(_ENQUEUE, [now, now, now, *values, list(STOPPED)])
            return int(cursor.rowcount)

    def lock_targets(self, ids: Iterable[int]) -> Self:
        """Lock all labels of these labels' targets, of any version, in the order of `enqueue`.

        Read it before a change that may make another label effective: that writes the siblings too.
        """
        all_labels = type(self)(self.model)
        same_target = {"signal": OuterRef("signal"), "target_key": OuterRef("target_key")}
        return all_labels.filter(Exists(all_labels.filter(id__in=list(ids), **same_target)))._locked()

    def retry(self, now: datetime) -> int:
        """Queue failed labels again with all their tries. Return how many."""
        failed = self.filter(status="failed")
        # The labels of a stopped run are dequeued, so these must leave it.
        failed.filter(run__state__in=STOPPED).update(run=None)
        return failed.update(**columns(Status.FAILED, Event.RETRY, not_before=now))

    def lock_next_queued(self, run: SignalRun | None = None) -> list[Job]:
        """Lock and return a batch of queued labels of a run, or of live traffic."""
        waiting = self.filter(status="queued", run=run)
        # Any labels will do: taking the first in lock order would sort the whole queue for each batch.
        ids = list(waiting.order_by().values_list("id", flat=True)[:BATCH_SIZE])
        list(self.lock_targets(ids).values_list("id"))
        return list(waiting.filter(id__in=ids))

    def dequeue(self, labels: Sequence[Job]) -> None:
        """Dequeue these locked labels. Labels without a try are deleted; labels with a value keep it."""
        batch = self.filter(id__in=[label.pk for label in labels])
        batch.filter(value="", attempts=0, verdicts=None).delete()
        batch.filter(value="").update(**columns(Status.QUEUED, Event.CANCEL))
        batch.exclude(value="").update(**columns(Status.QUEUED, Event.KEEP_VALUE))

    def oldest_due(self, now: datetime) -> datetime | None:
        """Return when the oldest queued live label became due, or None."""
        due = self.filter(status="queued", run=None, not_before__lte=now)
        return due.order_by("not_before").values_list("not_before", flat=True).first()


_WRITE = """
    UPDATE {table} l SET {assignments}
    FROM unnest(%s::bigint[], {arrays}) AS w (id, {names})
    WHERE l.id = w.id
"""

_LOCK_TARGETS = """
    SELECT FROM unnest(%s::bigint[], %s::text[]) AS w (signal_id, target_key)
    JOIN signals_label s ON s.signal_id = w.signal_id AND s.target_key = w.target_key
    ORDER BY s.version_id, s.target_key COLLATE "C" FOR UPDATE OF s
"""


@cache
def _write_statement(table: str, columns: tuple[tuple[str, str], ...]) -> str:
    names = [name for name, _ in columns]
    return _WRITE.format(
        table=table,
        assignments=", ".join(f"{name} = w.{name}" for name in names),
        arrays=", ".join(f"%s::{kind}[]" for _, kind in columns),
        names=", ".join(names),
    )


# Event.LEASE of `label_states` in SQL: each row gets its own reservation.
_LEASE = """
    UPDATE {table} l SET status = 'running', attempts = attempts + 1, lease_until = %s, reserved = c.reserved
    FROM unnest(%s::bigint[], %s::numeric[]) AS c (id, reserved)
    WHERE l.id = c.id
"""

# The row of Event.ENQUEUE in the table, for each state.
_ENQUEUE = """
    INSERT INTO signals_label AS l (
        version_id, signal_id, project_id, scope, target_key, trace_id, span_id, session_key, target_time,
        wanted_revision, run_id, settled_at, settled_live, judged_revision, status, attempts, outages,
        not_before, created_at, value, reason, judge, error, user_hash
    )
    SELECT w.version_id, w.signal_id, w.project_id, w.scope, w.target_key, w.trace_id, w.span_id, w.session_key,
        w.target_time, w.wanted_revision, w.run_id, coalesce(w.settled_at, %s), w.run_id IS NULL, 0, 'queued', 0, 0,
        %s, %s, '', '', '', '', w.user_hash
    FROM unnest(
        %s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::uuid[], %s::bigint[], %s::text[],
        %s::timestamptz[], %s::bigint[], %s::bigint[], %s::timestamptz[], %s::uuid[]
    ) AS w (
        version_id, signal_id, project_id, scope, target_key, trace_id, span_id, session_key,
        target_time, wanted_revision, run_id, settled_at, user_hash
    )
    ORDER BY w.version_id, w.target_key COLLATE "C"
    ON CONFLICT (version_id, target_key) DO UPDATE SET
        wanted_revision = EXCLUDED.wanted_revision,
        target_time = EXCLUDED.target_time,
        settled_at = EXCLUDED.settled_at,
        user_hash = coalesce(EXCLUDED.user_hash, l.user_hash),
        settled_live = EXCLUDED.settled_live,
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
