"""Immutable typed values that are stored as JSON."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

_NUMBER = ("int_type", "int_parsing", "int_from_float", "int_parsing_size")
_TIME = ("datetime_parsing", "datetime_from_date_parsing", "datetime_type", "datetime_object_invalid")
_OBJECT = ("model_type", "model_attributes_type", "dict_type", "tuple_type")
_MESSAGES = {
    "missing": "This is required.",
    "extra_forbidden": "There is no such field.",
    "string_type": "This is a text.",
    "list_type": "This is a list.",
    "bool_type": "True or false.",
    "bool_parsing": "True or false.",
    "decimal_type": "A number.",
    "decimal_parsing": "A number.",
    "float_type": "A number.",
    "float_parsing": "A number.",
    "string_unicode": "This is no text that can be stored.",
    "string_too_long": "At most {max_length} characters.",
    "too_long": "At most {max_length} of them.",
    "literal_error": "One of {expected}.",
    "enum": "One of {expected}.",
    "greater_than_equal": "This must be a whole number of at least {ge:,}.",
    "less_than_equal": "This must be a whole number of at most {le:,}.",
    **dict.fromkeys(_TIME, "A time, such as 2026-11-20 or 2026-11-20T08:00."),
    **dict.fromkeys(_NUMBER, "This must be a whole number."),
    **dict.fromkeys(_OBJECT, "This is not in the agreed form."),
}


class InvalidValue(ValueError):
    """Messages by field."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{field}: {text}" for field, text in errors.items()))
        self.errors = errors


class JsonValue(BaseModel):
    """A value in which every field has a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def parse(cls, data: object) -> Self:
        """Raises InvalidValue."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise InvalidValue(errors_by_field(error)) from error

    def dump(self) -> dict[str, Any]:
        """Return a JSON object without the fields that have their default."""
        fields = type(self).model_fields.items()
        changed = {name for name, field in fields if getattr(self, name) != field.default}
        return self.model_dump(mode="json", include=changed)

    @property
    def is_empty(self) -> bool:
        return not self.dump()


def errors_by_field(error: ValidationError) -> dict[str, str]:
    """Return messages for people. The empty field stands for the whole value."""
    return {_field(detail): _message(detail) for detail in error.errors()}


def _field(error: ErrorDetails) -> str:
    return str(error["loc"][0]) if error["loc"] else ""


def _message(error: ErrorDetails) -> str:
    context = dict(error.get("ctx", {}))
    if "expected" in context:
        # Empty stands for no choice, so it is none to offer.
        context["expected"] = context["expected"].removeprefix("'', ")
    message = _MESSAGES.get(error["type"], str(context.get("error", error["msg"])))
    return message.format(**context) if error["type"] in _MESSAGES else message
