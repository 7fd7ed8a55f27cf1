"""Django's tasks over django-q2: the only module that imports django_q."""

from typing import Any

from django.tasks import Task, TaskResult, TaskResultStatus
from django.tasks.backends.base import BaseTaskBackend
from django.utils import timezone
from django.utils.module_loading import import_string
from django_q.tasks import async_task


class Q2Backend(BaseTaskBackend):
    """Send Django tasks to the django-q2 cluster of their queue. A task runs at least once."""
