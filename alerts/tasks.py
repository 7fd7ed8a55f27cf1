"""Tasks of alerts and channels."""

import time

from django.tasks import task
from django.utils import timezone

from alerts import delivery, evaluation, recipients

EVALUATION_SECONDS = 50
# What is under way then ends, each within its own time limit.
DELIVER_SECONDS = 20
LINKS_SECONDS = 40


@task
def evaluate() -> None:
    """Evaluate the windows of alerts that ended.

    At least once; safe to repeat because a window and its events are stored in one transaction that locks the alert.
    """
    deadline = time.monotonic() + EVALUATION_SECONDS
    evaluation.evaluate(timezone.now(), is_over=lambda: time.monotonic() > deadline)


@task
def deliver() -> None:
    """Send messages to channels, then links that confirm addresses.

    At least once; safe to repeat because a message is claimed with a lease, and only its holder records it. It is sent
    twice only if its worker dies after sending.
    """
    begun = time.monotonic()
    delivery.work(timezone.now, until=lambda: time.monotonic() > begun + DELIVER_SECONDS)
    recipients.send_links(timezone.now(), until=lambda: time.monotonic() > begun + LINKS_SECONDS)
