"""Which agent a span counts as: ids that change with each run make no agents, stable ones do."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core.exceptions import ValidationError
from pytest_django import Settings

from catalyst.agents.models import Agent, AgentIdentity
from catalyst.core.models import Project
from signals.models import Signal
from tests.factories import make_agent, make_signal, settle_all
from tests.traces.sent import sent_span
from traces import retention
from traces.ingest import moves, pipeline
from traces.models import AgentHour, AgentHourCalls, AgentHourLatency, Session, Span, Trace

pytestmark = pytest.mark.django_db
NAME = "Assistant"


def store(project: Project, now: datetime, *runs: tuple[str, str], first: int = 1, **about: Any) -> None:
    """A request for each run, which is an id and a name; an empty one is not sent."""
    for trace, (agent_id, name) in enumerate(runs, start=first):
        pipeline.store(project.pk, [run_of(trace, now, agent_id, name, **about)], now)


def run_of(trace: int, now: datetime, agent_id: str, name: str, **about: Any) -> Any:
    named: dict[str, Any] = {
        key: value for key, value in (("gen_ai__agent__id", agent_id), ("gen_ai__agent__name", name)) if value
    }
    return sent_span(1, trace=trace, start=now - timedelta(minutes=1), **named, **about)


def runs(project: Project) -> dict[str, int]:
    """Traces by identity of their agents. The sums of hours must say the same."""
    traces = list(Trace.objects.filter(project=project).values_list("agent__identity", flat=True))
    counted = {agent: traces.count(agent) for agent in set(traces)}
    hours: Counter[str] = Counter()
    for agent, count in AgentHour.objects.filter(project=project).values_list("agent__identity", "trace_count"):
        hours[agent] += count
    assert +hours == counted
    assert not AgentHour.objects.filter(trace_count__lt=0).exists()
    return counted


def move_all(now: datetime) -> None:
    while moves.step(now + moves.GRACE):
        pass


def test_an_id_that_changes_with_each_run_makes_one_agent(project: Project, now: datetime) -> None:
    store(project, now, *((f"run-{n}", NAME) for n in range(6)))
    assert runs(project) == {"run-0": 6}
    assert Agent.objects.get().name == NAME


def test_so_it_does_within_one_request(project: Project, now: datetime) -> None:
    pipeline.store(project.pk, [run_of(n, now, f"run-{n}", NAME) for n in range(1, 7)], now)
    assert runs(project) == {"run-1": 6}


def test_a_single_stable_id_is_the_agent_from_its_first_run(project: Project, now: datetime) -> None:
    store(project, now, ("support", NAME))
    assert runs(project) == {"support": 1}
    store(project, now, ("support", NAME), ("support", NAME), first=2)
    assert runs(project) == {"support": 3}
    assert Agent.objects.get().source == Agent.Source.AGENT_ID


@pytest.mark.parametrize("order", ["AABB", "ABAB", "ABBA"])
def test_two_ids_of_a_name_that_recur_are_two_agents(project: Project, now: datetime, order: str) -> None:
    store(project, now, *((agent_id, NAME) for agent_id in order))
    move_all(now)
    assert runs(project) == {"A": 2, "B": 2}
    assert {span.agent_id for span in Span.objects.all()} == set(Agent.objects.values_list("pk", flat=True))


def test_they_are_two_within_one_request(project: Project, now: datetime) -> None:
    pipeline.store(project.pk, [run_of(n, now, agent_id, NAME) for n, agent_id in enumerate("ABAB", 1)], now)
    move_all(now)
    assert runs(project) == {"A": 2, "B": 2}


def test_an_id_that_recurs_takes_over_an_agent_of_passing_ones(project: Project, now: datetime) -> None:
    store(project, now, ("passing", NAME), ("stable", NAME), ("stable", NAME), ("other", NAME))
    assert runs(project) == {"stable": 4}


def test_an_id_with_another_name_is_another_agent(project: Project, now: datetime) -> None:
    store(project, now, ("a", "Support"), ("b", "Billing"))
    assert runs(project) == {"a": 1, "b": 1}


def test_ids_without_a_name_are_agents(project: Project, now: datetime) -> None:
    store(project, now, ("a", ""), ("b", ""))
    assert runs(project) == {"a": 1, "b": 1}


def test_an_id_that_equals_a_name_does_not_join_it(project: Project, now: datetime) -> None:
    store(project, now, ("a", "b"), ("b", ""))
    assert runs(project) == {"a": 1, "b": 1}


def test_spans_with_the_name_alone_join_the_agent_of_the_name(project: Project, now: datetime) -> None:
    store(project, now, ("a", NAME), ("", NAME), ("", NAME), ("a", NAME))
    move_all(now)
    assert runs(project) == {"a": 4}


def test_passing_ids_join_an_agent_known_by_name(project: Project, now: datetime) -> None:
    store(project, now, ("", NAME), ("run-1", NAME), ("run-2", NAME), ("", NAME))
    assert runs(project) == {NAME: 4}


def test_more_spans_of_the_same_trace_are_no_second_run(project: Project, now: datetime) -> None:
    store(project, now, ("a", NAME), ("b", NAME))
    for trace, agent_id in ((1, "a"), (2, "b")):
        named: dict[str, Any] = {"gen_ai__agent__id": agent_id, "gen_ai__agent__name": NAME}
        pipeline.store(project.pk, [sent_span(2, 1, trace=trace, start=now, **named)], now)
    assert runs(project) == {"a": 2}


def test_further_turns_of_the_same_session_are_no_second_run(project: Project, now: datetime) -> None:
    for trace, agent_id in enumerate("aabbcc", start=1):
        store(project, now, (agent_id, NAME), first=trace, session__id=f"chat-{agent_id}")
    assert runs(project) == {"a": 6}


def test_a_second_session_is_a_second_run(project: Project, now: datetime) -> None:
    for trace, (agent_id, session) in enumerate([("a", "1"), ("b", "2"), ("a", "3"), ("b", "4")], start=1):
        store(project, now, (agent_id, NAME), first=trace, session__id=session)
    move_all(now)
    assert runs(project) == {"a": 2, "b": 2}


def test_projects_share_no_names(project: Project, other_project: Project, now: datetime) -> None:
    store(project, now, ("a", NAME))
    store(other_project, now, ("b", NAME))
    assert (runs(project), runs(other_project)) == ({"a": 1}, {"b": 1})


def test_the_newest_name_of_an_agent_wins_but_an_id_alone_is_no_name(project: Project, now: datetime) -> None:
    store(project, now, ("a", "Old"), ("a", "New"), ("a", ""))
    assert Agent.objects.get().name == "New"


def test_passing_ids_leave_room_for_new_agents(project: Project, now: datetime, settings: Settings) -> None:
    settings.MAX_NEW_NAMES = 2
    store(project, now, *((f"run-{n}", NAME) for n in range(6)), ("b", "Other"))
    assert runs(project) == {"run-0": 6, "b": 1}
    # Only so many are remembered. The rest count for their name all the same.
    assert AgentIdentity.objects.count() == 1 + 2 + 1


def test_no_more_agents_split_off_than_an_hour_has_room_for(
    project: Project, now: datetime, settings: Settings
) -> None:
    settings.MAX_NEW_NAMES = 2
    store(project, now, *((agent_id, NAME) for agent_id in "ABCABC"))
    assert Agent.objects.count() == 2
    store(project, now + timedelta(hours=2), ("C", NAME), first=7)
    move_all(now + timedelta(hours=2))
    assert runs(project) == {"A": 2, "B": 2, "C": 3}


def test_nothing_moves_while_ingest_may_still_know_the_old_agent(project: Project, now: datetime) -> None:
    store(project, now, *((agent_id, NAME) for agent_id in "AABB"))
    assert not moves.has_work(now)
    assert not moves.step(now)
    assert moves.has_work(now + moves.GRACE)


def test_a_move_keeps_all_but_the_agent(project: Project, now: datetime) -> None:
    store(project, now, *((agent_id, NAME) for agent_id in "AAB"))
    rows: list[tuple[type[Any], set[str]]] = [(Trace, {"agent", "revision"}), (Span, {"agent_id", "revision"})]
    before = {model: model._default_manager.values().get(trace_id__endswith="3") for model, _ in rows}
    store(project, now, ("B", NAME), first=4)
    move_all(now)
    for model, changed in rows:
        after = model._default_manager.values().get(trace_id__endswith="3")
        differ = {name for name in after if after[name] != before[model][name]}
        assert {name.removesuffix("_id") for name in differ} == {name.removesuffix("_id") for name in changed}


def test_what_moves_is_not_judged_again(project: Project, now: datetime) -> None:
    store(project, now, *((agent_id, NAME) for agent_id in "AAB"))
    settle_all(now)
    store(project, now, ("B", NAME), first=4)
    signal = make_signal(Agent.objects.get(identity="B"), active_since=now)
    move_all(now)
    assert settle_all(now) == 1
    assert signal.label_set.get().trace_id == UUID(int=4)


def test_ids_of_one_run_are_forgotten_with_it(project: Project, now: datetime) -> None:
    store(project, now, ("own", NAME), ("passing", NAME))
    assert retention.delete_expired_identities(now) == 0
    assert retention.delete_expired_identities(now + timedelta(days=400)) == 1
    assert AgentIdentity.objects.get().identity == "own"


# Merging and splitting by hand


@pytest.fixture
def agents(project: Project, now: datetime) -> dict[str, Agent]:
    """Two agents with two runs each, in sessions."""
    for trace, agent_id in enumerate("ABAB", start=1):
        named: dict[str, Any] = {"gen_ai__agent__id": agent_id, "gen_ai__agent__name": f"Name {agent_id}"}
        spans = [
            sent_span(1, trace=trace, start=now, session__id=f"s{trace}", **named),
            sent_span(2, 1, trace=trace, start=now, openinference__span__kind="LLM", llm__token_count__prompt=5),
        ]
        pipeline.store(project.pk, spans, now)
    return {agent.identity: agent for agent in Agent.objects.all()}


def test_merged_agents_count_as_one(project: Project, agents: dict[str, Agent], now: datetime) -> None:
    moves.merge([agents["B"]], agents["A"], now)
    store(project, now, ("B", "Name B"), first=5)
    assert runs(project) == {"A": 3, "B": 2}
    move_all(now)
    assert runs(project) == {"A": 5}
    assert Agent.objects.get() == agents["A"]
    for model in (AgentHour, AgentHourCalls, AgentHourLatency, Session):
        assert set(model._default_manager.values_list("agent_id", flat=True)) == {agents["A"].pk}, model
    assert sum(AgentHourCalls.objects.values_list("call_count", flat=True)) == 4


def test_what_is_left_of_expired_traces_goes_along(project: Project, agents: dict[str, Agent], now: datetime) -> None:
    Span.objects.all().delete()
    moves.merge([agents["B"]], agents["A"], now)
    move_all(now)
    assert runs(project) == {"A": 4}


def test_signals_of_a_merged_agent_go_along(project: Project, agents: dict[str, Agent], now: datetime) -> None:
    signal = make_signal(agents["B"], active_since=now)
    moves.merge([agents["B"]], agents["A"], now)
    move_all(now)
    assert Signal.objects.get() == signal
    assert Signal.objects.get().agent == agents["A"]


def test_a_merge_can_be_undone(project: Project, agents: dict[str, Agent], now: datetime) -> None:
    moves.merge([agents["B"]], agents["A"], now)
    move_all(now)
    moves.split(AgentIdentity.objects.get(identity="B"), now)
    move_all(now)
    assert runs(project) == {"A": 2, "B": 2}
    store(project, now, ("B", "Name B"), first=5)
    assert runs(project) == {"A": 2, "B": 3}
    assert Agent.objects.get(identity="B").name == "Name B"


def test_merged_ids_do_not_split_again(project: Project, agents: dict[str, Agent], now: datetime) -> None:
    moves.merge([agents["B"]], agents["A"], now)
    store(project, now, *((agent_id, f"Name {agent_id}") for agent_id in "BABA"), first=5)
    move_all(now)
    assert runs(project) == {"A": 8}


@pytest.mark.parametrize(("looked_at", "at_once", "expected"), [(10, 50, 2), (1, 50, 4), (10, 1, 3), (2, 1, 3)])
def test_it_goes_on_where_a_step_ended(
    project: Project,
    agents: dict[str, Agent],
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
    looked_at: int,
    at_once: int,
    expected: int,
) -> None:
    monkeypatch.setattr(moves, "TRACES_LOOKED_AT", looked_at)
    monkeypatch.setattr(moves, "TRACES_AT_ONCE", at_once)
    moves.merge([agents["B"]], agents["A"], now)
    steps = 0
    while moves.step(now + moves.GRACE):
        steps += 1
    assert runs(project) == {"A": 4}
    assert not Agent.objects.filter(identity="B").exists()
    assert steps == expected


def test_what_can_not_be_merged_or_split_is_refused(project: Project, agents: dict[str, Agent], now: datetime) -> None:
    with pytest.raises(ValidationError, match="can't be merged with itself"):
        moves.merge([agents["A"]], agents["A"], now)
    with pytest.raises(ValidationError, match="is the agent's own identity"):
        moves.split(AgentIdentity.objects.get(identity="A"), now)
    moves.merge([agents["B"]], agents["A"], now)
    with pytest.raises(ValidationError, match="still moving"):
        moves.split(AgentIdentity.objects.get(identity="B"), now)
    with pytest.raises(ValidationError, match="still moving"):
        moves.merge([agents["A"]], make_agent(project, "C"), now)


def test_duplicates_are_agents_of_one_run_beside_one_of_their_name(project: Project, now: datetime) -> None:
    store(project, now, ("main", NAME), ("main", NAME), ("alone", "Alone"), ("", "Named"))
    main = Agent.objects.get(identity="main")
    found = [
        Agent.objects.create(project=project, identity=f"old-{n}", source="agent_id", name=NAME, first_seen_at=now)
        for n in range(3)
    ]
    assert moves.duplicates(project.agents.all()) == [(agent, main) for agent in found]
