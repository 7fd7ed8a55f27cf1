"""Questions about a report: who can ask what, and what else they leave as it is."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from catalyst.agents.models import Agent
from catalyst.core.models import AuditEntry, Project
from halo import retention
from halo.choices import EngineKind, Origin, RunStatus
from halo.models import Conversation, Run
from halo.runs import follow_ups, requests
from tests.factories import make_agent, make_connection, make_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent(project: Project) -> Agent:
    return make_agent(project)


def make_report(agent: Agent, now: datetime, **columns: Any) -> Run:
    """A report that a connected model has written."""
    connection = make_connection(agent.project, now=now)
    about: dict[str, Any] = {
        "engine": EngineKind.MODEL,
        "connection": connection,
        "model_name": "gpt-4o-mini",
        "text": "It fails.",
    }
    return make_run(agent, now=now, **about | columns)


def test_a_question_reads_what_the_report_read(agent: Agent, now: datetime) -> None:
    report = make_report(agent, now, focus="status=error", span_limit=500, max_turns=7, budget_minutes=9)
    later = now + timedelta(hours=3)
    asked = follow_ups.ask(report, " Since when? ", later)
    asked.refresh_from_db()
    copied = ("agent", "project", "conversation", "window_start", "window_end", "focus", "connection", "model_name")
    limits = ("span_limit", "max_turns", "budget_minutes")
    for name in (*copied, *limits):
        assert getattr(asked, name) == getattr(report, name), name
    assert (asked.origin, asked.prompt, asked.status) == (Origin.FOLLOW_UP, "Since when?", RunStatus.PENDING_EXPORT)
    conversation = Conversation.objects.get()
    assert (conversation.title, conversation.updated_at) == (report.conversation.title, later)
    assert AuditEntry.objects.filter(action="asked about").count() == 1


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"engine": EngineKind.RULES}, "Only a model answers questions"),
        ({"status": RunStatus.RUNNING}, "Wait until the report has ended"),
        ({"text": ""}, "has no text"),
        ({"lists_traces": False}, "have expired"),
        ({"model_name": "gone"}, "does not allow the model gone"),
    ],
)
def test_a_report_that_nobody_can_ask_says_why(
    agent: Agent, now: datetime, columns: dict[str, Any], words: str
) -> None:
    report = make_report(agent, now, **columns)
    with pytest.raises(ValidationError, match=words):
        follow_ups.ask(report, "Why?", now)
    assert Run.objects.count() == 1


@pytest.mark.parametrize(("prompt", "words"), [(" ", "Enter a question"), ("x" * 20_001, "at most 20,000")])
def test_a_question_has_words(agent: Agent, now: datetime, prompt: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        follow_ups.ask(make_report(agent, now), prompt, now)


def test_one_question_after_the_other(agent: Agent, now: datetime) -> None:
    report = make_report(agent, now)
    first = follow_ups.ask(report, "Why?", now)
    with pytest.raises(ValidationError, match="has no answer yet"):
        follow_ups.ask(report, "And then?", now)
    requests.cancel(first, now)
    follow_ups.ask(report, "And then?", now)


def test_a_question_that_got_no_answer_is_not_said_again(agent: Agent, now: datetime) -> None:
    report = make_report(agent, now)
    requests.cancel(follow_ups.ask(report, "Why?", now), now)
    said = follow_ups.messages_of(follow_ups.ask(report, "Since when?", now))
    assert [message["role"] for message in said] == ["user", "assistant", "user"]
    assert said[1]["content"] == "It fails."
    assert said[2]["content"].startswith("Since when?")


def test_questions_go_with_their_report(agent: Agent, now: datetime, settings: Any) -> None:
    report = make_report(agent, now)
    later = now + timedelta(days=3)
    requests.cancel(follow_ups.ask(report, "Why?", later), later)
    retention.delete_expired_reports(now + timedelta(days=settings.KEEP_LABELS_DAYS + 2))
    assert (Run.objects.count(), Conversation.objects.count()) == (0, 0)
