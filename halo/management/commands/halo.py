"""`manage.py halo`: generated from the operations, with what only an operator does."""

import time
from typing import Any

from django.core.management.base import CommandError

from catalyst.core.management import arguments
from catalyst.core.management.operation_command import REFUSED, OperationCommand, refusals
from catalyst.core.operation_context import Context
from catalyst.operations import Caller, Operation, find
from halo import engine_environment, export, sample
from halo.choices import OPEN_STATUSES, RunStatus
from halo.engine_environment import EngineUnavailable
from halo.models import RunEvent
from halo.operations import reports
from halo.operations.records import RunRecord
from halo.operations.reports import RequestInput

# Takes the arguments of a report.
ASKED = "halo.preview"
# What they start can be waited for.
WAITED = ("halo.run", "halo.follow_up")
POLL_SECONDS = 0.3
# By then a worker has taken a run, if there are any and they have time.
TAKEN_SECONDS = 20


class Command(OperationCommand):
    help = "Start, follow, read, cancel and export reports of Halo."
    group = "halo"
    nouns = {"schedule": "Create, change, list and run schedules of reports."}

    def add_commands(self, commands: Any) -> None:
        for name, what in (("run", "report"), ("follow-up", "answer")):
            commands.choices[name].add_argument(
                "--wait", action="store_true", help=f"Wait for the {what}, and fail unless it is completed."
            )
        # A name that people look for.
        commands.choices["check"] = commands.choices["verify"]
        text = "Install the engine of reports with a model, in an environment of its own."
        install = commands.add_parser("install", help=text, description=text)
        install.set_defaults(run=self._install)
        text = "Print the spans that a report would read, as halo-engine reads them: one JSON object a line."
        export_parser = commands.add_parser("export", help=text, description=text)
        arguments.add(export_parser, find(ASKED))
        export_parser.set_defaults(run=self._export)

    def _install(self, _options: dict[str, Any]) -> None:
        try:
            engine_environment.install(self.stdout.write)
        except EngineUnavailable as error:
            raise CommandError(str(error)) from error

    def _export(self, options: dict[str, Any]) -> None:
        asked = find(ASKED)
        context, given = self.read(asked, options)
        assert isinstance(context, Context)
        assert isinstance(given, RequestInput)
        with refusals(asked):
            draft = reports.draft(context, given)
        done = export.write_stream(draft.project, sample.choose(draft).extents, self.stdout)
        self.stderr.write(f"{done.spans:,} spans of {done.traces:,} traces", str)

    def ended(self, operation: Operation, context: Caller, result: Any, options: dict[str, Any]) -> Any:
        if operation.name not in WAITED or not options["wait"] or not isinstance(context, Context):
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
