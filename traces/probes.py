"""Health checks and metrics: day partitions, settle queue, disk."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from catalyst import database, formats
from catalyst.core.models import Project
from catalyst.health import (
    MAX_COUNTED,
    RECENT,
    Check,
    Metric,
    Queue,
    capped,
    check,
    check_queue,
    gauge,
    gauge_of,
    graded,
    log_file,
    queue_of,
)
from traces.models import Unsettled
from traces.span_store import StoreHealth, span_store

MIN_DAYS_AHEAD = 2
MANY_ASTRAY = 1_000
MAX_NAMED_SENDERS = 5
PATIENCE = timedelta(minutes=1)
LATE_DAYS = (
    "Spans of a day without a table are stored elsewhere, where they are slower to find and to delete. Housekeeping "
    f"makes the tables every minute: see Work, housekeeping, and {log_file('worker-default')}."
)


def days(now: datetime) -> StoreHealth:
    return span_store().health(now, 0)


def check_days(store_health: StoreHealth, now: datetime) -> Iterator[Check]:
    ahead = _days_ahead(store_health, now)
    if ahead is None:
        yield Check("Spans", "tables of days", "bad", "today's is missing", LATE_DAYS)
        return
    text = f"{store_health.day_count} daily tables, the last is for {store_health.last_day}"
    if ahead < MIN_DAYS_AHEAD:
        yield Check("Spans", "tables of days", "warn", f"{text}, only {ahead} ahead", LATE_DAYS)
    else:
        yield Check("Spans", "tables of days", "ok", text)


def _days_ahead(store_health: StoreHealth, now: datetime) -> int | None:
    return (store_health.last_day - now.date()).days if store_health.last_day else None


def day_metrics(store_health: StoreHealth, now: datetime) -> Iterator[Metric]:
    ahead = _days_ahead(store_health, now)
    text = "Days after today that have a table for their spans; -1: not even today."
    yield gauge_of("partition_days_ahead", text, -1 if ahead is None else ahead)


def astray_spans(now: datetime) -> int:
    """Number of spans outside all days, counted up to MAX_COUNTED."""
    return span_store().health(now, MAX_COUNTED).misplaced_spans


def check_astray(count: int, _now: datetime) -> Iterator[Check]:
    advice = "Set the clocks of the senders right: these spans lie far in the past or the future."
    state = graded(count, MANY_ASTRAY, MAX_COUNTED)
    yield check("Spans", "wrong dates", state, f"{capped(count)} spans are of a day without a table", advice)


def astray_metrics(count: int, _now: datetime) -> Iterator[Metric]:
    yield gauge_of("default_partition_spans", "Spans of days without a table, counted up to 100,000.", count)


@dataclass(frozen=True, slots=True)
class SkewedSender:
    project: Project
    service: str
    traces: int


_SKEWED = """
    SELECT p.id, t.service, count(*) FROM core_project p CROSS JOIN LATERAL (
        SELECT service FROM traces_trace WHERE project_id = p.id AND skewed AND first_received_at >= %s LIMIT %s
    ) t GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
"""


def skewed_senders(now: datetime) -> list[SkewedSender]:
    """Senders of traces with a clock far off since RECENT. Counts up to MAX_COUNTED traces of a project."""
    rows = database.fetch(_SKEWED, [now - RECENT, MAX_COUNTED])
    projects = Project.objects.in_bulk({pk for pk, _, _ in rows})
    return [SkewedSender(projects[pk], service, count) for pk, service, count in rows if pk in projects]


def check_clocks(senders: list[SkewedSender], _now: datetime) -> Iterator[Check]:
    advice = (
        "Set the clocks of these senders right, or let them send nanoseconds. Traces, Clock skew lists the traces, and "
        "the page of a trace tells the probable cause."
    )
    named = [
        f"{sender.traces:,} of {sender.service or 'an unnamed service'} in {sender.project}"
        for sender in senders[:MAX_NAMED_SENDERS]
    ]
    if len(senders) > MAX_NAMED_SENDERS:
        named.append(f"and {len(senders) - MAX_NAMED_SENDERS:,} more senders")
    count = sum(sender.traces for sender in senders)
    text = f"{capped(count)} traces of the last 24 hours have a clock that is far off"
    yield check("Spans", "clocks", "warn" if senders else "ok", "; ".join([text, *named]), advice)


def clock_metrics(senders: list[SkewedSender], _now: datetime) -> Iterator[Metric]:
    counts = Counter[str]()
    for sender in senders:
        counts[sender.project.slug] += sender.traces
    samples = [({"project": slug}, count) for slug, count in counts.items()]
    text = "Traces that arrived in the last 24 hours with a clock that is far off, counted up to 100,000."
    yield gauge("skewed_traces", text, samples)


def settle_queue(now: datetime) -> Queue:
    return queue_of(Unsettled.objects.all(), "due_at", now)


def check_settling(queue: Queue, now: datetime) -> Iterator[Check]:
    advice = (
        "They get no labels until Catalyst gives them to the signals. See whether clock and worker-default run, and "
        "Work, finding what to judge."
    )
    yield check_queue("new traffic", queue, "spans, traces or sessions are ready for signals", PATIENCE, now, advice)


def settle_metrics(queue: Queue, now: datetime) -> Iterator[Metric]:
    yield gauge_of(
        "settle_due",
        "Spans, traces and sessions that are ready for signals and wait, counted up to 100,000.",
        queue.due,
    )
    lag = queue.lag(now).total_seconds()
    yield gauge_of("settle_lag_seconds", "Seconds for which the oldest of them has been ready.", lag)


@dataclass(frozen=True, slots=True)
class ProjectDisk:
    project: Project
    size_bytes: int
    spans: int


def project_disk(now: datetime) -> list[ProjectDisk]:
    """The estimated disk use of projects, largest first."""
    used = span_store().usage(now)
    projects = Project.objects.in_bulk([use.project_id for use in used])
    return [ProjectDisk(projects[use.project_id], use.bytes, use.spans) for use in used if use.project_id in projects]


def check_project_disk(projects: list[ProjectDisk], _now: datetime) -> Iterator[Check]:
    for used in projects:
        text = f"about {formats.size(used.size_bytes)} for {used.spans:,} spans"
        yield Check("Disk", f"project {used.project}", "ok", text)


def project_disk_metrics(projects: list[ProjectDisk], _now: datetime) -> Iterator[Metric]:
    text = "What the spans of a project take in the database, an estimate."
    samples = [({"project": used.project.slug}, used.size_bytes) for used in projects]
    yield gauge("project_disk_bytes", text, samples)
