"""Tokens of a trace, however a framework nests its spans. Each call counts once."""

from itertools import permutations
from typing import Any

import pytest

from tests.traces.cases.sender import Sender, span

pytestmark = [pytest.mark.real_clock, pytest.mark.django_db]

type Spans = list[dict[str, Any]]


def usage(given: int | None, put_out: int | None = None) -> dict[str, Any]:
    counts = {"gen_ai.usage.input_tokens": given, "gen_ai.usage.output_tokens": put_out}
    return {name: count for name, count in counts.items() if count is not None}


def chat(number: int, parent: int = 0, *counts: int, model: str = "gpt-4o") -> dict[str, Any]:
    said = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": model}
    return span(said | usage(*counts or (None,)), number=number, parent=parent, at=number, name=f"chat {model}")


def other(number: int, parent: int = 0, *counts: int, does: str = "", **more: Any) -> dict[str, Any]:
    said = {"gen_ai.operation.name": does} if does else {}
    return span(said | usage(*counts or (None,)) | more, number=number, parent=parent, at=number)


def agent(number: int, parent: int = 0, *counts: int, name: str = "boss") -> dict[str, Any]:
    model = {"gen_ai.request.model": "gpt-4o", "gen_ai.provider.name": "openai"} if counts else {}
    return other(number, parent, *counts, does="invoke_agent", **{"gen_ai.agent.name": name}, **model)


def tool(number: int, parent: int = 0, *counts: int) -> dict[str, Any]:
    return other(number, parent, *counts, does="execute_tool", **{"gen_ai.tool.name": "ask"})


def embedding(number: int, parent: int = 0, *counts: int) -> dict[str, Any]:
    model = {"gen_ai.request.model": "text-embedding-3-small", "gen_ai.provider.name": "openai"}
    return other(number, parent, *counts, does="embeddings", **model)


TREES: dict[str, tuple[Spans, tuple[int, int]]] = {
    "one call": ([chat(1, 0, 8, 9)], (8, 9)),
    "two calls side by side": ([other(1), chat(2, 1, 8, 9), chat(3, 1, 8, 9)], (16, 18)),
    "sub-agent as a tool": (
        [agent(1), chat(2, 1, 1000, 100), other(3, 2), tool(4, 3), agent(5, 4, name="sub"), chat(6, 5, 50_000, 5_000)],
        (51_000, 5_100),
    ),
    "model call in a tool": ([chat(1, 0, 1000, 100), tool(2, 1), chat(3, 2, 200, 20)], (1_200, 120)),
    "agent below a call": ([chat(1, 0, 1000, 100), agent(2, 1), chat(3, 2, 200, 20)], (1_200, 120)),
    "two sub-agents below a call": (
        [chat(1, 0, 10, 1), agent(2, 1), agent(3, 1, name="b"), chat(4, 2, 200, 20), chat(5, 3, 200, 20)],
        (410, 41),
    ),
    "tool in a tool": ([chat(1, 0, 10, 1), tool(2, 1), tool(3, 2), chat(4, 3, 5, 5)], (15, 6)),
    "sub-agent's own wrapper": (
        [chat(1, 0, 10, 1), tool(2, 1), chat(3, 2, 50, 5), chat(4, 3, 50, 5)],
        (60, 6),
    ),
    "two wrappers": ([chat(1, 0, 50, 5), chat(2, 1, 50, 5), chat(3, 2, 50, 5)], (50, 5)),
    "wrapper, step, call": ([chat(1, 0, 50, 5), other(2, 1), chat(3, 2, 50, 5)], (50, 5)),
    "outer says zero": ([chat(1, 0, 0, 0), chat(2, 1, 100, 10)], (100, 10)),
    "outer says nothing": ([chat(1), chat(2, 1, 100, 10)], (100, 10)),
    "inner says zero": ([chat(1, 0, 100, 10), chat(2, 1, 0, 0)], (100, 10)),
    "inner says nothing": ([chat(1, 0, 100, 10), chat(2, 1)], (100, 10)),
    "outer says the input only": ([chat(1, 0, 100, 0), chat(2, 1, 100, 10)], (100, 10)),
    "outer says the last call": ([chat(1, 0, 100, 10), chat(2, 1, 80, 8), chat(3, 1, 100, 10)], (180, 18)),
    "outer says the sum": ([chat(1, 0, 180, 18), chat(2, 1, 80, 8), chat(3, 1, 100, 10)], (180, 18)),
    "outer says the sum, one inner is silent": ([chat(1, 0, 180, 18), chat(2, 1, 80, 8), chat(3, 1)], (180, 18)),
    "outer says the first call": ([chat(1, 0, 80, 8), chat(2, 1, 80, 8), chat(3, 1, 100, 10)], (180, 18)),
    "agent alone": ([agent(1, 0, 500, 50)], (500, 50)),
    "agent over a call": ([agent(1, 0, 500, 50), chat(2, 1, 500, 50)], (500, 50)),
    "agent over a silent call": ([agent(1, 0, 500, 50), chat(2, 1)], (500, 50)),
    "agent over a call of zero": ([agent(1, 0, 500, 50), chat(2, 1, 0, 0)], (500, 50)),
    "agent over a tool": ([agent(1, 0, 500, 50), tool(2, 1)], (500, 50)),
    "two silent agents below one that sums": (
        [agent(1, 0, 500, 50), agent(2, 1, name="a"), agent(3, 1, name="b")],
        (500, 50),
    ),
    "agent over an agent": ([agent(1, 0, 500, 50), agent(2, 1, 500, 50, name="sub")], (500, 50)),
    "two agents, one with calls": (
        [other(1), agent(2, 1, 500, 50), chat(3, 2, 500, 50), agent(4, 1, 70, 7, name="remote")],
        (570, 57),
    ),
    "remote agent as a tool": ([chat(1, 0, 10, 1), tool(2, 1), agent(3, 2, 500, 50)], (510, 51)),
    "step that sums over calls": ([other(1, 0, 300, 30), chat(2, 1, 100, 10), chat(3, 1, 200, 20)], (300, 30)),
    "handoff": ([agent(1), chat(2, 1, 10, 1), agent(3, 1, name="b"), chat(4, 3, 20, 2)], (30, 3)),
    "embedding": ([embedding(1, 0, 5_000)], (5_000, 0)),
    "embedding beside a call": ([other(1), embedding(2, 1, 5_000), chat(3, 1, 100, 10)], (5_100, 10)),
    "embedding of a retriever": ([other(1, does="retrieval"), embedding(2, 1, 5_000)], (5_000, 0)),
    "embedding over an embedding": ([embedding(1, 0, 5_000), embedding(2, 1, 5_000)], (5_000, 0)),
    "embedding in a tool of a call": ([chat(1, 0, 100, 10), tool(2, 1), embedding(3, 2, 70)], (170, 10)),
    "tool with tokens": ([tool(1, 0, 100, 10)], (0, 0)),
    "tool that repeats its agent's tokens": ([tool(1, 0, 500, 50), agent(2, 1, 500, 50)], (500, 50)),
    "parent that never came": ([chat(2, 99, 8, 9)], (8, 9)),
    "its own parent": ([chat(1, 1, 8, 9)], (8, 9)),
}


@pytest.mark.parametrize(("spans", "counted"), TREES.values(), ids=TREES)
def test_each_call_counts_once(sender: Sender, spans: Spans, counted: tuple[int, int]) -> None:
    sender.send(*spans)
    assert sender.usage == counted


@pytest.mark.parametrize("tree", ["sub-agent as a tool", "outer says the last call", "agent over a call"])
def test_the_order_of_spans_does_not_matter(sender: Sender, tree: str) -> None:
    spans, counted = TREES[tree]
    for one in reversed(spans):
        sender.send(one)
    assert sender.usage == counted


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_a_tool_between_two_calls_may_arrive_at_any_time(sender: Sender, order: tuple[int, ...]) -> None:
    spans = [chat(1, 0, 1000, 100), tool(2, 1), chat(3, 2, 200, 20)]
    for position in order:
        sender.send(spans[position])
    assert sender.usage == (1_200, 120)


def test_calls_of_other_models_keep_their_price(sender: Sender) -> None:
    sender.send(chat(1, 0, 1000, 0), chat(2, 1, 1000, 0), chat(3, 1, 1_000_000, 0, model="gpt-4o-mini"))
    assert sender.trace.input_tokens == 1_001_000
    assert float(sender.trace.cost) == pytest.approx(0.1525)


def test_a_circle_of_parents_counts_each_call_at_most_once(sender: Sender) -> None:
    sender.send(chat(1, 2, 8, 9), chat(2, 1, 8, 9))
    assert sender.usage in {(8, 9), (16, 18)}


def test_a_repeated_delivery_counts_once(sender: Sender) -> None:
    spans = [chat(1, 0, 100, 10), chat(2, 1, 100, 10)]
    for _ in range(3):
        sender.send(*spans, *spans)
    assert sender.usage == (100, 10)


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ({"intValue": "100"}, 100),
        ({"intValue": 100}, 100),
        ({"doubleValue": 100.0}, 100),
        ({"doubleValue": "100"}, 100),
        ({"stringValue": "100"}, 100),
        ({"stringValue": " 100 "}, 100),
        ({"stringValue": "100.0"}, 100),
        ({"stringValue": "1e2"}, 100),
        ({"intValue": "-5"}, 0),
        ({"doubleValue": "NaN"}, 0),
        ({"doubleValue": "Infinity"}, 0),
        ({"stringValue": ""}, 0),
        ({"stringValue": "None"}, 0),
        ({"boolValue": True}, 0),
        ({}, 0),
        ({"intValue": str(2**63 - 1)}, 0),
        ({"arrayValue": {"values": [{"intValue": "100"}]}}, 0),
    ],
    ids=repr,
)
def test_counts_may_come_in_any_type(sender: Sender, sent: dict[str, Any], read: int) -> None:
    one = chat(1)
    one["attributes"] += [{"key": "gen_ai.usage.input_tokens", "value": sent}]
    sender.send(one)
    assert sender.usage == (read, 0)
