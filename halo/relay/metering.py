"""What calls use, and the budget that they use it from. Pure."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson

from catalyst.llm import token_count

ZERO = Decimal(0)
CHARACTERS_PER_TOKEN = 4
# From this share of a budget on, only the end of the run is asked for.
FINISHING_SHARE = 0.85
MAX_ERROR_CHARACTERS = 1_000
_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})
# What models say. Other texts of an answer are ids and the like.
_SAID = frozenset({"content", "text", "delta", "arguments", "reasoning", "reasoning_content", "refusal"})


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call. `is_estimated`: from the number of characters, because the server reported none."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    is_estimated: bool = False

    @property
    def total(self) -> int:
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class Meter:
    """All calls so far. `calls`: those that the model answered, if only in part. `cost`: None without a known price."""

    calls: int = 0
    failed_calls: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost: Decimal | None = ZERO
    is_estimated: bool = False

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def plus(self, usage: Usage, cost: Decimal | None) -> "Meter":
        return Meter(
            self.calls + 1,
            self.failed_calls,
            self.input_tokens + usage.input_tokens,
            self.cached_tokens + usage.cached_tokens,
            self.output_tokens + usage.output_tokens,
            self.reasoning_tokens + usage.reasoning_tokens,
            None if self.cost is None or cost is None else self.cost + cost,
            self.is_estimated or usage.is_estimated,
        )


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may use. None: no limit."""

    tokens: int | None = None
    dollars: Decimal | None = None
    minutes: float | None = None

    def used(self, tokens: int, dollars: Decimal | None, minutes: float) -> tuple[float, str]:
        """Return the share of the limit that is nearest to its end, and the limit in words."""
        shares = [
            (_share(tokens, self.tokens), f"{self.tokens:,} tokens" if self.tokens is not None else ""),
            (_share(dollars, self.dollars), f"${self.dollars:,.2f}" if self.dollars is not None else ""),
            (_share(minutes, self.minutes), f"{self.minutes:g} minutes" if self.minutes is not None else ""),
        ]
        return max(shares)


def _share(used: float | Decimal | None, limit: float | Decimal | None) -> float:
    if limit is None:
        return 0.0
    # Without a price nobody knows what is left.
    return float("inf") if used is None or not limit else float(used) / float(limit)


class AnswerReader:
    """Reads what an answer used while it passes by."""

    def __init__(self) -> None:
        self._usage: dict[str, Any] | None = None
        self._characters = 0
        self._is_object = False
        # What an answer says is wrong, in its middle or in its place.
        self.error = ""
        self.has_ended = False

    @property
    def is_no_answer(self) -> bool:
        """Nothing was read that a model could have said."""
        return not self._characters and self._usage is None and (bool(self.error) or not self._is_object)

    def read_lines(self, lines: bytes) -> None:
        """Read whole lines of a stream of events."""
        for line in lines.splitlines():
            if line.startswith(b"data:"):
                self.has_ended = self.has_ended or line[5:].strip() == b"[DONE]"
                self.read(line[5:])

    def read(self, content: bytes) -> None:
        """Read an event or an answer."""
        with suppress(ValueError):
            value = orjson.loads(content)
            if isinstance(value, dict):
                self._read_object(value)

    def usage(self, request: bytes) -> Usage:
        """Return what the call used. Only a request that was answered in part counts, as far as it was answered."""
        usage = self._usage
        input_tokens = _first_count(usage, "input_tokens", "prompt_tokens")
        output_tokens = _first_count(usage, "output_tokens", "completion_tokens")
        if input_tokens is None and output_tokens is None:
            return Usage(tokens_of(len(request)), 0, tokens_of(self._characters), 0, is_estimated=True)
        return Usage(
            input_tokens or 0,
            _details(usage, ("input_tokens_details", "prompt_tokens_details"), "cached_tokens"),
            output_tokens or 0,
            _details(usage, ("output_tokens_details", "completion_tokens_details"), "reasoning_tokens"),
        )

    def _read_object(self, value: dict[str, Any]) -> None:
        self._is_object = True
        for holder in (value, value.get("response")):
            if isinstance(holder, dict):
                self._read_report(holder)
        kind = value.get("type")
        if not isinstance(kind, str):
            choices = value.get("choices")
            self._characters += sum(_lengths([choices, value.get("output")]))
            self.has_ended = self.has_ended or _is_finished(choices)
        elif kind.endswith(".delta"):
            self._characters += sum(_lengths([value]))
        elif kind in _ENDS:
            self.has_ended = True

    def _read_report(self, holder: dict[str, Any]) -> None:
        # Some servers report what was used so far in each event.
        if isinstance(usage := holder.get("usage"), dict):
            self._usage = usage
        if error := holder.get("error"):
            message = error.get("message") if isinstance(error, dict) else error
            self.error = str(message)[:MAX_ERROR_CHARACTERS]


def tokens_of(characters: int) -> int:
    return -(-characters // CHARACTERS_PER_TOKEN)


def _lengths(values: list[Any]) -> Iterator[int]:
    # Without recursion: servers nest as deep as they like.
    while values:
        value = values.pop()
        if isinstance(value, dict):
            yield sum(len(text) for name, text in value.items() if name in _SAID and isinstance(text, str))
            values.extend(inner for inner in value.values() if isinstance(inner, dict | list))
        elif isinstance(value, list):
            values.extend(value)


def _is_finished(choices: Any) -> bool:
    first = choices[0] if isinstance(choices, list) and choices else None
    return isinstance(first, dict) and bool(first.get("finish_reason"))


def _first_count(usage: Any, *names: str) -> int | None:
    return next((count for name in names if (count := token_count(usage, name)) is not None), None)


def _details(usage: Any, holders: tuple[str, ...], name: str) -> int:
    return next((count for holder in holders if (count := token_count(usage, holder, name)) is not None), 0)
