"""Health of reports: those that wait or run, those that failed, and the engine."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from catalyst.health import (
    RECENT,
    Check,
    Metric,
    Queue,
    capped,
    check,
    check_queue,
    count_rows,
    gauge,
    gauge_of,
    queue_of,
)
from halo import engine_environment
from halo.choices import RunStatus
from halo.engine_environment import State, Status
from halo.models import Run

# A worker has up to four at once, each of which takes its time.
PATIENCE = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Reports:
    waiting: Queue
    running: int
    failed: int
    completed: int
    engine: Status


def reports(now: datetime) -> Reports:
    recent = Run.objects.filter(created_at__gte=now - RECENT)
    return Reports(
        waiting=queue_of(Run.objects.due(now).order_by(), "created_at", now),
        running=count_rows(Run.objects.open().filter(leased_until__gte=now)),
        failed=count_rows(recent.filter(status__in=[RunStatus.FAILED, RunStatus.TIMED_OUT])),
        completed=count_rows(recent.filter(status=RunStatus.COMPLETED)),
        engine=engine_environment.status(),
    )


def check_reports(found: Reports, now: datetime) -> Iterator[Check]:
    advice = "See whether worker-long runs. The page of a report says what it waits for."
    yield check_queue("reports", found.waiting, "reports wait for a worker", PATIENCE, now, advice)
    text = f"{capped(found.running)} running; of the last 24 hours {capped(found.completed)} completed, "
    text += f"{capped(found.failed)} failed or ran out of time"
    advice = "The page of each report says why it failed."
    yield check("Reports", "all projects", "warn" if found.failed else "ok", text, advice)
    # Reports by rules need no engine, so a missing one is no trouble.
    engine, has_failed = found.engine, found.engine.state == State.FAILED
    text = f"halo-engine can't be installed: {engine.reason}" if has_failed else f"halo-engine is {engine.state}"
    yield check("Reports", "engine", "warn" if has_failed else "ok", text, engine.remedy)


def report_metrics(found: Reports, now: datetime) -> Iterator[Metric]:
    yield gauge_of("reports_waiting", "Reports that wait for a worker.", found.waiting.total)
    yield gauge_of(
        "reports_lag_seconds", "Seconds for which the oldest of them waits.", found.waiting.lag(now).total_seconds()
    )
    yield gauge_of("reports_running", "Reports that a worker is at.", found.running)
    text = "Reports that were asked for in the last 24 hours and have ended, by state, counted up to 100,000."
    ended = [({"state": "completed"}, found.completed), ({"state": "failed"}, found.failed)]
    yield gauge("reports_ended", text, ended)
    text = "1 if reports with a model have their engine."
    yield gauge_of("halo_engine_ready", text, float(found.engine.state == State.READY))
