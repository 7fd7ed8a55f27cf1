"""Tasks of traces."""

import time

from django.tasks import task
from django.utils import timezone

from traces.ingest import moves

MOVE_SECONDS = 10


@task
def move_spans() -> None:
    """Move stored spans to the agents that their identities count as now.

    At least once; safe to repeat because a span that has moved is not found again.
    """
    deadline = time.monotonic() + MOVE_SECONDS
    while moves.step(timezone.now()) and time.monotonic() < deadline:
        pass
