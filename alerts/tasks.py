"""Tasks of alerts."""

import time

from django.tasks import task
from django.utils import timezone

from alerts import evaluation

EVALUATION_SECONDS = 50


@task
def evaluate() -> None:
    """Evaluate the windows of alerts that ended.

    At least once; safe to repeat because a window and its events are stored in one transaction that locks the alert.
    """
    deadline = time.monotonic() + EVALUATION_SECONDS
    evaluation.evaluate(timezone.now(), is_over=lambda: time.monotonic() > deadline)
