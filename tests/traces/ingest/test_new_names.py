"""A project may bring so many new agents, models and tools in an hour. The rest are (other), and are told."""

import json
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from catalyst.agents.models import Agent
from catalyst.core import probes
from catalyst.core.key_use import usage_counter
from catalyst.core.models import ApiKey, Project
from tests.factories import make_agent, make_signal, settle_all
from tests.traces.sent import nanoseconds, sent_span
from traces.ingest import pipeline
from traces.ingest.pipeline import IngestResult
from traces.ingest.regroup import regroup
from traces.models import AgentHour, AgentHourCalls, CallName, Span, Trace

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
OTHER = "(other)"


@pytest.fixture(autouse=True)
def _most(settings: Settings) -> None:
    settings.MAX_NEW_NAMES = 2


def store_agents(project: Project, now: datetime, *agents: str, first: int = 1) -> IngestResult:
    """A trace for each agent."""
    spans = [sent_span(1, trace=first + n, start=now, agent__name=agent) for n, agent in enumerate(agents)]
    return pipeline.store(project.pk, spans, now)


def store_calls(project: Project, now: datetime, *models: str, trace: int = 1) -> IngestResult:
    """A trace that calls each model."""
    called: dict[str, Any] = {"openinference__span__kind": "LLM", "llm__token_count__prompt": 10}
    spans = [sent_span(1, trace=trace, start=now, agent__name="bot")]
    spans += [
        sent_span(n, 1, trace=trace, start=now, llm__model_name=model, **called)
        for n, model in enumerate(models, start=2)
    ]
    return pipeline.store(project.pk, spans, now)


def agents_of_traces() -> list[str]:
    return list(Trace.objects.order_by("trace_id").values_list("agent__name", flat=True))


def calls() -> dict[str, int]:
    return dict(AgentHourCalls.objects.filter(call_count__gt=0).values_list("name", "call_count"))


def test_the_first_new_agents_of_an_hour_are_kept(project: Project, now: datetime) -> None:
    assert store_agents(project, now, "c", "a", "b", "d") == IngestResult(inserted=4, other=2)
    assert agents_of_traces() == ["c", "a", OTHER, OTHER]
    assert store_agents(project, now + HOUR, "e", "a", first=5) == IngestResult(inserted=2)
    assert agents_of_traces()[4:] == ["e", "a"]


def test_the_hour_counts_over_requests_and_for_each_project_alone(
    project: Project, other_project: Project, now: datetime
) -> None:
    store_agents(project, now, "a")
    store_agents(project, now + HOUR / 2, "b")
    assert store_agents(project, now + HOUR / 2, "c", first=3).other == 0 + 1
    assert store_agents(other_project, now + HOUR / 2, "c").other == 0
    assert store_agents(project, now + HOUR, "c", first=4).other == 0


def test_known_agents_always_pass(project: Project, now: datetime) -> None:
    make_agent(project, "known")
    assert store_agents(project, now, "a", "b", "known", "c") == IngestResult(inserted=4, other=1)
    assert agents_of_traces() == ["a", "b", "known", OTHER]


def test_calls_of_further_models_count_under_other(project: Project, now: datetime) -> None:
    assert store_calls(project, now, "m1", "m2", "m3", "m4", "m1") == IngestResult(inserted=6, other=2)
    assert calls() == {"m1": 2, "m2": 1, OTHER: 2}
    assert set(Span.objects.filter(kind="LLM").values_list("model", flat=True)) == {"m1", "m2", "m3", "m4"}
    assert Trace.objects.get().model_names == ["m1", "m2", "m3", "m4"]


def test_tools_and_models_have_a_limit_each(project: Project, now: datetime) -> None:
    store_calls(project, now, "m1", "m2")
    tools = [
        sent_span(n, trace=2, start=now, openinference__span__kind="TOOL", tool__name=f"t{n}") for n in range(1, 4)
    ]
    assert pipeline.store(project.pk, tools, now) == IngestResult(inserted=3, other=1)
    assert set(CallName.objects.values_list("kind", "name")) == {
        ("LLM", "m1"),
        ("LLM", "m2"),
        ("TOOL", "t1"),
        ("TOOL", "t2"),
    }


def test_sums_stay_right_when_a_name_is_known_by_the_time_its_trace_grows(project: Project, now: datetime) -> None:
    store_calls(project, now, "m1", "m2", "m3")
    store_calls(project, now + HOUR, "m3", trace=2)
    pipeline.store(project.pk, [sent_span(99, 1, start=now)], now + HOUR)
    assert calls() == {"m1": 1, "m2": 1, OTHER: 1, "m3": 1}
    assert not AgentHourCalls.objects.filter(call_count__lt=0).exists()


def test_regroup_gives_spans_their_own_agents_and_names(project: Project, now: datetime) -> None:
    store_agents(project, now, "a", "b", "c", "d")
    store_calls(project, now, "m1", "m2", "m3", trace=9)
    assert sum(regroup(project, now + HOUR)) == 5 - 1
    assert agents_of_traces() == ["a", "b", "c", "d", "bot"]
    assert calls() == {"m1": 1, "m2": 1, "m3": 1}
    runs = {hour.agent.name: hour.trace_count for hour in AgentHour.objects.select_related("agent") if hour.agent}
    assert runs == {"a": 1, "b": 1, "c": 1, "d": 1, "bot": 1, OTHER: 0}
    assert list(regroup(project, now + HOUR)) == []


def test_regroup_keeps_what_a_span_says(project: Project, now: datetime) -> None:
    store_agents(project, now, "a", "b", "c")
    before = Span.objects.get(trace_id=Trace.objects.get(agent__name=OTHER).trace_id)
    list(regroup(project, now + HOUR))
    after = Span.objects.get(trace_id=before.trace_id)
    changed = {"agent_id", "revision"}
    same = [field.name for field in Span._meta.concrete_fields if field.name not in changed]
    assert [getattr(after, name) for name in same] == [getattr(before, name) for name in same]
    assert (after.revision, Agent.objects.get(name="c").pk) == (2, after.agent_id)


def test_regroup_leaves_other_projects_alone(project: Project, other_project: Project, now: datetime) -> None:
    store_agents(other_project, now, "a", "b", "c")
    assert list(regroup(project, now + HOUR)) == []
    assert agents_of_traces() == ["a", "b", OTHER]


def test_signals_of_an_agent_judge_what_is_regrouped(project: Project, now: datetime) -> None:
    make_signal(make_agent(project, "c"), active_since=now)
    Agent.objects.filter(name="c").delete()
    store_agents(project, now, "a", "b", "c")
    settle_all(now)
    list(regroup(project, now + HOUR))
    signal = make_signal(Agent.objects.get(name="c"), active_since=now)
    assert settle_all(now + HOUR) == 1
    assert signal.label_set.get().trace_id == Trace.objects.get(agent__name="c").trace_id


def test_the_command_says_how_many(project: Project, now: datetime) -> None:
    store_agents(project, now, "a", "b", "c")
    out = StringIO()
    call_command("agents", "regroup", "--project", project.slug, stdout=out)
    assert out.getvalue().splitlines()[-1] == "1 spans have their own agents and names now."
    with pytest.raises(CommandError, match="There is no project nowhere"):
        call_command("agents", "regroup", "--project", "nowhere")


def test_the_sender_and_the_operator_are_told(client: Client, project: Project, now: datetime) -> None:
    key, text = ApiKey.issue(project=project, name="sdk", scopes=["ingest"])
    spans = [
        {
            "traceId": f"{trace:032x}",
            "spanId": f"{1:016x}",
            "name": "a",
            "startTimeUnixNano": str(nanoseconds(now)),
            "attributes": [{"key": "agent.name", "value": {"stringValue": f"agent {trace}"}}],
        }
        for trace in range(1, 6)
    ]
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})
    response = client.post("/v1/traces", body, "application/json", headers={"Authorization": f"Bearer {text}"})
    told = response.json()["partialSuccess"]
    assert (response.status_code, told.get("rejectedSpans")) == (200, None)
    assert told["errorMessage"].startswith("Stored, but 3 spans count under (other)")
    assert "manage.py agents regroup" in told["errorMessage"]
    usage_counter.flush()
    usages = probes.usage_of_keys(now)
    (check,) = (check for check in probes.check_keys(usages, now) if check.name == f"{project}: {key}")
    assert (check.state, "3 spans under the name (other)" in check.text) == ("warn", True)
    assert "manage.py agents regroup" in check.advice
