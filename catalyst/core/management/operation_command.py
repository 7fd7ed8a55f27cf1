"""A command with a subcommand for each operation of a group."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from shutil import get_terminal_size
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from catalyst import operations
from catalyst.core import operation_context
from catalyst.core.management import arguments
from catalyst.core.management.drawing import draw, plain
from catalyst.core.models import Project
from catalyst.core.operation_context import Context
from catalyst.csv_lines import csv_line
from catalyst.operations import Caller, Input, InvalidInput, Operation, OperationError

REFUSED = 1
WRONG_USAGE = 2
MAX_NAMED = 20


class OperationCommand(BaseCommand):
    # The audit log names Catalyst as the actor of commands.
    group: ClassVar[str]
    # What else the group is about, with a help text: `schedule_list` is then the command `schedule list`.
    nouns: ClassVar[Mapping[str, str]] = {}
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="verb", required=True, metavar="COMMAND")
        of_nouns = {
            noun: commands.add_parser(noun, help=text, description=text).add_subparsers(
                dest="verb_of_noun", required=True, metavar="COMMAND"
            )
            for noun, text in self.nouns.items()
        }
        for operation in operations.all_operations(self.group):
            text = operation.description.splitlines()[0]
            *noun, verb = self.words(operation)
            made = (of_nouns[noun[0]] if noun else commands).add_parser(verb, help=text, description=text)
            made.set_defaults(operation=operation.name)
            arguments.add(made, operation)
        self.add_commands(commands)

    def words(self, operation: Operation) -> list[str]:
        """What follows the name of the command: `["run-now"]`, or `["schedule", "run-now"]` of a noun."""
        noun, _, verb = operation.verb.partition("_")
        words = [noun, verb] if noun in self.nouns else [operation.verb]
        return [word.replace("_", "-") for word in words]

    def add_commands(self, commands: Any) -> None:
        """Add subcommands that are no operations. Their parsers set `run`, which gets the options."""

    def ended(self, operation: Operation, context: Caller, result: Any, options: dict[str, Any]) -> Any:
        """Return what is printed of a result."""
        return result

    def read(self, operation: Operation, options: dict[str, Any]) -> tuple[Caller, Input]:
        """Return who asks for an operation, and with which arguments."""
        arguments_given = _parse(operation, arguments.input_data(operation, options))
        return _context(operation, options), arguments_given

    def handle(self, *args: Any, **options: Any) -> None:
        if options.get("run"):
            options["run"](options)
            return
        operation = operations.find(options["operation"])
        data = arguments.input_data(operation, options)
        _parse(operation, data)
        context = _context(operation, options)
        try:
            self._run(operation, context, data, options)
        except BrokenPipeError:
            # The reader has read enough.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def _run(self, operation: Operation, context: Caller, data: dict[str, Any], options: dict[str, Any]) -> None:
        if operation.preview and not self._confirm(operations.find(operation.preview), context, data, options):
            return
        if options.get("csv"):
            self._print_csv(operation, context, data, every_page=options["all"])
            return
        if options.get("all"):
            for page in _pages(operation, context, data):
                self._print_items(operation, page, as_json=options["json"])
            return
        result = self.ended(operation, context, _call(operation, context, data), options)
        self._print(operation, result, as_json=options["json"])
        more = getattr(result, "next", None)
        if more is not None and not options["json"]:
            self.stderr.write(f"There are more: --after {more}", str)

    def _confirm(self, preview: Operation, context: Caller, data: dict[str, Any], options: dict[str, Any]) -> bool:
        # Returns False after --preview. Raises CommandError if the operator declines.
        as_json, only_preview, is_sure = (options[name] for name in ("json", "preview", "yes"))
        if as_json and not (only_preview or is_sure):
            raise CommandError("--json asks nothing: add --yes or --preview.", returncode=WRONG_USAGE)
        if only_preview or not as_json:
            self._print(preview, _call(preview, context, data), as_json=as_json)
        if only_preview:
            return False
        if not is_sure and not self._ask():
            raise CommandError("Nothing was started. Answer y, or give --yes.")
        return True

    def _ask(self) -> bool:
        self.stdout.write("Start it? [y/N]", ending=" ")
        self.stdout.flush()
        try:
            return input().strip().lower() in {"y", "yes"}
        except EOFError:
            return False

    def _print(self, operation: Operation, result: object, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(json.loads(operation.dump(result)), indent=2))
            return
        for line in draw(result, self._width):
            self.stdout.write(line)

    def _print_items(self, operation: Operation, page: operations.Page[Any], *, as_json: bool) -> None:
        if not as_json:
            self._print(operation, page, as_json=False)
            return
        for item in json.loads(operation.dump(page))["items"]:
            self.stdout.write(json.dumps(item))

    def _print_csv(self, operation: Operation, context: Caller, data: dict[str, Any], *, every_page: bool) -> None:
        """A line of names, then a line for each item."""
        for number, item in enumerate(_items(operation, context, data, every_page=every_page)):
            if not number:
                self.stdout.write(csv_line(item), ending="")
            self.stdout.write(csv_line(map(_cell, item.values())), ending="")

    @property
    def _width(self) -> int | None:
        return get_terminal_size().columns if self.stdout.isatty() else None


def _context(operation: Operation, options: dict[str, Any]) -> Caller:
    if operation.caller is Context:
        return operation_context.for_system(_project(options["project"]), timezone.now())
    return operation_context.for_operator(timezone.now())


def _pages(operation: Operation, context: Caller, data: dict[str, Any]) -> Iterator[operations.Page[Any]]:
    # Only one page at a time is in memory.
    while True:
        page = _call(operation, context, data)
        yield page
        if page.next is None:
            return
        data = data | {"after": page.next}


def _items(
    operation: Operation, context: Caller, data: dict[str, Any], *, every_page: bool
) -> Iterator[dict[str, object]]:
    for page in _pages(operation, context, data):
        yield from json.loads(operation.dump(page))["items"]
        if not every_page:
            return


def _cell(value: object) -> object:
    return json.dumps(value) if isinstance(value, list | dict) else value


def _call(operation: Operation, context: Caller, data: dict[str, Any]) -> Any:
    parsed = _parse(operation, data)
    with refusals(operation):
        return operation.run(context, parsed)


@contextmanager
def refusals(operation: Operation) -> Iterator[None]:
    """Raise errors of an operation as those of its command."""
    try:
        yield
    except InvalidInput as error:
        raise CommandError(_text(operation, error), returncode=REFUSED) from error
    except OperationError as error:
        raise CommandError(plain(str(error)), returncode=REFUSED) from error
    except ValidationError as error:
        raise CommandError(plain(" ".join(error.messages)), returncode=REFUSED) from error


def _parse(operation: Operation, data: dict[str, Any]) -> Input:
    try:
        return operation.parse(data)
    except InvalidInput as error:
        raise CommandError(_text(operation, error), returncode=WRONG_USAGE) from error


def _text(operation: Operation, error: InvalidInput) -> str:
    parts = []
    for field, text in error.errors.items():
        named = f"{arguments.flag(operation.input, field)}: {text}" if field else text
        parts.append(plain(named))
    return " ".join(parts)


def _project(slug: str | None) -> Project:
    projects = Project.objects.order_by("slug")
    matches = list(projects.filter(slug=slug) if slug else projects[:2])
    if len(matches) == 1:
        return matches[0]
    slugs = ", ".join(projects.values_list("slug", flat=True)[:MAX_NAMED]) or "none yet"
    problem = "There are several projects." if matches else "There is no project."
    if slug:
        problem = plain(f"There is no project {slug}.")
    raise CommandError(f"{problem} --project takes one of: {slugs}.", returncode=WRONG_USAGE)
