"""Which agent a run belongs to, where frameworks name it differently each time."""

from typing import Any

import pytest

from tests.traces.cases.sender import Sender, span

pytestmark = [pytest.mark.real_clock, pytest.mark.django_db]

ID, NAME = "gen_ai.agent.id", "gen_ai.agent.name"


def run(number: int, attributes: dict[str, Any]) -> dict[str, Any]:
    return span({"gen_ai.operation.name": "invoke_agent"} | attributes, trace=f"{number:032x}", number=number)


def agents_of(sender: Sender) -> list[str]:
    """The agent of each run, in order."""
    traces = sender.project.traces.select_related("agent").order_by("trace_id")
    return [trace.agent.identity if trace.agent else "" for trace in traces]


def named(name: str | None, agent_id: str = "", **more: str) -> dict[str, Any]:
    return {key: value for key, value in ((NAME, name), (ID, agent_id)) if value is not None} | more


RUNS: dict[str, tuple[list[dict[str, Any]], int]] = {
    "a new id in each run": ([named("Assistant", f"id-{n}") for n in range(6)], 1),
    "a new id in each run, and none": ([named("Assistant", f"id-{n}" if n % 2 else "") for n in range(6)], 1),
    "one id that comes back": ([named("Assistant", "id") for _ in range(4)], 1),
    "two names with new ids": ([named(f"Assistant {n % 2}", f"id-{n}") for n in range(6)], 2),
    "ids without a name": ([named(None, f"id-{n}") for n in range(3)], 3),
    "ids with an empty name": ([named("", f"id-{n}") for n in range(3)], 3),
    "a name alone": ([named("Assistant") for _ in range(3)], 1),
    "white space around the name": (
        [named(name) for name in ("Assistant", "Assistant ", "Assistant\n", " Assistant")],
        1,
    ),
    "an id that came back under a new name": ([named("Old", "id"), named("Old", "id"), named("New", "id")], 1),
    "OpenInference": ([{"agent.name": "Assistant", "agent.id": f"id-{n}"} for n in range(4)], 1),
    "CrewAI's roles": ([{"crewai.agent.role": "Writer", "crewai.agent.id": f"id-{n}"} for n in range(4)], 1),
    "numbers as ids": ([{NAME: "Assistant", ID: n} for n in range(4)], 1),
    "names in two alphabets": (
        [named("Ассистент", f"a-{n}") for n in range(2)] + [named("助手", f"b-{n}") for n in range(2)],
        2,
    ),
    "no agent": ([{} for _ in range(3)], 1),
}


@pytest.mark.parametrize("together", [True, False], ids=["one request", "a request each"])
@pytest.mark.parametrize(("runs", "count"), RUNS.values(), ids=RUNS)
def test_one_agent_is_one(sender: Sender, runs: list[dict[str, Any]], count: int, together: bool) -> None:
    spans = [run(number, attributes) for number, attributes in enumerate(runs, start=1)]
    for batch in [spans] if together else [[one] for one in spans]:
        sender.send(*batch)
    assert len(set(agents_of(sender))) == count


def test_two_agents_of_one_name_come_apart_once_both_come_back(sender: Sender) -> None:
    for number, agent_id in enumerate(["eu", "us"] * 3, start=1):
        sender.send(run(number, named("Assistant", agent_id)))
    assert len(set(agents_of(sender)[-2:])) == 2


def test_the_agent_of_a_resource_counts_for_its_spans(sender: Sender) -> None:
    resource = {"service.name": "shop", "agent.id": "support", "agent.name": "Support"}
    sender.send(span({"gen_ai.operation.name": "chat"}), resource=resource)
    assert agents_of(sender) == ["support"]


def test_the_root_names_the_agent_before_its_sub_agents(sender: Sender) -> None:
    root = span({"gen_ai.operation.name": "invoke_agent", NAME: "boss", ID: "1"}, seconds=9)
    sub = span({"gen_ai.operation.name": "invoke_agent", NAME: "sub", ID: "2"}, number=2, parent=1, at=1)
    sender.send(sub)
    sender.send(root)
    assert sender.trace.agent is not None
    assert sender.trace.agent.name == "boss"


def test_several_spans_of_one_run_are_one_conversation(sender: Sender) -> None:
    for number in range(1, 4):
        first = run(number, named("Assistant", f"id-{number}"))
        again = {**first, "spanId": f"{number + 100:016x}", "parentSpanId": first["spanId"]}
        sender.send(first)
        sender.send(again)
    assert len(set(agents_of(sender))) == 1


def test_two_turns_of_one_session_are_one_conversation(sender: Sender) -> None:
    for number in range(1, 7):
        session = f"talk-{number // 2}"
        sender.send(run(number, named("Assistant", f"id-{number // 2}", **{"session.id": session})))
    assert len(set(agents_of(sender))) == 1
