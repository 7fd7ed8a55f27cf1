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
_BOUND = re.compile(r"(?P<name>latency|tokens)\s*(?P<operator>>=|<=|[=<>])\s*(?P<value>.*)", re.IGNORECASE | re.DOTALL)
# As in `cost > 1`: somebody means a condition, so that searching for it as a text would find nothing.
_UNKNOWN = re.compile(r"(?P<name>[a-z_][\w.]*)\s+(?P<operator>>=|<=|==|!=|[=<>])\s+\S.*", re.IGNORECASE | re.DOTALL)
_SIDES = {">=": "min", "<=": "max"}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s*(ms|s|m|min|h)", re.ASCII)
_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "min": 60_000, "h": 3_600_000}
_COUNT = re.compile(r"\d{1,3}(,\d{3})+|\d{1,12}", re.ASCII)


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


def _equal(found: re.Match[str]) -> tuple[str, str]:
    value = _unquoted(found["value"])
    if not value:
        raise Unreadable(f"“{found.string}” has no value.")
    if found["key"]:
        return ATTRIBUTE, f"{found['key'].strip()}={value}"
    name = found["name"].lower()
    return name, value.lower() if name == STATUS else value


def _bound(found: re.Match[str]) -> tuple[str, str]:
    name, side = found["name"].lower(), _SIDES.get(found["operator"])
    if name == "latency":
        milliseconds = _milliseconds(found["value"])
        if side is None or milliseconds is None:
            raise Unreadable("Write a latency as latency >= 5s or latency <= 500ms, in ms, s, m or h.")
        return f"{side}_duration_ms", str(milliseconds)
    if side is None or not _COUNT.fullmatch(found["value"]):
        raise Unreadable("Write tokens as tokens >= 1000 or tokens <= 100.")
    return f"{side}_tokens", found["value"].replace(",", "")


def _milliseconds(text: str) -> int | None:
    found = _DURATION.fullmatch(text)
    milliseconds = Decimal(found[1]) * _MILLISECONDS[found[2]] if found else Decimal("0.1")
    return int(milliseconds) if milliseconds == int(milliseconds) else None


def _unquoted(text: str) -> str:
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if is_quoted else text
