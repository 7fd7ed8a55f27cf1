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
    """Send Django tasks to the django-q2 cluster of their queue. A task runs at least once."""

    def validate_task(self, task: "Task[..., Any]") -> None:
        """Raises InvalidTask also for a task that wants its context: there are no stored results."""
        super().validate_task(task)
        if task.takes_context:
            raise InvalidTask("Backend does not support tasks that take their context.")

    def enqueue[**P, R](self, task: "Task[P, R]", args: Sequence[Any], kwargs: Mapping[str, Any]) -> "TaskResult[P, R]":
        """Queue the task. Arguments are JSON: ids and small scalars."""
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
    """The worker's side: find the task by its dotted path and call it."""
    import_string(path).call(*args, **kwargs)


class _Stop:
    """A cluster's stop event, waited for by a clock that never goes back: multiprocessing's own waits for a moment of
    the machine's clock, so that whoever sets it back by hours stops the watch for as long."""

    def __init__(self, event: Event) -> None:
        self.is_set = event.is_set

    def wait(self, seconds: float) -> bool:
        time.sleep(seconds)
        return self.is_set()


class _Sentinel(cluster.Sentinel):  # type: ignore[misc]  # django-q2 has no types
    """What watches the processes of a cluster.

    One that is killed may hold the lock of a queue that they share, and all others would wait for it for ever. So they
    end with it, and whoever started the cluster starts another.
    """

    def __init__(self, stop_event: Event, *arguments: Any) -> None:
        super().__init__(_Stop(stop_event), *arguments)

    def reincarnate(self, process: BaseProcess) -> None:
        """Replace a process that has ended by itself."""
        if (process.exitcode or 0) < 0:
            logger.critical("%s was killed: the others of its cluster end too", process.name)
            for each in (*self.pool, self.monitor, self.pusher):
                each.kill()
            os._exit(1)
        super().reincarnate(process)


def run_cluster(queue: str, started: Callable[[], None] = lambda: None) -> None:
    """Run the workers of a queue until SIGTERM; then they finish what they have begun.

    `started` is called once this process forks no more; what it forked goes on forking. Exits with 1 when one of the
    workers was killed.

    django-q2 reads the name of its cluster from the environment when it is imported, long before this is called.
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


def waiting(queue: str) -> int:
    """Tasks of a queue that are not done: waiting, running, or of a worker that died."""
    return int(OrmQ.objects.filter(key=queue).count())


def clamp_future_times(now: datetime) -> None:
    """Run tasks that wait for longer than any can, enqueued when the machine's clock was ahead."""
    OrmQ.objects.filter(lock__gt=now + MAX_RETRY).update(lock=now)


def delete_failures(before: datetime) -> int:
    """Drop the records of tasks that failed before that time; returns how many."""
    return int(Failure.objects.filter(stopped__lt=before).delete()[0])
