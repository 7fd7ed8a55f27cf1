"""`manage.py doctor`."""

import json
import sys
from dataclasses import asdict
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from catalyst.ops import doctor, vitals
from catalyst.ops.doctor import Check

SIGNS = {"ok": "ok  ", "warn": "WARN", "bad": "BAD "}


class Command(BaseCommand):
    """Look at everything and say what to do."""

    help = "Look at everything and say what to do about it. Exits with 0 when all is fine, 1 for warnings, 2 for worse."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Arguments."""
        parser.add_argument("--json", action="store_true", help="Print a list of checks as JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        checks = doctor.examine(partial(vitals.take, timezone.now()))
        if options["json"]:
            self.stdout.write(json.dumps([asdict(check) for check in checks], indent=2))
        else:
            for check in checks:
                self.tell(check)
        if code := doctor.STATES.index(doctor.worst(checks)):
            sys.exit(code)

    def tell(self, check: Check) -> None:
        """One line, and one with what to do."""
        self.stdout.write(f"{SIGNS[check.state]}  {check.part + ', ' + check.name:34}  {check.words}")
        if check.advice:
            self.stdout.write(f"{'':42}-> {check.advice}")
