"""The health of stored spans: the days they are stored under, the settle queue, the disk they take."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import connection

from catalyst import formats
from catalyst.core.models import Project
from catalyst.health import (
    MAX_COUNTED,
    Check,
    Metric,
    Queue,
    capped,
    check,
    check_queue,
    gauge,
    gauge_of,
    graded,
    queue_of,
)
from traces.models import Unsettled
from traces.store import partitions
from traces.store.disk import disk_use

MIN_DAYS_AHEAD = 2
MANY_ASTRAY = 1_000
SETTLE_PATIENCE = timedelta(minutes=1)
LATE_DAYS = "Housekeeping makes them every minute: see Work, minute, and logs/worker-default.log in CATALYST_DATA."


@dataclass(frozen=True, slots=True)
class Days:
    """The partitions: how many days, whether today's is there, and the last one without a gap."""

    count: int
    has_today: bool
    last: date | None

    def ahead(self, now: datetime) -> int | None:
        """Days after today that have partitions."""
        return (self.last - now.date()).days if self.last else None


def days(now: datetime) -> Days:
    existing = partitions.days()
    today = now.date()
    if today not in existing:
        return Days(len(existing), has_today=False, last=None)
    last = today
    while last + timedelta(days=1) in existing:
        last += timedelta(days=1)
    return Days(len(existing), has_today=True, last=last)


def check_days(found: Days, now: datetime) -> Iterator[Check]:
    ahead = found.ahead(now)
    if ahead is None:
        yield Check("Spans", "days", "bad", "today's is missing", LATE_DAYS)
        return
    text = f"{found.count} days, the last is {found.last}"
    if ahead < MIN_DAYS_AHEAD:
        yield Check("Spans", "days", "warn", f"{text}: only {ahead} ahead", LATE_DAYS)
    else:
        yield Check("Spans", "days", "ok", text)


def day_metrics(found: Days, now: datetime) -> Iterator[Metric]:
    ahead = found.ahead(now)
    text = "Days after today that have partitions; -1: not even today."
    yield gauge_of("partition_days_ahead", text, -1 if ahead is None else ahead)


def astray_spans(_now: datetime) -> int:
    """Spans outside of all days, up to MAX_COUNTED."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM (SELECT FROM traces_span_default LIMIT %s) AS counted", [MAX_COUNTED])
        return int(cursor.fetchone()[0])


def check_astray(count: int, _now: datetime) -> Iterator[Check]:
    advice = "Set the clocks of the senders right: these spans lie far in the past or the future."
    state = graded(count, MANY_ASTRAY, MAX_COUNTED)
    yield check("Spans", "outside all days", state, f"{capped(count)} spans", advice)


def astray_metrics(count: int, _now: datetime) -> Iterator[Metric]:
    yield gauge_of("default_partition_spans", "Spans outside of all days, counted up to 100,000.", count)


def settle_queue(now: datetime) -> Queue:
    return queue_of(Unsettled.objects.all(), "due_at", now)


def check_settling(queue: Queue, now: datetime) -> Iterator[Check]:
    advice = "See whether clock and the worker for default run, and the errors of settle below."
    yield check_queue("settling", queue, "targets", SETTLE_PATIENCE, now, advice)


def settle_metrics(queue: Queue, now: datetime) -> Iterator[Metric]:
    yield gauge_of("settle_due", "Targets that are due to settle, counted up to 100,000.", queue.due)
    lag = queue.lag(now).total_seconds()
    yield gauge_of("settle_lag_seconds", "For how long the oldest of them has been due.", lag)


@dataclass(frozen=True, slots=True)
class ProjectDisk:
    """An estimate of what the spans of one project take in the database."""

    project: Project
    size_bytes: int
    spans: int


def project_disk(now: datetime) -> list[ProjectDisk]:
    """The projects that have spans, the largest first."""
    used = disk_use(now)
    known = Project.objects.in_bulk([use.project_id for use in used])
    return [ProjectDisk(known[use.project_id], use.bytes, use.spans) for use in used if use.project_id in known]


def check_project_disk(projects: list[ProjectDisk], _now: datetime) -> Iterator[Check]:
    for used in projects:
        text = f"about {formats.size(used.size_bytes)} for {used.spans:,} spans"
        yield Check("Disk", f"project {used.project}", "ok", text)


def project_disk_metrics(projects: list[ProjectDisk], _now: datetime) -> Iterator[Metric]:
    text = "What the spans of a project take in the database, an estimate."
    samples = [({"project": used.project.slug}, used.size_bytes) for used in projects]
    yield gauge("project_disk_bytes", text, samples)
