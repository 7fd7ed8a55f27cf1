"""What holds for every registered operation."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import is_dataclass
from datetime import datetime
from pathlib import Path
from typing import get_origin

import pytest
from django.core.management import call_command, get_commands, load_command_class
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from catalyst.core.management.operation_command import OperationCommand
from catalyst.core.models import ApiKey, Project
from catalyst.core.operation_context import Context, for_key, for_system
from catalyst.env import env
from catalyst.operations import (
    Caller,
    Effect,
    InvalidInput,
    NotAllowed,
    NotFound,
    Operation,
    Page,
    Scope,
    all_operations,
    find,
)
from tests.operation_examples import EXAMPLES, SECRET, World, grow, make_world, operator_of

OPERATIONS = all_operations()
OF_A_PROJECT = [operation for operation in OPERATIONS if operation.caller is Context]
# Nothing of another project is named, so the rules refuse: there is nothing to catch up with.
NAMES_NOTHING = {"signals.catch_up_project"}
NAMES_A_ROW = {
    operation.name
    for operation in OPERATIONS
    if any(field.is_required() and field.annotation is int for field in operation.input.model_fields.values())
}

pytestmark = [pytest.mark.slow, pytest.mark.django_db]
every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)


@pytest.fixture
def world(project: Project, now: datetime) -> World:
    return make_world(project, now)


@contextmanager
def undone(operation: Operation) -> Iterator[None]:
    """Undo what an operation writes, because a world takes long to make; a failure names the operation."""
    try:
        with transaction.atomic():
            yield
            transaction.set_rollback(True)
    except Exception as error:
        error.add_note(f"Operation: {operation.name}")
        raise


def example(operation: Operation, world: World) -> dict[str, object]:
    return EXAMPLES[operation.name](world)


def test_every_operation_has_an_example() -> None:
    assert {operation.name for operation in OPERATIONS} == set(EXAMPLES)


@every_operation
def test_it_is_described_and_typed(operation: Operation) -> None:
    assert operation.description.endswith(".")
    assert operation.output.__module__
    assert operation.input.model_fields is not None
    assert operation.group
    assert operation.verb
    for name, field in operation.input.model_fields.items():
        assert field.annotation is not None, name
    if operation.preview:
        assert find(operation.preview).effect == Effect.READS
        assert find(operation.preview).input is operation.input


def test_what_writes_asks_for_more_than_reading() -> None:
    writes = [operation for operation in OPERATIONS if operation.effect != Effect.READS]
    assert [operation.name for operation in writes if operation.scope == Scope.READ] == []


def test_a_read_only_key_can_read_and_nothing_else(project: Project, now: datetime) -> None:
    key, _ = ApiKey.issue(project=project, name="reader", scopes=["read", "ingest"])
    caller = for_key(key, now)
    assert Scope.READ in caller.scopes
    for operation in OPERATIONS:
        if operation.scope != Scope.READ:
            with undone(operation), pytest.raises(NotAllowed):
                operation.run(caller, operation.input.model_construct())


def test_its_json_reads_back_as_the_same_result(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing is retried that no judge could judge. Nobody asks this one.
    monkeypatch.setattr(env, "judge_url", "http://judge.invalid/v1")
    monkeypatch.setattr(env, "judge_model", "judge-1")
    for operation in OPERATIONS:
        with undone(operation):
            result = _result(operation, world, operator_of(operation, world.project, world.now))
            if result is not None:
                assert is_dataclass(result)
                assert operation.load(operation.dump(result)) == result


def test_it_finds_nothing_of_another_project(world: World, other_project: Project) -> None:
    caller = for_system(other_project, world.now)
    for operation in OF_A_PROJECT:
        shown = ""
        with undone(operation):
            with suppress(NotFound, InvalidInput):
                shown = operation.dump(operation.call(caller, example(operation, world))).decode()
            assert SECRET not in shown
            if operation.name in NAMES_A_ROW:
                assert shown == ""


@every_operation
def test_it_names_the_field_that_is_wrong(operation: Operation) -> None:
    for name, field in operation.input.model_fields.items():
        shown = field.alias or name
        with pytest.raises(InvalidInput) as caught:
            operation.parse({shown: object()})
        assert caught.value.errors[shown].endswith("."), shown
        assert "Input should" not in caught.value.errors[shown]


@every_operation
def test_a_list_has_a_limit(operation: Operation) -> None:
    if get_origin(operation.output) is not Page:
        return
    assert "after" in operation.input.model_fields
    with pytest.raises(InvalidInput) as caught:
        operation.parse({"limit": 1_001})
    assert "1,000" in caught.value.errors["limit"]


@every_operation
def test_the_reference_tells_of_it(operation: Operation) -> None:
    reference = (Path(__file__).parent.parent / "docs" / "reference" / "commands.md").read_text()
    assert re.search(rf"`{' '.join(command_of(operation).words(operation))}\b", reference)


def command_of(operation: Operation) -> OperationCommand:
    made = load_command_class(str(get_commands()[operation.group]), operation.group)
    assert isinstance(made, OperationCommand)
    return made


def test_more_rows_need_no_more_queries(world: World) -> None:
    before = _query_counts(world)
    grow(world)
    after = _query_counts(world)
    assert {name: (count, after[name]) for name, count in before.items() if after[name] > count} == {}


def _query_counts(world: World) -> dict[str, int]:
    counts = {}
    for operation in OPERATIONS:
        if operation.effect == Effect.READS:
            caller = operator_of(operation, world.project, world.now)
            with CaptureQueriesContext(connection) as queries:
                operation.call(caller, example(operation, world))
            counts[operation.name] = len(queries)
    return counts


def _result(operation: Operation, world: World, caller: Caller) -> object:
    if operation.name in NAMES_NOTHING:
        with pytest.raises(InvalidInput):
            operation.call(caller, example(operation, world))
        return None
    return operation.call(caller, example(operation, world))


def test_every_group_is_a_command() -> None:
    groups = {operation.group for operation in OPERATIONS}
    commands = get_commands()
    made = {group: load_command_class(str(commands[group]), group) for group in groups}
    assert {group for group, command in made.items() if isinstance(command, OperationCommand)} == groups


@every_operation
def test_its_command_takes_every_field(operation: Operation, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        call_command(operation.group, *command_of(operation).words(operation), "--help", stdout=io.StringIO())
    assert caught.value.code == 0
    help_text = capsys.readouterr().out
    assert operation.description.split()[0] in help_text
    for name, field in operation.input.model_fields.items():
        shown = (field.alias or name).replace("_", "-").removesuffix("s")
        assert shown in help_text or name.upper() in help_text
