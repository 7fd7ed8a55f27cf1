"""The clock: wakes the workers for periodic work, far more often than django-q2's own scheduler could.

It does no work itself. At most one wake-up of a kind is outstanding, so a slow worker never meets a queue of them.
"""

import logging
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event

from django.db import Error, connection, transaction
from django.utils import timezone

from catalyst.ops.heart import Heart
from catalyst.ops.models import Wakeup
from catalyst.ops.tasks import wake

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Kind:
    """Periodic work: the task at the dotted path `task`, enqueued in `queue`."""

    name: str
    every: timedelta
    task: str
    queue: str = "default"


KINDS = (
    Kind("settle", timedelta(seconds=1), "signals.tasks.settle"),
    Kind("runs", timedelta(seconds=1), "signals.tasks.work_on_runs"),
    Kind("judge", timedelta(seconds=1), "signals.tasks.judge", queue="judge"),
    Kind("fold", timedelta(seconds=10), "signals.tasks.fold"),
    Kind("minute", timedelta(minutes=1), "catalyst.ops.tasks.minute"),
)


def tick(now: datetime, kinds: tuple[Kind, ...] = KINDS) -> list[str]:
    """Enqueue what is due; returns the names of these kinds."""
    return [kind.name for kind in kinds if _enqueue(kind, now)]


@transaction.atomic
def _enqueue(kind: Kind, now: datetime) -> bool:
    """The note and the task commit together."""
    if not Wakeup.objects.take(kind.name, kind.every, now):
        return False
    wake.using(queue_name=kind.queue).enqueue(kind.name, kind.task, now.isoformat())
    return True


def run(until: Callable[[], bool], kinds: tuple[Kind, ...] = KINDS) -> None:
    """Tick until told to stop. A database that goes away is waited for."""
    registered = reachable = False
    while not until():
        try:
            if not registered:
                Wakeup.objects.register([kind.name for kind in kinds], timezone.now())
                registered = True
            now = timezone.now()
            if back := Wakeup.objects.set_back(now):
                logger.warning("The clock of this machine went back by %s", back)
            tick(now, kinds)
            if not reachable:
                logger.info("Ticking")
            reachable = True
        except Error as error:
            if reachable:
                logger.warning("The database does not answer, waiting for it: %s", error)
            reachable = False
            connection.close()
        time.sleep(TICK_SECONDS)


def run_until_stopped() -> None:
    """Tick until SIGTERM or Ctrl-C."""
    stopped = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    heart = Heart("clock")
    heart.start()
    run(until=stopped.is_set)
    heart.stop()
