"""Filters of spans, traces and sessions, in memory. `traces.models.conditions` and `traces.store` are the same in SQL.

| | span | trace | session |
|---|---|---|---|
| environment, service | its own | its root's, else the first one named | any of its traces |
| model | its own | any of its model calls (first 20 names) | any of its traces |
| user | its own | its root's, else the first one named | its earliest trace's that names one |
| status error | its own | any of its roots | any of its traces |
| status ok | not error | not error | no trace with an error |
| duration | its own; none while open | of its ended roots, else first start to last end | first start to last end |
| tokens | input and output | sum of its model calls | sum of its traces |
| attributes | its own | any of its spans | any span of any of its traces |

Of several values of one name, any may match. Conditions apply independently: two attributes may match different spans
of a trace. Only the first 64 short attributes of a span can match. Resource attributes can't.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    field_serializer,
    field_validator,
)

from catalyst import formats
from catalyst.json_value import JsonValue
from traces.conventions.span_mapping import (
    MAX_NAME_CHARACTERS,
    MAX_VALUE_CHARACTERS,
    UNINDEXED,
    attribute_text,
    attribute_token,
)
from traces.records import SpanRecord

# These take several values.
NAMES = ("environment", "service", "model", "user")
STATUS = "status"
BOUNDS = ("min_duration_ms", "max_duration_ms", "min_tokens", "max_tokens")
ATTRIBUTE = "attribute"
MAX_ATTRIBUTES = 10
MAX_VALUES = 20
MAX_NUMBER = 10**12


@dataclass(frozen=True, slots=True)
class Facts:
    """The properties of a target that filters compare. `attributes` holds results of `attribute_token`."""

    environments: frozenset[str]
    services: frozenset[str]
    models: frozenset[str]
    failed: bool
    duration_us: int | None
    tokens: int
    users: frozenset[str] = frozenset()
    attributes: frozenset[int] = frozenset()


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("It can't hold a null character.")
    return text


def _pairs(value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    pairs = sorted((str(key).strip(), attribute_text(item)) for key, item in value.items())
    if any(text is None for _, text in pairs):
        raise ValueError("The value of an attribute is a text, a number, true or false.")
    return tuple(pairs)


def _searchable(pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    if len(pairs) > MAX_ATTRIBUTES:
        raise ValueError(f"At most {MAX_ATTRIBUTES} attributes.")
    for key, _ in pairs:
        if not key or key.startswith(UNINDEXED):
            raise ValueError(f"Traffic can't be filtered by the attribute “{key}”.")
    return pairs


def _several(value: object) -> object:
    return value if isinstance(value, list | tuple) else (value,)


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    """In an order of their own, so that equal filters are stored alike."""
    distinct = tuple(sorted({value for value in values if value}))
    if len(distinct) > MAX_VALUES:
        raise ValueError(f"At most {MAX_VALUES} values.")
    return distinct


Text = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=MAX_NAME_CHARACTERS), AfterValidator(_storable)
]
Values = Annotated[
    tuple[Text, ...],
    BeforeValidator(_several, json_schema_input_type=str | tuple[str, ...]),
    AfterValidator(_distinct),
]
Value = Annotated[str, StringConstraints(max_length=MAX_VALUE_CHARACTERS), AfterValidator(_storable)]
Bound = Annotated[int | None, Field(ge=0, le=MAX_NUMBER)]


@dataclass(frozen=True, slots=True)
class Part:
    """A condition as text, and the URL parameters that change if it is removed."""

    text: str
    without: dict[str, list[str] | None]


class Filter(JsonValue):
    """Conditions that must all match; an empty one matches everything. Bounds are inclusive."""

    environment: Values = ()
    service: Values = ()
    model: Values = ()
    user: Values = ()
    status: Literal["", "ok", "error"] = ""
    min_duration_ms: Bound = None
    max_duration_ms: Bound = None
    min_tokens: Bound = None
    max_tokens: Bound = None
    attributes: Annotated[tuple[tuple[Text, Value], ...], BeforeValidator(_pairs), AfterValidator(_searchable)] = ()

    @field_serializer(*NAMES)
    def _one_or_several(self, values: tuple[str, ...]) -> str | list[str]:
        return values[0] if len(values) == 1 else list(values)

    @field_serializer("attributes")
    def _attributes(self, pairs: tuple[tuple[Text, Value], ...]) -> dict[str, str]:
        return dict(pairs)

    @field_validator("max_duration_ms", "max_tokens")
    @classmethod
    def _check_order(cls, maximum: int | None, info: ValidationInfo) -> int | None:
        minimum = info.data.get(str(info.field_name).replace("max", "min"))
        if maximum is not None and minimum is not None and minimum > maximum:
            raise ValueError("Max must be at least min.")
        return maximum

    @property
    def without(self) -> dict[str, None]:
        """URL parameters that remove the filter."""
        return dict.fromkeys((*NAMES, STATUS, *BOUNDS, ATTRIBUTE))

    @property
    def attribute_tokens(self) -> list[int]:
        return [attribute_token(key, value) for key, value in self.attributes]

    @property
    def by_attribute(self) -> list["Filter"]:
        return [EVERYTHING.model_copy(update={"attributes": (pair,)}) for pair in self.attributes]

    @property
    def parts(self) -> list[Part]:
        """Each value is a part of its own."""
        return self._parts_of_names + self._other_parts

    @property
    def _parts_of_names(self) -> list[Part]:
        return [
            Part(f"{name} is {value}", {name: [other for other in getattr(self, name) if other != value]})
            for name in NAMES
            for value in getattr(self, name)
        ]

    @property
    def _other_parts(self) -> list[Part]:
        parts = [Part(f"status is {self.status}", {STATUS: None})] if self.status else []
        if duration := _between(_duration(self.min_duration_ms), _duration(self.max_duration_ms)):
            parts.append(Part(f"latency {duration}", {"min_duration_ms": None, "max_duration_ms": None}))
        if tokens := _between(_number(self.min_tokens), _number(self.max_tokens)):
            parts.append(Part(f"tokens {tokens}", {"min_tokens": None, "max_tokens": None}))
        for pair in self.attributes:
            others = [f"{key}={value}" for key, value in self.attributes if (key, value) != pair]
            parts.append(Part(f"{pair[0]} is {pair[1]}", {ATTRIBUTE: others}))
        return parts

    @property
    def text(self) -> str:
        """For example `environment is prod or staging, status is error`, or `all traffic`."""
        names = [f"{name} is {' or '.join(values)}" for name in NAMES if (values := getattr(self, name))]
        return ", ".join([*names, *(part.text for part in self._other_parts)]) or "all traffic"

    def passes(self, facts: Facts) -> bool:
        return (
            self._matches_names(facts)
            and (not self.status or facts.failed == (self.status == "error"))
            and _within(facts.duration_us, self.min_duration_ms, self.max_duration_ms, unit=1000)
            and _within(facts.tokens, self.min_tokens, self.max_tokens)
            and facts.attributes.issuperset(self.attribute_tokens)
        )

    def unmet(self, facts: Facts) -> list[str]:
        """The text of each condition that does not match."""
        return [condition.text for condition in self._single_conditions() if not condition.passes(facts)]

    def _single_conditions(self) -> list["Filter"]:
        bounds = (("min_duration_ms", "max_duration_ms"), ("min_tokens", "max_tokens"))
        names_by_condition = (*((name,) for name in (*NAMES, STATUS)), *bounds)
        conditions = []
        for names in names_by_condition:
            values = {name: getattr(self, name) for name in names}
            conditions.append(EVERYTHING.model_copy(update=values))
        return conditions + self.by_attribute

    def _matches_names(self, facts: Facts) -> bool:
        conditions = (
            (self.environment, facts.environments),
            (self.service, facts.services),
            (self.model, facts.models),
            (self.user, facts.users),
        )
        return all(not wanted or not found.isdisjoint(wanted) for wanted, found in conditions)


def fields_by_name(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a filter from names as users write them: `min-tokens`, `attribute.KEY`."""
    fields: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    for name, value in arguments.items():
        prefix, _, key = name.partition(".")
        if prefix == ATTRIBUTE and key:
            attributes[key] = value
        else:
            fields[name.replace("-", "_")] = value
    nested = fields.get("attributes", {})
    if attributes and isinstance(nested, Mapping):
        fields["attributes"] = {**nested, **attributes}
    return fields


EVERYTHING = Filter()


def facts_of_span(span: SpanRecord) -> Facts:
    return Facts(
        environments=frozenset((span.environment,)),
        services=frozenset((span.service,)),
        models=frozenset((span.model,)),
        failed=span.status == "error",
        duration_us=span.duration_us,
        tokens=(span.input_tokens or 0) + (span.output_tokens or 0),
        users=frozenset((span.user,)),
        attributes=frozenset(span.attribute_tokens),
    )


def _within(number: int | None, minimum: int | None, maximum: int | None, unit: int = 1) -> bool:
    if minimum is None and maximum is None:
        return True
    return number is not None and (minimum or 0) * unit <= number and (maximum is None or number <= maximum * unit)


def _between(minimum: str, maximum: str) -> str:
    if minimum and maximum:
        return minimum if minimum == maximum else f"{minimum} to {maximum}"
    if minimum:
        return f"≥ {minimum}"
    return f"≤ {maximum}" if maximum else ""


def _duration(ms: int | None) -> str:
    return "" if ms is None else formats.duration(ms * 1000)


def _number(count: int | None) -> str:
    return "" if count is None else f"{count:,}"
