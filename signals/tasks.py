"""What the clock wakes workers for."""

import time

from django.tasks import task
from django.utils import timezone

from signals.judging import worker as judging
from signals.models import LabelHalfDay, LabelHour, LabelMinute, SettledMinute
from signals.runs import backfill
from signals.targets import settling

SETTLE_SECONDS = 10
RUNS_SECONDS = 10
JUDGE_SECONDS = 60


@task
def settle() -> None:
    """Queue labels for the targets that are due.

    At least once; safe to repeat because a due target leaves its queue in the transaction that queues its labels.
    """
    stop = time.monotonic() + SETTLE_SECONDS
    while settling.settle(timezone.now()).targets and time.monotonic() < stop:
        pass


@task
def work_on_runs() -> None:
    """Queue labels for manual runs, and end what is through or cancelled.

    At least once; safe to repeat because each step notes how far it came in the transaction that does it.
    """
    stop = time.monotonic() + RUNS_SECONDS
    while backfill.step(timezone.now()) and time.monotonic() < stop:
        pass


@task(queue_name="judge")
def judge() -> None:
    """Judge the labels that wait, for up to a minute.

    At least once; safe to repeat because each label is claimed with a lease and finished only by who holds it.
    """
    stop = time.monotonic() + JUDGE_SECONDS
    judging.run(until=lambda: time.monotonic() > stop)


@task
def fold() -> None:
    """Add up what changed among the labels, so that pages read few rows.

    At least once; safe to repeat because a change is deleted in the transaction that adds it to its sum.
    """
    for kept in (LabelHalfDay, LabelHour, LabelMinute, SettledMinute):
        while kept.objects.fold():
            pass
