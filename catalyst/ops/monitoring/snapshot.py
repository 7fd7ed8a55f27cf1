"""The numbers by which one sees how the whole is doing: asked of the database and the disk, judged elsewhere."""

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, models, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Exists, OuterRef

from catalyst import task_backend
from catalyst.core import key_use
from catalyst.core.models import ApiKey, Project
from catalyst.llms.amounts import SpentToday
from catalyst.llms.endpoints import endpoint
from catalyst.llms.models import Budget, JudgeHealth
from catalyst.ops.models import Heartbeat, Wakeup
from catalyst.timerange import CUSTOM, HOUR, TimeRange, ceil, floor
from signals.judging import spending
from signals.models import Label, Signal, SignalRun
from signals.results.rollups import sums
from traces.models import Unsettled
from traces.store import partitions
from traces.store.disk import disk_use

MAX_COUNTED = 100_000
"""Rows are counted up to here: a queue that long needs no exact number."""
RECENT = timedelta(hours=24)
PATIENCE = "10s"
FAILURES_READ = 1_000
REASONS = {
    "bad_id": "spans with a wrong id",
    "bad_time": "spans with a wrong time",
    "bad_shape": "spans that can't be read",
    "refused_400": "requests that are no OTLP (400)",
    "refused_401": "without a valid key (401)",
    "refused_403": "with a key that may not post (403)",
    "refused_413": "too large (413)",
    "refused_415": "of another content type (415)",
    "refused_429": "faster than the key may send (429)",
    "refused_503": "while the database was away or too many waited for it (503)",
}

_DATABASE = """
SELECT current_setting('server_version'), pg_database_size(current_database()),
    count(*) FILTER (WHERE backend_type = 'client backend'), current_setting('max_connections')::int,
    coalesce(extract(epoch FROM max(now() - xact_start) FILTER (WHERE ours)), 0)::float,
    coalesce((array_agg(pid ORDER BY xact_start) FILTER (WHERE ours AND xact_start IS NOT NULL))[1], 0)
FROM (SELECT *, datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid() AS ours
    FROM pg_stat_activity) AS activity
"""


@dataclass(frozen=True, slots=True)
class Database:
    """The server. `transaction_…`: since when Catalyst's oldest transaction has been open, and in which process."""

    version: str
    size: int
    connections: int
    most_connections: int
    transaction_seconds: float
    transaction_pid: int


@dataclass(frozen=True, slots=True)
class Days:
    """The partitions: the last day that all tables have, whether today's is there, rows outside of all days."""

    count: int
    has_today: bool
    last: date | None
    astray: int


@dataclass(frozen=True, slots=True)
class Queue:
    """Work that waits: rows in all, those that are due, and since when the longest has been due."""

    total: int
    due: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class KeyUsed:
    """What a key was used for in the last hours; without a key, by requests that named none or a wrong one."""

    key: ApiKey | None
    counts: Counter[str]

    @property
    def received(self) -> int:
        """Spans of accepted requests."""
        return self.stored + self.counts["duplicate"] + self.rejected

    @property
    def stored(self) -> int:
        """Spans written: new ones, and fuller versions of known ones."""
        return self.counts["new"] + self.counts["replaced"]

    @property
    def rejected(self) -> int:
        """Spans that could not be stored."""
        return sum(count for what, count in self.counts.items() if what.startswith("bad_"))

    @property
    def refused(self) -> int:
        """Requests that were answered with an error."""
        return sum(count for what, count in self.counts.items() if what.startswith("refused_"))

    def reasons(self) -> str:
        """Why spans were rejected and requests refused, the most frequent first."""
        return ", ".join(f"{count:,} {REASONS[what]}" for what, count in self.counts.most_common() if what in REASONS)


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system of the data folder, in bytes."""

    folder: Path
    free: int
    total: int


@dataclass(frozen=True, slots=True)
class ProjectDisk:
    """An estimate of what the spans of one project take in the database, in bytes."""

    project: Project
    size: int
    spans: int


@dataclass(frozen=True, slots=True)
class SignalUse:
    """A signal that is not archived: its labels of targets that began in the last hours, by what became of them."""

    signal: Signal
    labels: Counter[str]
    is_stopped: bool
    """True while a cap keeps it from judging."""


@dataclass(frozen=True, slots=True)
class Spending:
    """What judging costs one project on this UTC day, and how many of its active signals a cap stops."""

    project: Project
    today: SpentToday
    stopped: int


@dataclass(frozen=True, slots=True)
class Vitals:
    """All of it, as it was at `at`."""

    at: datetime
    database: Database
    days: Days
    settling: Queue
    judging: Queue
    running: int
    failed: int
    failure: str
    """Why most of the newest failed labels failed; empty when none did."""
    runs: dict[str, int]
    signals: list[SignalUse]
    spending: list[Spending]
    tasks: dict[str, int]
    wakeups: list[Wakeup]
    heartbeats: list[Heartbeat]
    judges: list[JudgeHealth]
    judge_url: str
    keys: list[KeyUsed]
    disk: Disk | None
    projects: list[ProjectDisk]
    missing: list[str] = field(default_factory=list)


@contextmanager
def patience() -> Iterator[None]:
    """Wait no longer than PATIENCE for each answer of the database: what is asked may be locked.

    Raises django.db.Error then.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [PATIENCE])
        yield


@patience()
def take(now: datetime) -> Vitals:
    """Look at everything. Raises django.db.Error when the database does not answer or has no tables yet."""
    queued, running = judging(now)
    in_use = signals(now)
    recent = Label.objects.filter(status=Label.Status.FAILED, target_time__gte=now - RECENT)
    return Vitals(
        at=now,
        database=database(),
        days=days(now),
        settling=_queue(Unsettled.objects.all(), "due_at", now),
        judging=queued,
        running=running,
        failed=_count(recent),
        failure=next((error for error, _ in recent.errors(FAILURES_READ)), ""),
        runs={state: _count(SignalRun.objects.open().filter(state=state)) for state in SignalRun.OPEN},
        signals=in_use,
        spending=spent(in_use, now),
        tasks={queue: task_backend.waiting(queue) for queue in settings.TASKS["default"]["QUEUES"]},
        wakeups=list(Wakeup.objects.order_by("kind")),
        heartbeats=list(Heartbeat.objects.newest()),
        judges=list(JudgeHealth.objects.failing().filter(url=endpoint())),
        judge_url=endpoint(),
        keys=key_uses(now - RECENT),
        disk=disk(),
        projects=projects(now),
        missing=missing_migrations(),
    )


def database() -> Database:
    """The server's own numbers."""
    with connection.cursor() as cursor:
        cursor.execute(_DATABASE)
        return Database(*cursor.fetchone())


@cache
def _migrations() -> frozenset[tuple[str, str]]:
    return frozenset(MigrationLoader(None).disk_migrations)


def missing_migrations() -> list[str]:
    """Migrations of this version that the database has not seen."""
    applied = MigrationRecorder(connection).applied_migrations()
    return sorted(f"{app}.{name}" for app, name in _migrations() - applied.keys())


def days(now: datetime) -> Days:
    """How far the partitions reach."""
    found = partitions.days()
    last = now.date()
    while last in found:
        last += timedelta(days=1)
    has_today = now.date() in found
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM (SELECT FROM traces_span_default LIMIT %s) AS counted", [MAX_COUNTED])
        astray = int(cursor.fetchone()[0])
    return Days(len(found), has_today, last - timedelta(days=1) if has_today else None, astray)


def judging(now: datetime) -> tuple[Queue, int]:
    """Labels that wait for a judge, and how many are with one."""
    waiting = Label.objects.filter(status=Label.Status.QUEUED)
    queues = [_queue(waiting.filter(run__isnull=of_run), "not_before", now) for of_run in (True, False)]
    oldest = min((queue.oldest for queue in queues if queue.oldest), default=None)
    together = Queue(sum(queue.total for queue in queues), sum(queue.due for queue in queues), oldest)
    running = Label.objects.filter(status=Label.Status.RUNNING)
    return together, sum(_count(running.filter(run__isnull=of_run)) for of_run in (True, False))


def signals(now: datetime) -> list[SignalUse]:
    """The signals that are not archived, by project and name."""
    found = list(Signal.objects.unarchived().for_list().order_by("project__slug", "name", "id"))
    start, end = floor(now - RECENT, HOUR), ceil(now, HOUR)
    counts: dict[int, Counter[str]] = {signal.pk: Counter() for signal in found}
    for cell in sums(signal__in=found).totals(TimeRange(CUSTOM, start, end, end - start)):
        counts[cell.signal][cell.state] += cell.count
    live = [signal.current_version for signal in found if signal.is_live and signal.current_version]
    capped = spending.caps_reached(live, now)
    return [SignalUse(signal, counts[signal.pk], signal.current_version_id in capped) for signal in found]


def spent(in_use: Iterable[SignalUse], now: datetime) -> list[Spending]:
    """What judging costs each project that ever paid for it, or has a cap."""
    stopped = Counter(use.signal.project_id for use in in_use if use.is_stopped)
    paying = Project.objects.filter(Exists(Budget.objects.filter(project=OuterRef("pk")))).order_by("slug")
    today = {budget.project_id: budget.today(now) for budget in Budget.objects.filter(subject_id=None)}
    return [Spending(project, today.get(project.pk, SpentToday()), stopped[project.pk]) for project in paying]


def _queue(rows: "models.QuerySet[Any]", due: str, now: datetime) -> Queue:
    ripe = rows.filter(**{f"{due}__lte": now})
    return Queue(_count(rows), _count(ripe), ripe.order_by(due).values_list(due, flat=True).first())


def _count(rows: "models.QuerySet[Any]") -> int:
    return rows.order_by()[:MAX_COUNTED].count()


def key_uses(since: datetime) -> list[KeyUsed]:
    """What the keys were used for since then, the busiest first."""
    totals = key_use.totals(since)
    keys = ApiKey.objects.select_related("project").in_bulk([pk for pk in totals if pk is not None])
    found: Iterable[KeyUsed] = (KeyUsed(keys.get(pk or 0), counts) for pk, counts in totals.items())
    return sorted(found, key=lambda used: (-used.received, used.key.pk if used.key else 0))


def disk() -> Disk | None:
    """Where the data folder lies; None where it can't be looked at."""
    try:
        usage = shutil.disk_usage(settings.DATA_FOLDER)
    except OSError:
        return None
    return Disk(settings.DATA_FOLDER, usage.free, usage.total)


def projects(now: datetime) -> list[ProjectDisk]:
    """The projects that have spans, the largest first."""
    used = disk_use(now)
    known = Project.objects.in_bulk([use.project_id for use in used])
    return [ProjectDisk(known[use.project_id], use.bytes, use.spans) for use in used if use.project_id in known]
