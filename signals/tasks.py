"""Tasks of signals."""

import time

from django.tasks import task
from django.utils import timezone

from signals.judging import outages
from signals.judging import worker as judging
from signals.models import LabelHalfDay, LabelHour, LabelMinute, SettledMinute
from signals.runs import backfill
from signals.targets import settling

SETTLE_SECONDS = 10
RUNS_SECONDS = 10
JUDGE_SECONDS = 60


@task
def settle() -> None:
    """Enqueue labels for due targets.

    At least once; safe to repeat because one transaction deletes the due target and enqueues its labels.
    """
    deadline = time.monotonic() + SETTLE_SECONDS
    while settling.settle(timezone.now()).targets and time.monotonic() < deadline:
        pass


@task
def work_on_runs() -> None:
    """Enqueue labels for manual runs, and end runs that are finished or cancelled.

    At least once; safe to repeat because each step stores its progress in its own transaction.
    """
    deadline = time.monotonic() + RUNS_SECONDS
    while backfill.step(timezone.now()) and time.monotonic() < deadline:
        pass


@task(queue_name="judge")
def judge() -> None:
    """Judge queued labels for up to a minute.

    At least once; safe to repeat because a label is claimed with a lease and only its holder finishes it.
    """
    deadline = time.monotonic() + JUDGE_SECONDS
    judging.run(until=lambda: time.monotonic() > deadline)


@task
def tell_of_outages() -> None:
    """Tell projects of judges that do not answer, and that answer again.

    At least once; safe to repeat because an outage is a row, and a channel gets each key once.
    """
    outages.tell(timezone.now())


@task
def fold() -> None:
    """Merge changes of the sums, so that pages read few rows.

    At least once; safe to repeat because one transaction deletes a change and adds it to its sum.
    """
    for model in (LabelHalfDay, LabelHour, LabelMinute, SettledMinute):
        while model.objects.fold():
            pass
