"""Traces with more than one root, or none."""

from itertools import permutations
from typing import Any

import pytest

from tests.traces.cases.sender import Sender, span

pytestmark = [pytest.mark.real_clock, pytest.mark.django_db]

type Spans = list[dict[str, Any]]

FAILED = {"code": 2, "message": "Boom."}
OK = {"code": 1}


def root(number: int, at: float, seconds: float, **fields: Any) -> dict[str, Any]:
    return span(number=number, name=f"try {number}", at=at, seconds=seconds, **fields)


# Spans, and the status, name and latency in seconds of their trace.
TRACES: dict[str, tuple[Spans, tuple[str, str, float]]] = {
    "one": ([root(1, 0, 1, status=OK)], ("ok", "try 1", 1)),
    "second failed": ([root(1, 0, 0.1), root(2, 9, 1, status=FAILED)], ("error", "try 1", 10)),
    "first failed, second is fine": ([root(1, 0, 1, status=FAILED), root(2, 2, 1, status=OK)], ("error", "try 1", 3)),
    "none failed": ([root(1, 0, 1, status=OK), root(2, 2, 1)], ("ok", "try 1", 3)),
    "second is ok, first unset": ([root(1, 0, 1), root(2, 2, 1, status=OK)], ("unset", "try 1", 3)),
    "side by side": ([root(1, 0, 5), root(2, 1, 1)], ("unset", "try 1", 5)),
    "three": ([root(1, 0, 1), root(2, 2, 1, status=FAILED), root(3, 4, 1)], ("error", "try 1", 5)),
    "failed below a root": ([root(1, 0, 1, status=OK), span(number=2, parent=1, status=FAILED)], ("ok", "try 1", 1)),
}


@pytest.mark.parametrize(("spans", "shown"), TRACES.values(), ids=TRACES)
@pytest.mark.parametrize("backwards", [False, True], ids=["in order", "backwards"])
def test_a_trace_failed_if_any_root_did(
    sender: Sender, spans: Spans, shown: tuple[str, str, float], backwards: bool
) -> None:
    for one in spans[:: -1 if backwards else 1]:
        sender.send(one)
    found = sender.trace
    assert (found.status, found.name) == shown[:2]
    assert found.duration_us / 1e6 == pytest.approx(shown[2], abs=0.5)
    assert found.root_ended


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_an_open_root_keeps_its_trace_open(sender: Sender, order: tuple[int, ...]) -> None:
    spans = [root(1, 0, 1), root(2, 2, 1, endTimeUnixNano="0"), root(3, 4, 1)]
    for position in order:
        sender.send(spans[position])
    was_open = not sender.trace.root_ended
    sender.send(root(2, 2, 7))
    assert (was_open, sender.trace.root_ended) == (True, True)
    assert sender.trace.duration_us / 1e6 == pytest.approx(9, abs=0.5)


def test_failed_roots_are_found_by_the_filter(sender: Sender) -> None:
    sender.send(*TRACES["second failed"][0])
    found = sender.call("traces.list", range="1d", filter={"status": "error"}).items
    assert [trace.status for trace in found] == ["error"]
    assert sender.call("traces.list", range="1d", filter={"status": "ok"}).items == []


def test_a_trace_without_a_root_is_open_and_named(sender: Sender) -> None:
    sender.send(span(number=2, parent=9, name="orphan", at=1), span(number=3, parent=9, name="other", at=2))
    found = sender.trace
    assert not found.root_ended
    assert found.duration_us / 1e6 == pytest.approx(2, abs=0.5)


def test_a_root_that_comes_after_its_children_counts(sender: Sender) -> None:
    sender.send(span(number=2, parent=1, name="child", at=1))
    sender.send(span(number=1, name="late root", seconds=4, status=FAILED))
    found = sender.trace
    assert (found.name, found.status, found.root_ended) == ("late root", "error", True)


def test_the_agent_of_a_later_root_counts_where_the_first_names_none(sender: Sender) -> None:
    sender.send(root(1, 0, 1), span({"agent.name": "support", "session.id": "s"}, number=2, at=2))
    found = sender.trace
    assert found.agent is not None
    assert found.session is not None
    assert (found.agent.name, found.session.key) == ("support", "s")


def test_the_conversation_of_all_roots_is_shown(sender: Sender) -> None:
    chat = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
    for number in (1, 2):
        sender.send(span(chat | {"gen_ai.input.messages": f"Question {number}?"}, number=number, at=number))
    assert sender.said() == [("user", "Question 1?"), ("user", "Question 2?")]
