"""The registry of operations: typed functions with a name, for every face alike."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from pydantic import Field

from catalyst.operations import (
    Conflict,
    Effect,
    Id,
    Input,
    InvalidInput,
    NotAllowed,
    NotFound,
    Operation,
    Scope,
    UtcTime,
    find,
    operation,
)


@dataclass(frozen=True)
class Caller:
    scopes: Collection[str] = (Scope.READ,)


class Question(Input):
    number: Id
    since: UtcTime | None = Field(None, alias="from")
    name: str = ""
    tags: list[str] = []


@dataclass(frozen=True)
class Answer:
    number: int
    since: datetime | None
    cost: Decimal


def answer(caller: Caller, given: Question) -> Answer:
    """Answer."""
    if given.name == "rule":
        raise ValidationError({"since": ["Too early.", "Really."], "number": "Odd."})
    if given.name == "whole":
        raise ValidationError("Not now.")
    if given.name == "conflict":
        raise Conflict("Changed meanwhile.")
    return Answer(given.number, given.since, Decimal("0.10"))


ANSWER = Operation("tests.answer", Scope.READ, Effect.READS, answer, Question, Answer)


def refused(data: dict[str, object]) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        ANSWER.call(Caller(), data)
    return caught.value.errors


def test_it_calls_the_function_with_typed_input() -> None:
    found = ANSWER.call(Caller(), {"number": "7", "from": "2026-11-20T08:00"})
    assert found == Answer(7, datetime(2026, 11, 20, 8, tzinfo=UTC), Decimal("0.10"))


def test_its_json_reads_back_as_the_same_result() -> None:
    found = ANSWER.call(Caller(), {"number": 7})
    assert ANSWER.dump(found) == b'{"number":7,"since":null,"cost":"0.10"}'
    assert ANSWER.load(ANSWER.dump(found)) == found


@pytest.mark.parametrize(
    ("data", "errors"),
    [
        ({}, {"number": "This is required."}),
        ({"number": "some"}, {"number": "This must be a whole number."}),
        ({"number": 2**63}, {"number": "This must be a whole number of at most 9,223,372,036,854,775,807."}),
        ({"number": 0}, {"number": "This must be a whole number of at least 1."}),
        ({"number": 1, "colour": "red"}, {"colour": "There is no such field."}),
        ({"number": 1, "from": "soon"}, {"from": "A time, such as 2026-11-20 or 2026-11-20T08:00."}),
    ],
)
def test_it_says_what_is_wrong_by_field(data: dict[str, object], errors: dict[str, str]) -> None:
    assert refused(data) == errors


@pytest.mark.parametrize("data", [{"name": "a\0b"}, {"tags": ["a\0b"]}])
def test_it_refuses_text_that_can_not_be_stored(data: dict[str, object]) -> None:
    (text,) = refused({"number": 1, **data}).values()
    assert "null character" in text


def test_it_names_broken_rules_as_the_input_does() -> None:
    assert refused({"number": 1, "name": "rule"}) == {"from": "Too early. Really.", "number": "Odd."}
    assert refused({"number": 1, "name": "whole"}) == {"": "Not now."}


def test_other_errors_pass_through() -> None:
    with pytest.raises(Conflict, match="Changed meanwhile"):
        ANSWER.call(Caller(), {"number": 1, "name": "conflict"})


def test_the_caller_chooses_what_becomes_of_unknown_names() -> None:
    assert ANSWER.call(Caller(), {"number": 1, "colour": "red"}, unknown="ignore").number == 1


def test_it_refuses_a_caller_without_the_scope() -> None:
    with pytest.raises(NotAllowed, match=r"tests\.answer needs the scope read"):
        ANSWER.call(Caller(scopes=()), {"number": 1})


def test_a_name_can_be_taken_once() -> None:
    with pytest.raises(ValueError, match=r"two operations called signals\.list"):
        operation("signals.list", Scope.READ, Effect.READS)(answer)


def test_a_function_must_be_typed() -> None:
    def untyped(caller: Caller, given: Question) -> int:
        return 1

    with pytest.raises(TypeError, match="returns no frozen dataclass"):
        operation("tests.untyped", Scope.READ, Effect.READS)(untyped)


def test_an_unknown_name_is_not_found() -> None:
    with pytest.raises(NotFound, match=r"no operation tests\.nothing"):
        find("tests.nothing")
