"""Health probes of database, task queues, periodic work, processes and data folder."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from threading import Lock

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from catalyst import __version__, formats, registry, task_backend
from catalyst.core.models import Bucket
from catalyst.env import env
from catalyst.health import Check, Metric, Sample, State, check, gauge, gauge_of, graded, log_file, worst
from catalyst.ops.models import STEADY_AFTER, Heartbeat, PeriodicRun
from catalyst.registry import PeriodicTask

MIN_SERVER_VERSION = 15
LOST_AFTER = timedelta(seconds=30)
ERROR_SHOWN_FOR = timedelta(hours=1)
PATIENCE = timedelta(minutes=2)
WRITE_INTERVAL = timedelta(seconds=5)
MIN_FREE_BYTES = 64 * 1024**2
FULL_SHARE, FULL_BYTES = 0.1, 5 * 1024**3

_SERVER = """
SELECT current_setting('server_version'), pg_database_size(current_database()),
    count(*) FILTER (WHERE backend_type = 'client backend'), current_setting('max_connections')::int,
    coalesce(extract(epoch FROM max(now() - xact_start) FILTER (WHERE ours)), 0)::float,
    coalesce((array_agg(pid ORDER BY xact_start) FILTER (WHERE ours AND xact_start IS NOT NULL))[1], 0)
FROM (SELECT *, datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid() AS ours
    FROM pg_stat_activity) AS activity
"""


@dataclass(frozen=True, slots=True)
class Server:
    # `transaction_…` is Catalyst's oldest open transaction.
    version: str
    size_bytes: int
    connections: int
    max_connections: int
    transaction_seconds: float
    transaction_pid: int


def server(_now: datetime) -> Server:
    with connection.cursor() as cursor:
        cursor.execute(_SERVER)
        return Server(*cursor.fetchone())


def check_server(info: Server, _now: datetime) -> Iterator[Check]:
    major = int(info.version.split(".")[0])
    state: State = "ok" if major >= MIN_SERVER_VERSION else "bad"
    text = f"PostgreSQL {info.version.split()[0]}, {formats.size(info.size_bytes)}"
    yield check("Database", "server", state, text, f"Move to PostgreSQL {MIN_SERVER_VERSION} or newer.")
    yield check(
        "Database",
        "connections",
        graded(info.connections / info.max_connections, 0.8, 0.95),
        f"{info.connections} of {info.max_connections}",
        "Raise max_connections of the server, or lower CATALYST_DATABASE_POOL.",
    )
    yield check(
        "Database",
        "oldest transaction",
        graded(info.transaction_seconds, 300, 3600),
        formats.duration(info.transaction_seconds * 1e6),
        "Others may wait for it, and deleted rows keep their place on the disk. "
        f"See process {info.transaction_pid} in pg_stat_activity, "
        f"and end it with SELECT pg_terminate_backend({info.transaction_pid}).",
    )


def server_metrics(info: Server, _now: datetime) -> Iterator[Metric]:
    yield gauge("info", "The version of the process that answers.", [({"version": __version__}, 1)])
    yield gauge_of("database_size_bytes", "Size of the database.", info.size_bytes)
    yield gauge_of("database_connections", "Client connections of the server.", info.connections)
    yield gauge_of("database_connections_max", "Connections the server takes.", info.max_connections)
    yield gauge_of(
        "database_transaction_seconds", "Seconds since the oldest open transaction began.", info.transaction_seconds
    )


@cache
def _migrations() -> frozenset[tuple[str, str]]:
    return frozenset(MigrationLoader(None).disk_migrations)


def missing_migrations(_now: datetime) -> list[str]:
    # Those of the installed version only.
    applied = MigrationRecorder(connection).applied_migrations()
    return sorted(f"{app}.{name}" for app, name in _migrations() - applied.keys())


def check_migrations(missing: list[str], _now: datetime) -> Iterator[Check]:
    text = f"{len(missing)} are not applied, {missing[0]} first" if missing else "all applied"
    yield check("Database", "migrations", "bad" if missing else "ok", text, "Run manage.py migrate.")


def waiting_tasks(_now: datetime) -> dict[str, int]:
    return {queue: task_backend.count_unfinished(queue) for queue in settings.TASKS["default"]["QUEUES"]}


def check_tasks(waiting: dict[str, int], _now: datetime) -> Iterator[Check]:
    for queue, count in waiting.items():
        worker = f"worker-{queue}"
        advice = f"What they do comes late. See whether {worker} runs, and {log_file(worker)}."
        yield check("Queues", worker, graded(count, 100, 10_000), f"{count:,} tasks wait or run", advice)


def task_metrics(waiting: dict[str, int], _now: datetime) -> Iterator[Metric]:
    samples = [({"queue": queue}, count) for queue, count in waiting.items()]
    yield gauge("tasks_waiting", "Tasks of a queue that wait or run.", samples)


def periodic_runs(_now: datetime) -> list[PeriodicRun]:
    return list(PeriodicRun.objects.order_by("kind"))


def check_periodic_runs(runs: list[PeriodicRun], now: datetime) -> Iterator[Check]:
    runs_by_kind = {run.kind: run for run in runs}
    for work in registry.entries(PeriodicTask):
        run = runs_by_kind.get(work.name)
        yield _check_run(work, run, now)
        if run and work.name == "minute":
            yield from _check_steady(run, now)


def _check_run(work: PeriodicTask, run: PeriodicRun | None, now: datetime) -> Check:
    if run is None or run.finished_at is None:
        advice = f"{work.lack} Start manage.py clock and the workers."
        return Check("Work", work.label, "bad", f"{work.description}; never ran", advice)
    late = now - run.finished_at - work.interval
    state = graded(late / PATIENCE, 1, 5)
    text = f"{work.description}; last ended {formats.ago(run.finished_at, now)}"
    if run.last_error:
        state = worst([state, "warn"])
        text += f" with {run.last_error}"
    lack = f"{work.lack} " if late > PATIENCE else ""
    advice = f"{lack}See {log_file(f'worker-{work.queue}')}, and whether clock runs."
    return check("Work", work.label, state, text, advice)


def _check_steady(minute: PeriodicRun, now: datetime) -> Iterator[Check]:
    if minute.resumed_at and now - minute.resumed_at < STEADY_AFTER:
        until = f"{minute.resumed_at + STEADY_AFTER:%H:%M} UTC"
        text = f"waits until {until}: no minute ended for a day or more"
        advice = f"Unless this machine was off, its clock has jumped: it says {now:%Y-%m-%d %H:%M} UTC. Set it."
        yield Check("Work", "deleting what expired", "warn", text, advice)


def periodic_metrics(runs: list[PeriodicRun], now: datetime) -> Iterator[Metric]:
    samples = [({"kind": run.kind}, (now - run.finished_at).total_seconds()) for run in runs if run.finished_at]
    yield gauge("wakeup_age_seconds", "Seconds since a kind of periodic work last ended.", samples)


def expected_processes() -> list[str]:
    return ["web", *(f"worker-{queue}" for queue in settings.TASKS["default"]["QUEUES"]), "clock"]


def heartbeats(_now: datetime) -> list[Heartbeat]:
    return list(Heartbeat.objects.newest())


def check_processes(beats: list[Heartbeat], now: datetime) -> Iterator[Check]:
    alive = {beat.name for beat in beats}
    for name in expected_processes():
        if name not in alive:
            advice = f"Start manage.py {name.replace('-', ' ')}, or everything with up."
            yield Check("Processes", name, "bad", "no sign of it in the last day", advice)
    for beat in beats:
        yield _check_process(beat, now)


def _check_process(beat: Heartbeat, now: datetime) -> Check:
    text = f"{beat.host}, process {beat.pid}, version {beat.version}, {formats.ago(beat.seen_at, now)}"
    if now - beat.seen_at > LOST_AFTER:
        advice = f"It hangs or has ended: look at {log_file(beat.name)} and start it again."
        return Check("Processes", beat.name, "bad", f"{text}: silent", advice)
    if beat.version != __version__:
        return Check("Processes", beat.name, "warn", text, f"Start it again: this is version {__version__}.")
    if beat.error_at and now - beat.error_at < ERROR_SHOWN_FOR:
        text += f"; {formats.ago(beat.error_at, now)} it logged: {beat.error}"
        return Check("Processes", beat.name, "warn", text, f"More is in {log_file(beat.name)}.")
    return Check("Processes", beat.name, "ok", text)


def process_metrics(beats: list[Heartbeat], now: datetime) -> Iterator[Metric]:
    samples = [({"process": beat.name, "host": beat.host}, (now - beat.seen_at).total_seconds()) for beat in beats]
    yield gauge("heartbeat_age_seconds", "Seconds since a process last noted that it runs.", samples)


class WriteProbe:
    """Writes a row, at most once in WRITE_INTERVAL. Requests of this process share the result."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._checked_at: datetime | None = None
        self._error = ""

    def error(self, now: datetime) -> str:
        """Return why the database takes no write. Empty if it does."""
        with self._lock:
            if self._checked_at is None or abs(now - self._checked_at) >= WRITE_INTERVAL:
                self._error, self._checked_at = self._try(now), now
            return self._error

    @staticmethod
    def _try(now: datetime) -> str:
        try:
            with transaction.atomic():
                Bucket.objects.update_or_create(key="write probe", defaults={"tokens": 0, "filled_at": now})
        except DatabaseError as error:
            return (str(error).strip().splitlines() or ["no reason given"])[0]
        return ""


write_probe = WriteProbe()


def write_error(now: datetime) -> str:
    """Return why spans can't be written now. Empty if they can."""
    # A full disk refuses new pages, while the row of the probe still finds room in an old one.
    disk = None if env.database_url else data_folder()
    if disk is not None and disk.free_bytes < MIN_FREE_BYTES:
        return f"only {formats.size(disk.free_bytes)} are free in {disk.folder}"
    return write_probe.error(now)


def check_write(error: str, _now: datetime) -> Iterator[Check]:
    text = f"none are accepted: {error}" if error else "accepted"
    advice = "Make room on its disk, or let it take writes. Senders are told to send again meanwhile."
    yield check("Database", "writes", "bad" if error else "ok", text, advice)


@dataclass(frozen=True, slots=True)
class DataFolder:
    folder: Path
    free_bytes: int
    total_bytes: int


def data_folder(_now: datetime | None = None) -> DataFolder | None:
    """Return None if the folder can't be read."""
    try:
        usage = shutil.disk_usage(settings.DATA_FOLDER)
    except OSError:
        return None
    return DataFolder(settings.DATA_FOLDER, usage.free, usage.total)


def check_data_folder(disk: DataFolder | None, _now: datetime | None = None) -> Iterator[Check]:
    if disk is None:
        return
    min_free = min(FULL_SHARE * disk.total_bytes, FULL_BYTES)
    state = graded(min_free / max(disk.free_bytes, 1), 1, 5)
    text = f"{formats.size(disk.free_bytes)} free of {formats.size(disk.total_bytes)}, {disk.folder}"
    advice = "Make room, or keep spans for fewer days: CATALYST_RETENTION_DAYS."
    yield check("Disk", "data folder", state, text, advice)


def data_folder_metrics(disk: DataFolder | None, _now: datetime) -> Iterator[Metric]:
    samples: list[Sample] = [({}, disk.free_bytes)] if disk else []
    yield gauge("disk_free_bytes", "Free space where the data folder lies.", samples)
