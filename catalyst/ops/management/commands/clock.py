"""`manage.py clock`."""

import signal
from threading import Event
from typing import Any

from django.core.management.base import BaseCommand

from catalyst.ops import clock


class Command(BaseCommand):
    """Run the clock until SIGTERM or Ctrl-C."""

    help = "Wake the workers for periodic work: settle and judge every second, housekeeping every minute."

    def handle(self, *args: Any, **options: Any) -> None:
        stopped = Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopped.set())
        clock.run(until=stopped.is_set)
