"""`manage.py worker`."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from catalyst.ops.heartbeat import run_worker


class Command(BaseCommand):
    help = "Run the workers of one queue until SIGTERM."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("queue", choices=settings.TASKS["default"]["QUEUES"])

    def handle(self, *args: Any, **options: Any) -> None:
        run_worker(options["queue"])
