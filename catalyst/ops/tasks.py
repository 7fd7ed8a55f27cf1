"""Periodic work that no single app owns, and the task every wake-up of the clock arrives in."""

import logging
from datetime import datetime, timedelta

from django.tasks import task
from django.utils import timezone
from django.utils.module_loading import import_string

from catalyst import registry
from catalyst.ops.demo import loader as demo
from catalyst.ops.models import PeriodicRun
from catalyst.registry import Maintenance, Retention
from catalyst.task_backend import delete_failures

logger = logging.getLogger(__name__)

FAILURES_KEPT = timedelta(days=7)


@task
def wake(kind: str, path: str, token: str) -> None:
    """Run one wake-up of the clock.

    At least once; safe to repeat because one that has ended or was replaced is not run, and the work itself is safe.
    """
    moment = datetime.fromisoformat(token)
    if not PeriodicRun.objects.is_outstanding(kind, moment):
        return
    error = "interrupted"
    try:
        import_string(path).call()
        error = ""
    except Exception as problem:
        error = f"{type(problem).__name__}: {problem}"[:1000]
        raise
    finally:
        PeriodicRun.objects.finish(kind, moment, timezone.now(), error)


@task
def minute() -> None:
    """Once a minute: maintenance of all apps, then retention, in bounded batches so that the next minute is not late.

    At least once; safe to repeat because each does nothing when there is nothing to do.
    """
    now = timezone.now()
    for work in registry.entries(Maintenance):
        work.run(now)
    # A machine that was off looks like one whose clock has jumped ahead.
    if PeriodicRun.objects.is_steady("minute", now):
        for expired in registry.entries(Retention):
            count = expired.delete(now)
            if count:
                logger.info("Retention of %s: %d deleted", expired.name, count)


def delete_old_failures(now: datetime) -> None:
    """Delete the records of tasks that failed a week ago."""
    delete_failures(now - FAILURES_KEPT)


def continue_demo(now: datetime) -> None:
    """Let a worker add the newest traffic of the demo, if there is one."""
    demo.generate_next.enqueue(now.isoformat())
