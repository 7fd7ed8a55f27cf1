"""Asking for a report: what is refused, what a preview counts, what is stored."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from catalyst.agents.models import Agent
from catalyst.core.models import AuditEntry, Project
from halo import focus
from halo.choices import EngineKind, RunStatus
from halo.models import Run
from halo.runs import claims, requests
from halo.runs.requests import DEFAULT_PROMPT, MAX_OPEN, Definition
from tests.factories import make_agent, make_connection, make_trace
from tests.traces.sent import sent_span
from traces.ingest import pipeline

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent(project: Project) -> Agent:
    return make_agent(project)


def week(now: datetime, **changes: Any) -> Definition:
    return replace(Definition(window_start=now - timedelta(days=7), window_end=now), **changes)


def test_it_asks_the_offline_analyst_without_a_model(agent: Agent, now: datetime) -> None:
    run = requests.create(agent, week(now), now)
    assert (run.engine, run.status, run.model_name) == (EngineKind.RULES, RunStatus.PENDING_EXPORT, "")
    assert (run.prompt, run.conversation.title) == (DEFAULT_PROMPT, f"Review, {now:%b %-d}")


def test_it_asks_a_connected_model(agent: Agent, now: datetime) -> None:
    connection = make_connection(agent.project, now=now)
    run = requests.create(agent, week(now), now)
    assert (run.engine, run.connection, run.model_name) == (EngineKind.MODEL, connection, "gpt-4o-mini")
    chosen = requests.create(agent, week(now, engine=EngineKind.RULES), now)
    assert (chosen.engine, chosen.connection) == (EngineKind.RULES, None)


@pytest.mark.parametrize(
    ("change", "field", "text"),
    [
        ({"window_end": timedelta(days=-8)}, "window_end", "must end after it begins"),
        ({"window_start": timedelta(days=-31)}, "window_start", "at most 30 days"),
        ({"engine": EngineKind.MODEL}, "engine", "No model is connected"),
        ({"engine": "oracle"}, "engine", "rules, model"),
        ({"focus": "attribute=a"}, "focus", "has no value"),
        ({"span_limit": 0}, "span_limit", "from 1 to 100,000"),
        ({"max_turns": 2}, "max_turns", "from 3 to 100"),
        ({"max_depth": 6}, "max_depth", "from 0 to 5"),
        ({"budget_usd": Decimal(0)}, "budget_usd", "from 0.01"),
        ({"budget_minutes": 121}, "budget_minutes", "from 1 to 120"),
        ({"reasoning_effort": "huge"}, "reasoning_effort", "minimal"),
        ({"prompt": "x" * 20_001}, "prompt", "20,000"),
        ({"connection": 999_999}, "connection", "no such model connection"),
    ],
)
def test_it_refuses(agent: Agent, now: datetime, change: dict[str, Any], field: str, text: str) -> None:
    values = {name: now + value if isinstance(value, timedelta) else value for name, value in change.items()}
    with pytest.raises(ValidationError) as caught:
        requests.create(agent, week(now, **values), now)
    assert text in " ".join(caught.value.message_dict[field])
    assert not Run.objects.exists()


def test_a_connection_of_another_project_is_unknown(agent: Agent, other_project: Project, now: datetime) -> None:
    foreign = make_connection(other_project, now=now)
    with pytest.raises(ValidationError, match="no such model connection"):
        requests.create(agent, week(now, connection=foreign.pk), now)


def test_it_limits_how_many_are_under_way(agent: Agent, now: datetime) -> None:
    runs = [requests.create(agent, week(now), now) for _ in range(MAX_OPEN)]
    with pytest.raises(ValidationError, match="10 reports"):
        requests.create(agent, week(now), now)
    assert requests.cancel(runs[0], now)
    requests.create(agent, week(now), now)


@pytest.mark.parametrize(
    ("prompt", "title"),
    [
        (
            "Why is the refund agent timing out on Tuesdays? Look at tools.",
            "Why is the refund agent timing out on Tuesdays?",
        ),
        ("Find  loops\nin the plan", "Find loops in the plan"),
        ("word " * 60, ("word " * 60)[:119].rstrip() + "…"),
        ("  ", "Review, Nov 20"),
    ],
)
def test_the_title_says_what_was_asked(agent: Agent, now: datetime, prompt: str, title: str) -> None:
    assert requests.create(agent, week(now, prompt=prompt), now).conversation.title == title


def test_a_preview_counts_what_the_list_of_traces_shows(agent: Agent, project: Project, now: datetime) -> None:
    make_trace(project, 1, now=now - timedelta(hours=1))
    make_trace(project, 2, now=now - timedelta(days=8))
    failed = sent_span(48, trace=3, start=now - timedelta(hours=2), status="error", agent__name=agent.identity)
    pipeline.store(project.pk, [failed], now)
    seen = requests.preview(agent, week(now))
    assert (seen.traces, seen.failed, seen.spans, seen.share) == (2, 1, 3, 1)
    narrowed = requests.preview(agent, week(now, focus="status=error"))
    assert (narrowed.traces, narrowed.failed) == (1, 1)


def test_a_machine_gets_a_shorter_window_and_is_told(now: datetime) -> None:
    long = week(now, window_start=now - timedelta(days=200))
    shorter, told = requests.clamped(long)
    assert shorter.window_start == now - timedelta(days=30)
    assert len(told) == 1
    assert requests.clamped(shorter) == (shorter, [])


def test_cancelling_ends_a_run_once(agent: Agent, now: datetime) -> None:
    run = requests.create(agent, week(now), now)
    assert requests.cancel(run, now)
    assert (run.status, run.ended_at, run.error) == (RunStatus.CANCELLED, now, "Catalyst cancelled it.")
    assert not requests.cancel(run, now)
    assert AuditEntry.objects.filter(action="cancelled").count() == 1
    assert claims.claim(now) is None


def test_the_list_of_its_traces_has_its_parameters(agent: Agent, now: datetime) -> None:
    run = requests.create(agent, week(now, focus="status=error&user=jo"), now)
    assert focus.list_query(run).startswith(f"status=error&user=jo&agent={agent.pk}&")
