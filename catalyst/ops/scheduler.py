"""The clock: enqueues periodic work more often than django-q2's scheduler can.

Work is enqueued only if there is some. Each kind has up to one outstanding run, so slow workers build up no queue.
"""

import logging
import signal
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from threading import Event

from django.db import Error, connection, transaction
from django.utils import timezone

from catalyst import registry
from catalyst.ops.heartbeat import HeartbeatThread
from catalyst.ops.models import PeriodicRun
from catalyst.ops.tasks import wake
from catalyst.registry import PeriodicTask

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.5


def tick(now: datetime, work: Sequence[PeriodicTask]) -> list[str]:
    """Enqueue tasks that are due and have work, and those overdue. Returns their names."""
    due = PeriodicRun.objects.due(now)
    ready = (task for task in work if task.name in due and (due[task.name] or task.has_work(now)))
    return [task.name for task in ready if _enqueue(task, now)]


@transaction.atomic
def _enqueue(work: PeriodicTask, now: datetime) -> bool:
    # The note and the task commit together.
    if not PeriodicRun.objects.take(work.name, work.interval, now):
        return False
    wake.using(queue_name=work.queue).enqueue(work.name, work.task, now.isoformat())
    return True


def run(until: Callable[[], bool], work: Sequence[PeriodicTask]) -> None:
    """Tick until `until` returns True. Waits for an unavailable database."""
    clock = _Clock(work)
    while not until():
        clock.step()
        time.sleep(TICK_SECONDS)


class _Clock:
    def __init__(self, work: Sequence[PeriodicTask]) -> None:
        self.work = work
        self.is_registered = self.is_reachable = False
        self.last = datetime.max.replace(tzinfo=UTC)

    def step(self) -> None:
        try:
            self._tick()
        except Error as error:
            if self.is_reachable:
                logger.warning("The database does not answer, waiting for it: %s", error)
            self.is_reachable = False
            connection.close()

    def _tick(self) -> None:
        if not self.is_registered:
            PeriodicRun.objects.register([task.name for task in self.work], timezone.now())
            self.is_registered = True
        now = timezone.now()
        if now < self.last and (back := PeriodicRun.objects.reset_after_clock_went_back(now)):
            logger.warning("The clock of this machine went back by %s", back)
        self.last = now
        tick(now, self.work)
        if not self.is_reachable:
            logger.info("Ticking")
        self.is_reachable = True


def run_until_stopped() -> None:
    """Tick until SIGTERM or Ctrl-C."""
    stopped = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    heart = HeartbeatThread("clock")
    heart.start()
    run(stopped.is_set, registry.entries(PeriodicTask))
    heart.stop()
