"""Tasks of Halo."""

import os
import time

from django.tasks import task
from django.utils import timezone

from halo.runs import worker
from halo.schedules import firing

# Then what is under way ends, each run within its own time limit, and the next wake-up goes on.
BEGIN_SECONDS = 600
NICENESS = 10
FIRE_SECONDS = 20


@task(queue_name="long")
def work() -> None:
    """Work on reports, several at once.

    At least once; safe to repeat because a run is claimed with a lease, every write checks it, and a report is stored
    in one transaction.
    """
    # Pages, ingest and judging come first. This process does nothing else.
    os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    deadline = time.monotonic() + BEGIN_SECONDS
    worker.work(timezone.now, until=lambda: time.monotonic() > deadline)


@task
def fire() -> None:
    """Start the reports of schedules that are due, and take note of those that ended.

    At least once; safe to repeat because each step locks its schedule, and is one transaction.
    """
    deadline = time.monotonic() + FIRE_SECONDS
    firing.work(timezone.now(), until=lambda: time.monotonic() > deadline)
