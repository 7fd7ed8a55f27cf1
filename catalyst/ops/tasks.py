"""Periodic work that no single app owns, and the task every wake-up of the clock arrives in."""

from datetime import datetime, timedelta

from django.tasks import task
from django.utils import timezone
from django.utils.module_loading import import_string

import signals.retention
import traces.retention
from catalyst.core import key_use, sign_ins
from catalyst.core.token_buckets import database_buckets
from catalyst.llms.models import JudgeHealth
from catalyst.ops.demo import loader as demo
from catalyst.ops.models import Heartbeat, Wakeup
from catalyst.task_backend import clamp_future_times, delete_failures
from signals.models import Label
from traces.ingest import settle_queue
from traces.store import partitions

FAILURES_KEPT = timedelta(days=7)


@task
def wake(kind: str, path: str, token: str) -> None:
    """Run one wake-up of the clock.

    At least once; safe to repeat because one that has ended or was replaced is not run, and the work itself is safe.
    """
    moment = datetime.fromisoformat(token)
    if not Wakeup.objects.is_outstanding(kind, moment):
        return
    error = "interrupted"
    try:
        import_string(path).call()
        error = ""
    except Exception as problem:
        error = f"{type(problem).__name__}: {problem}"[:1000]
        raise
    finally:
        Wakeup.objects.finish(kind, moment, timezone.now(), error)


@task
def minute() -> None:
    """Once a minute: partitions ahead of the spans; what is over away: failed tasks, sessions, limits, heartbeats.

    What was queued when the machine's clock was ahead is brought forward, or it would wait for that time. Then the
    demo's newest traffic, where there is a demo, and away with what has expired, so much at a time that the next minute
    is not late; not in the first hour after a day or more without a minute, for the machine's clock may have jumped.

    At least once; safe to repeat because each does nothing when there is nothing to do.
    """
    now = timezone.now()
    settle_queue.clamp_future_times(now)
    Label.objects.clamp_future_times(now)
    JudgeHealth.objects.clamp_future_times(now)
    clamp_future_times(now)
    partitions.ensure(now)
    delete_failures(now - FAILURES_KEPT)
    sign_ins.delete_expired(now)
    database_buckets.delete_expired(now)
    key_use.delete_expired(now)
    Heartbeat.objects.delete_expired(now)
    demo.go_on.enqueue(now.isoformat())
    if Wakeup.objects.is_steady("minute", now):
        _expire(now)


def _expire(now: datetime) -> None:
    partitions.drop_expired(now)
    traces.retention.delete_expired_traces(now)
    traces.retention.delete_expired_hours(now)
    signals.retention.delete_expired_labels(now)
    signals.retention.delete_expired_exchanges(now)
