"""Periodic tasks of the whole instance."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import Event, Thread

from django.db import Error as DatabaseError
from django.db import connection
from django.tasks import task
from django.utils import timezone
from django.utils.module_loading import import_string

from catalyst import registry
from catalyst.ops.demo import loader as demo
from catalyst.ops.models import LOST_AFTER, PeriodicRun
from catalyst.registry import Maintenance, Retention
from catalyst.task_backend import delete_failures

logger = logging.getLogger(__name__)

TOUCH_SECONDS = LOST_AFTER.total_seconds() / 3
FAILURES_KEPT = timedelta(days=7)


@task
def wake(kind: str, path: str, token: str) -> None:
    """Run a periodic task.

    Runs at least once: finished and replaced runs are skipped, and the tasks themselves can be repeated.
    """
    moment = datetime.fromisoformat(token)
    if not PeriodicRun.objects.touch(kind, moment, timezone.now()):
        return
    error = "interrupted"
    try:
        with _kept_outstanding(kind, moment):
            import_string(path).call()
        error = ""
    except Exception as problem:
        error = f"{type(problem).__name__}: {problem}"[:1000]
        raise
    finally:
        PeriodicRun.objects.finish(kind, moment, timezone.now(), error)


@contextmanager
def _kept_outstanding(kind: str, moment: datetime) -> Iterator[None]:
    # A run may take longer than LOST_AFTER. Without a sign of life it would be replaced.
    ended = Event()

    def touch() -> None:
        while not ended.wait(TOUCH_SECONDS):
            try:
                PeriodicRun.objects.touch(kind, moment, timezone.now())
            except DatabaseError as error:
                logger.warning("The database takes no sign of life of %s: %s", kind, error)
            finally:
                connection.close()

    thread = Thread(target=touch, name="touch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@task
def minute() -> None:
    """Run maintenance of all apps, then retention in bounded batches.

    At least once; safe to repeat because every step does nothing without work.
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
    delete_failures(now - FAILURES_KEPT)


def continue_demo(now: datetime) -> None:
    demo.generate_next.enqueue(now.isoformat())
