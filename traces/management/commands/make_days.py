"""`manage.py make_days`: partitions of past days, for imports."""

from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from traces.span_store import span_store

MAX_DAYS = 3_660


class Command(BaseCommand):
    help = "Make the partitions of days of the past, the last one included, before importing spans of theirs."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("first", type=date.fromisoformat, help="YYYY-MM-DD")
        parser.add_argument("last", type=date.fromisoformat, help="YYYY-MM-DD")

    def handle(self, *args: Any, **options: Any) -> None:
        now, first, last = timezone.now(), options["first"], options["last"]
        if not first <= last <= now.date():
            raise CommandError("Give the first day, then the last one, neither in the future.")
        if (last - first).days >= MAX_DAYS:
            raise CommandError(f"That is more than {MAX_DAYS:,} days.")
        made = span_store().import_days(first, last, now)
        self.stdout.write(f"{len(made)} tables made.")
