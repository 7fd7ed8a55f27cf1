"""Django's tasks over django-q2: the only module that imports django_q.

The queue is a table of the default database, so a task enqueued in a transaction commits or rolls back with it.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from typing import Any

from django.conf import settings
from django.tasks import Task, TaskResult, TaskResultStatus
from django.tasks.backends.base import BaseTaskBackend
from django.tasks.exceptions import InvalidTask
from django.tasks.signals import task_enqueued
from django.utils import timezone
from django.utils.json import normalize_json
from django.utils.module_loading import import_string
from django_q import cluster
from django_q.conf import Conf
from django_q.models import Failure, OrmQ
from django_q.tasks import async_task

logger = logging.getLogger(__name__)

MAX_RETRY = timedelta(
    seconds=max(queue["retry"] for queue in (settings.Q_CLUSTER, *settings.Q_CLUSTER["ALT_CLUSTERS"].values()))
)


class Q2Backend(BaseTaskBackend):
    """Enqueue Django tasks for the django-q2 cluster of their queue. A task runs at least once."""

    def validate_task(self, task: "Task[..., Any]") -> None:
        # A context needs stored results, which this backend does not have.
        super().validate_task(task)
        if task.takes_context:
            raise InvalidTask("Backend does not support tasks that take their context.")

    def enqueue[**P, R](self, task: "Task[P, R]", args: Sequence[Any], kwargs: Mapping[str, Any]) -> "TaskResult[P, R]":
        """Arguments are JSON: ids and small scalars."""
        self.validate_task(task)
        plain: Any = normalize_json([list(args), dict(kwargs)])
        options = {"cluster": task.queue_name, "task_name": task.name[:100]}
        result: TaskResult[P, R] = TaskResult(
            task=task,
            id=async_task(run, task.module_path, *plain, q_options=options),
            status=TaskResultStatus.READY,
            enqueued_at=timezone.now(),
            started_at=None,
            last_attempted_at=None,
            finished_at=None,
            args=plain[0],
            kwargs=plain[1],
            backend=self.alias,
            errors=[],
            worker_ids=[],
        )
        task_enqueued.send(type(self), task_result=result)
        return result


def run(path: str, args: list[Any], kwargs: dict[str, Any]) -> None:
    """Called by the worker. `path` is the dotted path of the task."""
    import_string(path).call(*args, **kwargs)


class _Stop:
    # multiprocessing's own event waits by the machine's clock, so setting that back by hours would block for hours.
    def __init__(self, event: Event) -> None:
        self.is_set = event.is_set

    def wait(self, seconds: float) -> bool:
        time.sleep(seconds)
        return self.is_set()


class _Sentinel(cluster.Sentinel):  # type: ignore[misc]  # django-q2 has no types
    # A killed process may hold the lock of a shared queue, and the others would wait for it forever. So all of them
    # exit, and whoever started the cluster starts another.

    def __init__(self, stop_event: Event, *arguments: Any) -> None:
        super().__init__(_Stop(stop_event), *arguments)

    def reincarnate(self, process: BaseProcess) -> None:
        if (process.exitcode or 0) < 0:
            logger.critical("%s was killed: the others of its cluster end too", process.name)
            for child in (*self.pool, self.monitor, self.pusher):
                child.kill()
            os._exit(1)
        super().reincarnate(process)


def run_cluster(queue: str, started: Callable[[], None] = lambda: None) -> None:
    """Run the workers of a queue until SIGTERM, then finish running tasks. Exits with 1 if a worker was killed.

    `started` is called after the last fork of this process. django-q2 reads its cluster's name from the environment at
    import.
    """
    Conf.CLUSTER_NAME = queue
    for name, value in settings.Q_CLUSTER["ALT_CLUSTERS"].get(queue, {}).items():
        setattr(Conf, name.upper(), value)
    cluster.Sentinel = _Sentinel
    workers = cluster.Cluster()
    workers.start()
    started()
    workers.sentinel.join()
    if workers.sentinel.exitcode:
        sys.exit(1)


def count_unfinished(queue: str) -> int:
    """Count tasks that are queued, running, or of a worker that died."""
    return int(OrmQ.objects.filter(key=queue).count())


def clamp_future_times(now: datetime) -> None:
    """Make tasks due that the machine's clock, once ahead, scheduled too late."""
    OrmQ.objects.filter(lock__gt=now + MAX_RETRY).update(lock=now)


def delete_failures(before: datetime) -> int:
    """Delete records of tasks that failed before that time. Returns their number."""
    return int(Failure.objects.filter(stopped__lt=before).delete()[0])
