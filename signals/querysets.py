"""Queries over signals, labels and the judges' health."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import connection, models, transaction
from django.db.models import Count, F, Q, Sum
from django.db.models.functions import Collate

from catalyst import database
from catalyst.llm import MAX_RETRY_AFTER_SECONDS
from catalyst.querysets import Cursor
from catalyst.timerange import TimeRange
from signals.budgets import Calls

if TYPE_CHECKING:
    from catalyst.agents.models import Agent
    from catalyst.core.models import Project
    from signals.models import Exchange, JudgeHealth, Label, Signal, SignalRun

MAX_ATTEMPTS = 5
MAX_OUTAGES = 100
LONGEST_LEASE = timedelta(minutes=1)
LONGEST_WAIT = timedelta(seconds=MAX_RETRY_AFTER_SECONDS)
"""No pause between two tries is longer: not ours, and none that a judge asks for."""
BATCH = 2_000
STOPPED = ("cancelled", "failed")
"""States of manual runs whose work is to be done no more."""
CANCELLED = "Taken out of the queue when the signal was changed or disabled, or the run was cancelled."
WORKER_DIED = f"The worker stopped {MAX_ATTEMPTS} times while judging this."


@dataclass(frozen=True, slots=True)
class SignalFilter:
    """What a list of signals is narrowed to, and what it is sorted by. `agent`: its id."""

    text: str = ""
    state: str = ""
    scope: str = ""
    agent: int | None = None
    sort: str = "name"


class SignalQuerySet(models.QuerySet["Signal"]):
    """Signals."""

    def for_project(self, project: "Project") -> "SignalQuerySet":
        """Signals of one project."""
        return self.filter(project=project)

    def for_agent(self, agent: "Agent") -> "SignalQuerySet":
        """Signals of one agent."""
        return self.filter(agent=agent)

    def unarchived(self) -> "SignalQuerySet":
        """Signals that were not put away."""
        return self.filter(archived_at=None)

    def archived(self) -> "SignalQuerySet":
        """Signals that were put away."""
        return self.filter(archived_at__isnull=False)

    def live(self) -> "SignalQuerySet":
        """Signals that judge arriving traffic."""
        return self.filter(state="active", archived_at=None, current_version__isnull=False)

    def matching(self, wanted: SignalFilter) -> "SignalQuerySet":
        """Signals that pass a filter."""
        found = self.filter(name__icontains=wanted.text) if wanted.text else self
        given = {"state": wanted.state, "scope": wanted.scope, "agent": wanted.agent}
        return found.filter(**{name: value for name, value in given.items() if value not in {"", None}})

    def agents(self) -> list[tuple[int, str]]:
        """Id and name of every agent that these signals are for."""
        named = self.order_by("agent__name", "agent_id").values_list("agent_id", "agent__name", "agent__identity")
        return [(pk, name or identity) for pk, name, identity in named.distinct()]

    def for_list(self) -> "SignalQuerySet":
        """With all that a list shows of the signal itself, by name."""
        return self.select_related("project", "agent", "current_version").order_by("name", "id")


@dataclass(frozen=True, slots=True)
class Wanted:
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


_columns_of = attrgetter(*(field.name for field in fields(Wanted)))


@dataclass(frozen=True, slots=True)
class LabelFilter:
    """What a list of labels is narrowed to. A status is that of a label, or `waiting` for what no judge ended yet.

    `version`: its number; `run`: the id of a manual run; `text`: a part of the reason.
    """

    value: str = ""
    status: str = ""
    version: int | None = None
    run: int | None = None
    text: str = ""

    @property
    def narrows(self) -> bool:
        """Whether anything may fail to pass."""
        return self != LabelFilter()


class LabelQuerySet(models.QuerySet["Label"]):
    """Labels, which are also the judge's queue."""

    def want(self, wanted: Sequence[Wanted], now: datetime) -> int:
        """Queue these targets; returns how many are new or are to be judged again.

        A target that is known goes back to the queue only if it has grown beyond what is wanted and was judged. Nothing
        is ever lowered. Rows are locked in order of (version, target key), as in `held`.
        """
        if not wanted:
            return 0
        columns = [list(column) for column in zip(*map(_columns_of, wanted), strict=True)]
        with connection.cursor() as cursor:
            cursor.execute(_WANT, [now, now, *columns, list(STOPPED)])
            return int(cursor.rowcount)

    def claimable(self, now: datetime) -> "LabelQuerySet":
        """Work that is due, and work whose worker's lease ran out."""
        return self.filter(Q(status="queued") | Q(status="running", lease_until__lt=now), not_before__lte=now)

    def under_way(self, projects: Iterable[int], now: datetime) -> dict[tuple[int, int], Calls]:
        """Calls under way in these projects and what they may cost, by project and signal. Dead workers have none."""
        running = self.filter(status="running", lease_until__gte=now, project__in=list(projects)).order_by()
        rows = running.values_list("project_id", "signal_id").annotate(made=Count("id"), dollars=Sum("reserved"))
        return {(project_id, signal_id): Calls(*calls) for project_id, signal_id, *calls in rows}

    @transaction.atomic
    def renew(self, labels: Sequence["Label"], until: datetime) -> None:
        """Hold these claims on until then. A claim that was lost stays lost: its lease is another's."""
        for lease in {label.lease_until for label in labels}:
            ours = self.held(label.pk for label in labels if label.lease_until == lease)
            ids = list(ours.filter(status="running", lease_until=lease).values_list("id", flat=True))
            self.filter(id__in=ids).update(lease_until=until)
        for label in labels:
            label.lease_until = until

    def held(self, ids: Iterable[int]) -> "LabelQuerySet":
        """Lock these labels for writing, in the order that `want` locks them."""
        return self.filter(id__in=list(ids))._locked()

    def _locked(self) -> "LabelQuerySet":
        return self.order_by("version_id", Collate(F("target_key"), "C")).select_for_update(of=("self",))

    def write(self, labels: Sequence["Label"]) -> None:
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

    def next_waiting(self, run: "SignalRun | None" = None) -> list["Label"]:
        """Lock some of the work of a run that waits, or of the live work, and return it.

        Which is left to an index: in the order of locks all that waits would be sorted for each batch.
        """
        waiting = self.filter(status="queued", run=run)
        return list(waiting.filter(id__in=waiting.order_by().values("id")[:BATCH])._locked())

    def cancel(self, labels: Sequence["Label"]) -> None:
        """End waiting labels, which the caller holds: what was never tried goes, what has a value keeps it."""
        batch = self.filter(id__in=[label.pk for label in labels])
        batch.filter(value="", attempts=0, verdicts=None).delete()
        batch.filter(value="").update(status="failed", error=CANCELLED, tried_at=None)
        batch.exclude(value="").update(status="done", wanted_revision=F("judged_revision"), error="", tried_at=None)

    @transaction.atomic
    def unclaim(self, labels: Sequence["Label"]) -> list[int]:
        """Put claimed labels back in the queue and return the ids of those that were still held."""
        leases = {label.pk: label.lease_until for label in labels}
        held = self.held(leases).filter(status="running")
        ids = [label.pk for label in held if label.lease_until == leases[label.pk]]
        self.filter(id__in=ids).update(status="queued", lease_until=None, reserved=0)
        return ids

    @transaction.atomic
    def bring_forward(self, now: datetime) -> None:
        """Have what waits, or is held, for longer than can be, since a time when the machine's clock was ahead, go on.

        An answer under a lease of then counts for another try.
        """
        waiting = self.filter(status="queued", not_before__gt=now + LONGEST_WAIT)
        self.filter(id__in=waiting._locked().values("id")).update(not_before=now)
        running = self.filter(status="running", lease_until__gt=now + LONGEST_LEASE)
        self.filter(id__in=running._locked().values("id")).update(lease_until=now, not_before=now)

    def oldest_before(self, before: datetime, most: int) -> list[int]:
        """Ids of the labels that were made before, among the oldest so many: ids grow as labels are made."""
        oldest = self.order_by("id").values_list("id", "created_at")[:most]
        return [pk for pk, created_at in oldest if created_at < before]

    def waits_since(self, now: datetime) -> datetime | None:
        """Since when the longest of the live work among these has been due; None where nothing is."""
        due = self.filter(status="queued", run=None, not_before__lte=now)
        return due.order_by("not_before").values_list("not_before", flat=True).first()

    def errors(self, most: int) -> list[tuple[str, int]]:
        """Why the newest so many failed, the most frequent reason first, with how many failed so."""
        newest = self.filter(status="failed").order_by("-target_time", "-id").values("id")[:most]
        reasons = self.model.objects.filter(id__in=newest).order_by().values_list("error")
        return list(reasons.annotate(n=Count("id")).order_by("-n", "error"))

    def labelled(self) -> "LabelQuerySet":
        """Labels that have a value, also while their grown target waits for another."""
        return self.exclude(value="")

    def within(self, time_range: TimeRange) -> "LabelQuerySet":
        """Labels of targets that began in the time range."""
        return self.filter(target_time__gte=time_range.start, target_time__lt=time_range.end)

    def newest(self, after: Cursor | None = None) -> "LabelQuerySet":
        """Newest targets first, by their start; from behind `after`."""
        found = self.select_related("version").order_by("-target_time", "-id")
        if after is None:
            return found
        return found.filter(Q(target_time__lt=after.time) | Q(id__lt=after.id), target_time__lte=after.time)

    def matching(self, wanted: LabelFilter) -> "LabelQuerySet":
        """Labels that pass a filter."""
        found = self if wanted.version is None else self.filter(version__number=wanted.version)
        if wanted.run is not None:
            found = found.filter(run=wanted.run)
        if wanted.value:
            found = found.filter(value=wanted.value)
        if wanted.text:
            found = found.filter(reason__icontains=wanted.text)
        if wanted.status:
            waiting = wanted.status == "waiting"
            found = found.filter(status__in=["queued", "running"] if waiting else [wanted.status])
        return found

    def for_list(self) -> "LabelQuerySet":
        """With all that a row shows of the label itself."""
        return self.select_related("version").fetch_mode(models.FETCH_RAISE)

    def for_trace(self, project: "Project", trace_id: UUID) -> "LabelQuerySet":
        """Labels of one trace as a whole and of its spans."""
        return self.filter(project=project, trace_id=trace_id, scope__in=["trace", "span"])._with_signal()

    def for_sessions(self, project: "Project", keys: Iterable[str]) -> "LabelQuerySet":
        """Labels of these sessions."""
        return self.filter(project=project, session_key__in=[key for key in keys if key])._with_signal()

    def _with_signal(self) -> "LabelQuerySet":
        """Of signals that are not archived, oldest version first."""
        shown = self.filter(signal__archived_at=None).select_related("signal", "version")
        return shown.order_by("signal__name", "signal_id", "version__number", "id")


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


class SignalRunQuerySet(models.QuerySet["SignalRun"]):
    """Manual runs."""

    def stopped(self) -> "SignalRunQuerySet":
        """Those whose work is to be done no more."""
        return self.filter(state__in=STOPPED)

    def for_signal(self, signal: "Signal") -> "SignalRunQuerySet":
        """Runs of any version of a signal, newest first, with what a list shows of them."""
        return self.filter(version__signal=signal)._for_list()

    def for_project(self, project: "Project") -> "SignalRunQuerySet":
        """The same for all signals of a project."""
        return self.filter(version__signal__project=project)._for_list()

    def _for_list(self) -> "SignalRunQuerySet":
        return self.select_related("version__signal", "created_by").order_by("-pk")

    def open(self) -> "SignalRunQuerySet":
        """Runs that still work, oldest first."""
        return self.filter(state__in=["collecting", "judging"]).order_by("pk")

    def collecting(self) -> "SignalRunQuerySet":
        """Runs that still look for targets, oldest first."""
        return self.filter(state="collecting").order_by("pk")

    def overtaken(self) -> "SignalRunQuerySet":
        """Runs that still work though their signal asks something else by now, or was put away."""
        changed = ~Q(version=F("version__signal__current_version"))
        return self.open().filter(changed | Q(version__signal__archived_at__isnull=False))


class ExchangeQuerySet(models.QuerySet["Exchange"]):
    """What judges were asked and answered."""

    def forget(self, project: "Project", before: datetime, most: int) -> int:
        """Delete the oldest so many of a project that are from before; returns how many."""
        old = self.filter(project=project, created_at__lt=before).order_by("created_at")
        return self.filter(pk__in=list(old.values_list("pk", flat=True)[:most])).delete()[0]


class JudgeHealthQuerySet(models.QuerySet["JudgeHealth"]):
    """Whether the judges answer."""

    def bring_forward(self, now: datetime) -> None:
        """End pauses that are longer than can be, made when the machine's clock was ahead."""
        self.filter(paused_until__gt=now + LONGEST_WAIT).update(paused_until=now)

    def troubled(self) -> "JudgeHealthQuerySet":
        """Judges that did not answer when last asked, for people to see."""
        return self.filter(failures__gt=0).order_by("model")
