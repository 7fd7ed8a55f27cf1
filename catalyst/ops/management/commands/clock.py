"""`manage.py clock`."""

from typing import Any

from django.core.management.base import BaseCommand

from catalyst.ops import scheduler


class Command(BaseCommand):
    help = (
        "Wake the workers for periodic work: find what to judge and judge it every second, housekeeping every minute."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        scheduler.run_until_stopped()
