"""`manage.py doctor`."""

import json
import shutil
import sys
import textwrap
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from catalyst.health import STATES, Check, worst
from catalyst.ops.monitoring import doctor, snapshot

SIGNS = {"ok": "ok  ", "warn": "WARN", "bad": "BAD "}
INDENT = 42
PIPED_COLUMNS = 160


class Command(BaseCommand):
    help = "Look at everything and say what to do about it. Exits with 0 when all is fine, 1 for warnings, 2 for worse."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print a list of checks as JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        checks = doctor.examine(partial(snapshot.collect, timezone.now()))
        if options["json"]:
            self.stdout.write(json.dumps([asdict(check) for check in checks], indent=2))
        else:
            for check in checks:
                self.print_check(check)
            self.print_summary(checks)
        if code := STATES.index(worst(check.state for check in checks)):
            sys.exit(code)

    def print_check(self, check: Check) -> None:
        columns = shutil.get_terminal_size((PIPED_COLUMNS, 0)).columns
        fill = partial(textwrap.fill, width=max(columns, 2 * INDENT), subsequent_indent=" " * INDENT)
        self.stdout.write(fill(check.text, initial_indent=f"{SIGNS[check.state]}  {_name(check):34}  "))
        if check.advice:
            self.stdout.write(fill(check.advice, initial_indent=" " * INDENT + "-> "))

    def print_summary(self, checks: Iterable[Check]) -> None:
        troubles = "; ".join(_name(check) for check in checks if check.state != "ok")
        self.stdout.write(f"\nTo look at: {troubles}." if troubles else "\nEverything is fine.")


def _name(check: Check) -> str:
    return f"{check.part}, {check.name}"
