"""No call counts twice, and none is missing, however frameworks nest their spans."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from traces.counted_usage import count_usage
from traces.records import SpanRecord

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
A = SpanRecord(1, UUID(int=1), 1, NOW, None, 1_000, NOW)


def span(line: str) -> SpanRecord:
    """`depth-first id < parent KIND tokens`, for example "2 < 1 LLM 100"; no number: it says nothing."""
    place, _, rest = line.partition(" < ")
    parent, kind, *used = rest.split()
    tokens = int(used[0]) if used else None
    return replace(A, span_id=int(place), parent_id=int(parent) or None, kind=kind, input_tokens=tokens)


@pytest.mark.parametrize(
    ("tree", "usage", "calls"),
    [
        (["1 < 0 LLM 10"], {1}, {1}),
        (["1 < 0 AGENT", "2 < 1 LLM 10", "3 < 1 LLM 20"], {2, 3}, {2, 3}),
        # A wrapper repeats what is below it.
        (["1 < 0 LLM 10", "2 < 1 LLM 10"], {1}, {1}),
        (["1 < 0 LLM 10", "2 < 1 CHAIN", "3 < 2 LLM 10"], {1}, {1}),
        (["1 < 0 LLM 30", "2 < 1 LLM 10", "3 < 1 LLM 20"], {1}, {1}),
        # It says zero, nothing, or only the last call.
        (["1 < 0 LLM 0", "2 < 1 LLM 100"], {2}, {2}),
        (["1 < 0 LLM", "2 < 1 LLM 100"], {2}, {2}),
        (["1 < 0 LLM 100", "2 < 1 LLM 80", "3 < 1 LLM 100"], {2, 3}, {2, 3}),
        # Below a tool or an agent lies other work.
        (["1 < 0 LLM 10", "2 < 1 TOOL", "3 < 2 AGENT", "4 < 3 LLM 500"], {1, 4}, {1, 4}),
        (["1 < 0 LLM 10", "2 < 1 SPAN", "3 < 2 TOOL", "4 < 3 LLM 5", "5 < 2 LLM 10"], {1, 4}, {1, 4}),
        (["1 < 0 LLM 10", "2 < 1 AGENT 7", "3 < 2 LLM 7"], {1, 3}, {1, 3}),
        (["1 < 0 LLM 10", "2 < 1 AGENT 7"], {1, 2}, {1, 2}),
        # Agents, embeddings and others count where nothing below them does.
        (["1 < 0 AGENT 500"], {1}, {1}),
        (["1 < 0 AGENT 500", "2 < 1 LLM 500"], {2}, {2}),
        (["1 < 0 AGENT 500", "2 < 1 LLM"], {1}, {1, 2}),
        (["1 < 0 CHAIN 9", "2 < 1 EMBEDDING 5"], {2}, {2}),
        (["1 < 0 EMBEDDING 5", "2 < 1 EMBEDDING 5"], {2}, {2}),
        (["1 < 0 LLM 10", "2 < 1 EMBEDDING 4"], {1}, {1}),
        # Tools use nothing themselves.
        (["1 < 0 AGENT", "2 < 1 TOOL 99", "3 < 2 LLM 1"], {3}, {3}),
        (["1 < 0 TOOL 99"], set(), set()),
        # Calls that say nothing are calls.
        (["1 < 0 AGENT", "2 < 1 LLM", "3 < 1 LLM 5"], {3}, {2, 3}),
        (["1 < 0 LLM 5", "2 < 1 LLM"], {1}, {1}),
        # Two tops, a missing parent, and circles.
        (["1 < 0 LLM 5", "2 < 0 LLM 6", "3 < 77 LLM 7"], {1, 2, 3}, {1, 2, 3}),
        (["1 < 2 LLM 5", "2 < 1 LLM 5", "3 < 3 LLM 1"], {1, 2, 3}, {1, 2, 3}),
    ],
)
def test_each_call_counts_once(tree: list[str], usage: set[int], calls: set[int]) -> None:
    for lines in (tree, tree[::-1]):
        counted = count_usage([span(line) for line in lines])
        assert (counted.usage, counted.calls) == (usage, calls)


def test_a_call_that_names_a_cost_alone_stands_for_those_within() -> None:
    spans = [replace(A, kind="LLM", cost=Decimal("0.5")), span("2 < 1 LLM 100")]
    assert count_usage(spans).usage == {1}


def test_a_deep_chain_is_no_trouble() -> None:
    chain = [replace(A, span_id=n, parent_id=n - 1 or None, input_tokens=1) for n in range(1, 50_001)]
    for each in chain:
        each.kind = "AGENT" if each.span_id % 2 else "LLM"
    assert count_usage(chain).usage == set(range(2, 50_001, 2))
