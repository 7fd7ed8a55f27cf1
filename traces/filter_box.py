"""Reads what people type into the filter box of a list: `model = gpt-4o`, `latency >= 5s`, or a text to search for."""

import re
from contextlib import suppress
from decimal import Decimal

from traces.filters import ATTRIBUTE, NAMES, STATUS

SESSION = "session"
# Shown as suggestions; the values of facets come after them.
EXAMPLES = (
    *(f"{name} = " for name in NAMES),
    *("status = error", "status = ok", f"{SESSION} = ", "latency >= 5s", "latency <= 500ms"),
    *("tokens >= 1000", "tokens <= 100", f"{ATTRIBUTE}."),
)

_EQUAL = re.compile(
    rf"(?P<name>{'|'.join((*NAMES, STATUS, SESSION))}|{ATTRIBUTE}\.(?P<key>[^=<>!]+?))\s*==?\s*(?P<value>.*)",
    re.IGNORECASE | re.DOTALL,
)
_BOUND = re.compile(
    r"(?P<name>latency|tokens)\s*(?P<operator>>=|<=|[=<>≥≤])\s*(?P<value>.*)", re.IGNORECASE | re.DOTALL
)
# As in `cost > 1`: somebody means a condition, so that searching for it as a text would find nothing.
_UNKNOWN = re.compile(r"(?P<name>[a-z_][\w.]*)\s+(?P<operator>>=|<=|==|!=|[=<>])\s+\S.*", re.IGNORECASE | re.DOTALL)
_SIDES = {">=": "min", "<=": "max", "≥": "min", "≤": "max"}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s*(ms|s|m|min|h)", re.ASCII)
_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "min": 60_000, "h": 3_600_000}
_COUNT = re.compile(r"(\d{1,3}(?:,\d{3})+|\d{1,12}(?:\.\d{1,6})?)\s*([km]?)", re.ASCII | re.IGNORECASE)
_THOUSANDS = {"": 1, "k": 1_000, "m": 1_000_000}


class Unreadable(ValueError):
    """The message says how to write the condition."""


def read(text: str) -> tuple[str, str] | None:
    """The parameter of the condition, and its value. None for a text to search for. Raises Unreadable.

    The value of `session` is the sender's id, and that of `attribute` is `key=value`.
    """
    text = text.strip()
    if equal := _EQUAL.fullmatch(text):
        return _equal(equal)
    if bound := _BOUND.fullmatch(text):
        return _bound(bound)
    if unknown := _UNKNOWN.fullmatch(text):
        name = unknown["name"]
        if unknown["operator"] == "!=":
            raise Unreadable(f"Lists can't leave a value out. Write {name} = value.")
        raise Unreadable(f"Lists have no filter “{name}”. Write an attribute as {ATTRIBUTE}.{name} = value.")
    return None


def session_in(text: str) -> str:
    """The id in a condition on the session. Empty if the text is none."""
    with suppress(Unreadable):
        condition = read(text)
        return condition[1] if condition and condition[0] == SESSION else ""
    return ""


def is_text(text: str) -> bool:
    """Whether it is no condition, nor meant as one."""
    with suppress(Unreadable):
        return read(text) is None
    return False


def _equal(found: re.Match[str]) -> tuple[str, str]:
    value = _unquoted(found["value"])
    if not value:
        raise Unreadable(f"“{found.string}” has no value.")
    if found["key"]:
        return ATTRIBUTE, f"{found['key'].strip()}={value}"
    name = found["name"].lower()
    return name, value.lower() if name == STATUS else value


def _bound(found: re.Match[str]) -> tuple[str, str]:
    name, operator, value = found["name"].lower(), found["operator"], found["value"].strip()
    is_latency = name == "latency"
    number = _milliseconds(value) if is_latency else _count(value)
    if number is not None and operator in ("<", ">"):
        raise Unreadable(f"Write {name} {operator}= {value}: a bound includes its value.")
    if number is None and is_latency and value.isdecimal():
        raise Unreadable(
            f"A latency needs a unit, such as latency >= {value}s or latency <= {value}ms, in ms, s, m or h."
        )
    if number is None or operator == "=":
        raise Unreadable(
            "Write a latency as latency >= 5s or latency <= 500ms, in ms, s, m or h."
            if is_latency
            else "Write tokens as tokens >= 1000, tokens >= 5k or tokens <= 100."
        )
    return f"{_SIDES[operator]}_{'duration_ms' if is_latency else 'tokens'}", str(number)


def _milliseconds(text: str) -> int | None:
    found = _DURATION.fullmatch(text)
    return _whole(found[1], _MILLISECONDS[found[2]]) if found else None


def _count(text: str) -> int | None:
    found = _COUNT.fullmatch(text)
    return _whole(found[1].replace(",", ""), _THOUSANDS[found[2].lower()]) if found else None


def _whole(number: str, unit: int) -> int | None:
    product = Decimal(number) * unit
    return int(product) if product == int(product) else None


def _unquoted(text: str) -> str:
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if is_quoted else text
