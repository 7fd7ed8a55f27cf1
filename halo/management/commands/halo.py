"""`manage.py halo`: generated from the operations, with what only an operator does."""

import time
from typing import Any

from django.core.management.base import CommandError

from catalyst.core.management.operation_command import REFUSED, OperationCommand
from catalyst.core.operation_context import Context
from catalyst.operations import Caller, Operation, find
from halo.choices import OPEN_STATUSES, RunStatus
from halo.models import RunEvent
from halo.operations.records import RunRecord

POLL_SECONDS = 0.3
# By then a worker has taken a run, if there are any and they have time.
TAKEN_SECONDS = 20


class Command(OperationCommand):
    help = "Start, follow, read, cancel and export reports of Halo."
    group = "halo"

    def add_commands(self, commands: Any) -> None:
        commands.choices["run"].add_argument(
            "--wait", action="store_true", help="Wait for the report, and fail unless it is completed."
        )

    def ended(self, operation: Operation, context: Caller, result: Any, options: dict[str, Any]) -> Any:
        if operation.name != "halo.run" or not options["wait"] or not isinstance(context, Context):
            return result
        report = self._wait(context, result)
        if report.status != RunStatus.COMPLETED:
            self._print(operation, report, as_json=options["json"])
            raise CommandError(f"The report ended as {report.status}: {report.error}", returncode=REFUSED)
        return report

    def _wait(self, context: Context, report: RunRecord) -> RunRecord:
        show, told = find("halo.show"), 0
        begun, warned = time.monotonic(), False
        while report.status in OPEN_STATUSES:
            time.sleep(POLL_SECONDS)
            for event in RunEvent.objects.filter(run=int(report.id), sequence__gt=told).order_by("sequence"):
                self.stderr.write(event.text, str)
                told = event.sequence
            report = show.call(context, {"run": report.id})
            if not warned and report.status == RunStatus.PENDING_EXPORT and time.monotonic() > begun + TAKEN_SECONDS:
                self.stderr.write(
                    "No worker has taken it yet. Reports need the workers of `up`, or `worker long`.", str
                )
                warned = True
        return report
