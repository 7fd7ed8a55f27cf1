"""The registry of operations: typed functions behind commands, HTTP procedures and MCP tools.

An app has its operations in `operations/`; its `ready()` imports their modules.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Literal, Protocol, get_origin, get_type_hints

import pydantic
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, model_validator
from pydantic.alias_generators import to_camel

from catalyst import params
from catalyst.json_value import errors_by_field
from catalyst.pagination import Cursor

MAX_ID = 2**63 - 1


class Scope(StrEnum):
    """Viewers read. Members also write and manage keys. Owners do everything. API keys read and write."""

    # An operation that only reads needs more than READ if its page is not for viewers.
    READ = "read"
    WRITE = "write"
    KEYS = "keys"
    ADMIN = "admin"


class Effect(StrEnum):
    READS = "reads"
    WRITES = "writes"


class Caller(Protocol):
    @property
    def scopes(self) -> Collection[str]: ...


class OperationError(Exception):
    """Nothing was done. The text is for people."""


class InvalidInput(OperationError):
    """`errors`: texts by input field. The empty field is the whole input."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__(" ".join(_error_text(field, text) for field, text in errors.items()))
        self.errors = dict(errors)


def _error_text(field: str, text: str) -> str:
    return f"{field}: {text}" if field else text


class NotFound(OperationError):
    pass


class Conflict(OperationError):
    """Somebody else changed the object."""


class NotAllowed(OperationError):
    pass


def _utc(moment: datetime) -> datetime:
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError as error:
        raise ValueError("This time is out of range.") from error


# A time without a zone is in UTC.
UtcTime = Annotated[datetime, AfterValidator(_utc)]
Id = Annotated[int, Field(ge=1, le=MAX_ID)]
Limit = Annotated[int, Field(ge=1, le=1_000)]
# Records are written with the names that clients use.
CAMEL = ConfigDict(alias_generator=to_camel)


class Input(BaseModel):
    """The arguments of an operation. PostgreSQL can't store null characters, so text must not contain any."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_null_characters(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            for field, value in data.items():
                _check_storable(str(field), value)
        return data


def _check_storable(field: str, value: object) -> None:
    if isinstance(value, str) and "\0" in value:
        raise ValueError(f"{field} can't hold a null character.")
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check_storable(field, key)
            _check_storable(field, item)
    if isinstance(value, list | tuple):
        for item in value:
            _check_storable(field, item)


class NewestInput(Input):
    """Arguments of a list whose newest rows come first."""

    limit: Limit = 50
    after: Id | None = Field(None, description="Continue a list: `next` of the page before.")


@dataclass(frozen=True, slots=True)
class Page[T]:
    """`next`: the `after` of the next page, None on the last."""

    items: list[T]
    next: str | None

    @classmethod
    def of[Row](
        cls, rows: Sequence[Row], limit: int, record: Callable[[Row], T], after: Callable[[Row], object]
    ) -> "Page[T]":
        """`rows`: up to `limit`, and one more if there is a next page."""
        shown = rows[:limit]
        cursor = str(after(shown[-1])) if len(rows) > limit else None
        return cls([record(row) for row in shown], cursor)


def cursor_of(after: str | None) -> Cursor | None:
    """Raises InvalidInput."""
    cursor = params.cursor(after)
    if after and cursor is None:
        raise InvalidInput({"after": "This is not the `next` of a page."})
    return cursor


@dataclass(frozen=True)
class Operation:
    """`preview` names the operation that shows the outcome in advance."""

    name: str
    scope: Scope
    effect: Effect
    function: Callable[[Any, Any], Any]
    input: type[Input]
    output: Any
    preview: str = ""

    @property
    def group(self) -> str:
        return self.name.partition(".")[0]

    @property
    def verb(self) -> str:
        return self.name.partition(".")[2]

    @cached_property
    def caller(self) -> type[Caller]:
        kind: type[Caller] = next(iter(get_type_hints(self.function).values()))
        return kind

    @property
    def description(self) -> str:
        return (self.function.__doc__ or "").strip()

    def parse(self, data: Mapping[str, object], *, unknown: Literal["ignore", "forbid"] = "forbid") -> Input:
        """`unknown`: what to do with other names. Raises InvalidInput."""
        try:
            return self.input.model_validate(data, extra=unknown)
        except pydantic.ValidationError as error:
            raise InvalidInput(errors_by_field(error)) from error

    def run(self, caller: Caller, arguments: Input) -> Any:
        """Raises an OperationError."""
        if not isinstance(caller, self.caller):
            raise NotAllowed(f"{self.name} is not for this kind of caller.")
        if self.scope not in caller.scopes:
            raise NotAllowed(f"{self.name} needs the scope {self.scope}.")
        try:
            return self.function(caller, arguments)
        except ValidationError as error:
            raise InvalidInput(self._errors(error)) from error

    def call(
        self, caller: Caller, data: Mapping[str, object], *, unknown: Literal["ignore", "forbid"] = "forbid"
    ) -> Any:
        return self.run(caller, self.parse(data, unknown=unknown))

    def dump(self, result: object) -> bytes:
        return self._output_type.dump_json(result, by_alias=True, ensure_ascii=True)

    def load(self, text: bytes | str) -> Any:
        return self._output_type.validate_json(text)

    @cached_property
    def _output_type(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.output)

    def _errors(self, error: ValidationError) -> dict[str, str]:
        errors = {}
        for field, texts in error.update_error_dict({}).items():
            errors[self._input_name(field)] = " ".join(ValidationError(texts).messages)
        return errors

    def _input_name(self, field: str) -> str:
        if field == NON_FIELD_ERRORS:
            return ""
        model_field = self.input.model_fields.get(field)
        return model_field.alias if model_field and model_field.alias else field


_registry: dict[str, Operation] = {}


def operation[C: Caller, I: Input, O](
    name: str, scope: Scope, effect: Effect, *, preview: str = ""
) -> Callable[[Callable[[C, I], O]], Callable[[C, I], O]]:
    """Register a function of a caller and an `Input` that returns a frozen dataclass.

    Raises TypeError for other types, ValueError for a duplicate name.
    """

    def register(function: Callable[[C, I], O]) -> Callable[[C, I], O]:
        if name in _registry:
            raise ValueError(f"There are two operations called {name}.")
        _registry[name] = Operation(name, scope, effect, function, *_types(name, function), preview)
        return function

    return register


def _types(name: str, function: Callable[..., object]) -> tuple[type[Input], Any]:
    hints = get_type_hints(function)
    output = hints.pop("return", None)
    _, input_type = hints.values()
    if not issubclass(input_type, Input):
        raise TypeError(f"{name} takes no Input.")
    output_class = get_origin(output) or output
    if not is_dataclass(output_class) or not getattr(output_class, "__dataclass_params__").frozen:  # noqa: B009, mypy does not know it
        raise TypeError(f"{name} returns no frozen dataclass.")
    return input_type, output


def find(name: str) -> Operation:
    """Raises NotFound."""
    if name not in _registry:
        raise NotFound(f"There is no operation {name}.")
    return _registry[name]


def all_operations(group: str = "") -> list[Operation]:
    operations = sorted(_registry.values(), key=lambda item: item.name)
    return [item for item in operations if not group or item.group == group]
