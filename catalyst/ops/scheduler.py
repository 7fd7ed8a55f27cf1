"""The clock: wakes the workers for periodic work, far more often than django-q2's own scheduler could.

It does no work itself, but it looks whether there is any: nobody is woken every second for nothing. At most one
wake-up of a kind is outstanding, so a slow worker never meets a queue of them.
"""

import logging
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event

from django.db import Error, connection, transaction
from django.utils import timezone

from catalyst.ops.heartbeat import Heart
from catalyst.ops.models import Wakeup
from catalyst.ops.tasks import wake
from signals.judging import claims
from signals.runs import backfill
from signals.targets import settling

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Kind:
    """Periodic work: the task at the dotted path `task`, enqueued in `queue`; `about` tells operators what it does.

    Where `has_work` says no it is enqueued only when it is overdue, so that all can see that it would be done.
    """

    name: str
    every: timedelta
    task: str
    queue: str = "default"
    has_work: Callable[[datetime], bool] = lambda _: True
    about: str = ""


_SECOND = timedelta(seconds=1)
KINDS = (
    Kind(
        *("settle", _SECOND, "signals.tasks.settle"),
        has_work=settling.has_work,
        about="queues labels for what has settled",
    ),
    Kind(
        *("runs", _SECOND, "signals.tasks.work_on_runs"),
        has_work=backfill.has_work,
        about="looks for what manual runs label",
    ),
    Kind(
        *("judge", _SECOND, "signals.tasks.judge", "judge"),
        has_work=claims.has_work,
        about="asks the judge",
    ),
    Kind("fold", 10 * _SECOND, "signals.tasks.fold", about="adds labels up for charts"),
    Kind("minute", 60 * _SECOND, "catalyst.ops.tasks.minute", about="makes days, deletes what expired"),
)


def tick(now: datetime, kinds: tuple[Kind, ...] = KINDS) -> list[str]:
    """Enqueue what is due and has work, and what is overdue; returns the names of these kinds."""
    due = Wakeup.objects.due(now)
    asked = (kind for kind in kinds if kind.name in due and (due[kind.name] or kind.has_work(now)))
    return [kind.name for kind in asked if _enqueue(kind, now)]


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
    last = datetime.max.replace(tzinfo=UTC)
    while not until():
        try:
            if not registered:
                Wakeup.objects.register([kind.name for kind in kinds], timezone.now())
                registered = True
            now = timezone.now()
            if now < last and (back := Wakeup.objects.set_back(now)):
                logger.warning("The clock of this machine went back by %s", back)
            last = now
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
