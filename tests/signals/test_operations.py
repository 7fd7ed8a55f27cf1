"""What people do with signals."""

from dataclasses import replace
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from catalyst.agents.models import Agent
from catalyst.core.actor import Actor
from catalyst.core.models import AuditEntry, Project, User
from catalyst.env import env
from signals import operations
from signals.definitions.definition import Definition
from signals.definitions.judge_view import JudgeView
from signals.definitions.templates import TEMPLATES
from signals.models import Label, Signal
from signals.models.label_states import CANCELLED
from tests.factories import make_agent, make_label, make_labels, make_signal
from traces.filters import EVERYTHING, Filter

QUESTION = Definition(type="string", prompt="How did it go?", sample_rate=25, labels=("good", "fair", "bad"))


@pytest.fixture
def agent(project: Project) -> Agent:
    return make_agent(project)


@pytest.fixture
def signal(agent: Agent) -> Signal:
    return make_signal(agent)


def test_it_makes_a_draft_with_a_first_version(agent: Agent, alice: User) -> None:
    signal = operations.create_signal(
        agent, name="  Mood  today ", scope="session", definition=QUESTION, by=Actor(alice)
    )
    signal.refresh_from_db()
    version = signal.current_version
    assert version is not None
    assert (signal.name, signal.state, signal.scope, signal.project) == (
        "Mood today",
        "draft",
        "session",
        agent.project,
    )
    assert (version.number, version.type, version.sample_rate, version.labels) == (
        1,
        "string",
        25,
        ["good", "fair", "bad"],
    )
    assert version.sentiments == {"good": "neutral", "fair": "neutral", "bad": "neutral"}
    assert signal.created_by == version.created_by == alice


def test_it_gives_a_binary_its_labels_and_usual_sentiments(agent: Agent) -> None:
    signal = operations.create_signal(
        agent, name="a", scope="span", definition=Definition(type="binary", prompt="b", sample_rate=0, labels=("x",))
    )
    assert signal.current_version is not None
    assert signal.current_version.labels == ["yes", "no"]
    assert signal.current_version.sentiments == {"yes": "negative", "no": "positive"}


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=lambda template: template.key)
def test_it_takes_every_template_as_it_is(agent: Agent, template: Any) -> None:
    question = Definition(
        type=template.type,
        prompt=template.prompt,
        sample_rate=100,
        labels=template.labels,
        sentiments=template.sentiments,
    )
    signal = operations.create_signal(agent, name=template.name, scope=template.scope, definition=question)
    assert signal.current_version is not None
    assert signal.current_version.sentiments == dict(template.sentiments)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("type", {"type": "regex"}),
        ("labels", {"labels": ["good"]}),
        ("labels", {"labels": [str(n) for n in range(11)]}),
        ("labels", {"labels": ["Good", "good "]}),
        ("labels", {"labels": ["good", "b" * 61]}),
        ("labels", {"labels": ["good", "b\x07ad"]}),
        ("prompt", {"prompt": "  "}),
        ("prompt", {"prompt": "a" * 20_001}),
        ("prompt", {"prompt": "a\0b"}),
        ("sample_rate", {"sample_rate": 101}),
        ("sample_rate", {"sample_rate": -1}),
        ("sentiments", {"sentiments": {"good": "great"}}),
        ("descriptions", {"descriptions": {"awful": "Worse than bad."}}),
        ("descriptions", {"descriptions": {"good": "a" * 501}}),
        ("sentiments", {"sentiments": {"awful": "negative"}}),
        ("sentiments", {"type": "binary", "sentiments": {"yes": "neutral"}}),
        ("sentiments", {"type": "binary", "sentiments": {"yes": "positive"}}),
    ],
)
def test_it_refuses_what_no_signal_can_be(agent: Agent, field: str, change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        operations.create_signal(agent, name="a", scope="trace", definition=replace(QUESTION, **change))
    assert list(caught.value.message_dict) == [field]
    assert not Signal.objects.exists()


@pytest.mark.parametrize(("field", "name", "scope"), [("scope", "a", "turn"), ("name", " ", "trace")])
def test_it_refuses_an_unknown_scope_and_an_empty_name(agent: Agent, field: str, name: str, scope: str) -> None:
    with pytest.raises(ValidationError) as caught:
        operations.create_signal(agent, name=name, scope=scope, definition=QUESTION)
    assert list(caught.value.message_dict) == [field]


def test_it_makes_a_version_of_every_edit_and_of_nothing_else(agent: Agent, bob: User) -> None:
    signal = operations.create_signal(agent, name="a", scope="trace", definition=QUESTION)
    same = operations.publish_version(signal, replace(QUESTION, prompt=" How did it go?\r\n"), Actor(bob))
    assert (same.number, signal.versions.count()) == (1, 1)
    edited = operations.publish_version(signal, replace(QUESTION, sample_rate=50), Actor(bob))
    assert (edited.number, edited.sample_rate, edited.created_by) == (2, 50, bob)
    signal.refresh_from_db()
    assert signal.current_version == edited
    assert signal.versions.get(number=1).sample_rate == 25


def test_it_renames(agent: Agent) -> None:
    signal = make_signal(agent)
    operations.rename(signal, "Another name")
    signal.refresh_from_db()
    assert signal.name == "Another name"


def test_it_starts_with_the_activation_and_again_with_the_next(agent: Agent, now: datetime) -> None:
    signal = make_signal(agent)
    operations.activate(signal, now)
    operations.activate(signal, now + timedelta(hours=1))
    assert (signal.state, signal.activated_at) == ("active", now)
    operations.disable(signal, now)
    assert signal.state == "disabled"
    operations.activate(signal, now + timedelta(hours=2))
    assert (signal.state, signal.activated_at) == ("active", now + timedelta(hours=2))


def test_it_archives_for_good_until_unarchived(agent: Agent, now: datetime) -> None:
    signal = make_signal(agent, active_since=now)
    operations.archive(signal, now)
    assert (signal.state, signal.archived_at) == ("disabled", now)
    assert not Signal.objects.live().exists()
    with pytest.raises(ValidationError, match="Unarchive it first"):
        operations.activate(signal, now)
    operations.unarchive(signal)
    operations.activate(signal, now)
    assert Signal.objects.live().get() == signal


@pytest.mark.parametrize("ends", ["version", "disable"])
def test_it_takes_waiting_work_out_of_the_queue_and_keeps_labels(agent: Agent, now: datetime, ends: str) -> None:
    signal = make_signal(agent, active_since=now)
    _, tried, grown, running, done = make_labels(signal, agent.project, 5, now=now)
    Label.objects.filter(pk=tried.pk).update(attempts=2)
    answered = {"value": "yes", "labelled_at": now, "judged_revision": 1}
    Label.objects.filter(pk=grown.pk).update(wanted_revision=2, **answered)
    Label.objects.filter(pk=running.pk).update(status="running")
    Label.objects.filter(pk=done.pk).update(status="done", **answered)
    if ends == "version":
        operations.publish_version(signal, Definition(type="binary", prompt="Else?", sample_rate=100))
    else:
        operations.disable(signal, now)
    left = dict(Label.objects.exclude(version__number=2).values_list("pk", "status"))
    assert left == {tried.pk: "failed", grown.pk: "done", running.pk: "running", done.pk: "done"}
    assert Label.objects.get(pk=tried.pk).error == CANCELLED
    assert Label.objects.get(pk=grown.pk).wanted_revision == 1


def test_it_retries_nothing_that_would_fail_again(agent: Agent, now: datetime) -> None:
    signal = make_signal(agent, active_since=now)
    failed = make_label(signal, now=now, status="failed")
    words = "Failed labels of Refund wanted would fail again. No model is connected."
    for labels in (Label.objects.all(), Label.objects.filter(pk=failed.pk)):
        with pytest.raises(ValidationError, match=words):
            operations.retry_labels(signal, labels, now)
    failed.refresh_from_db()
    assert failed.status == "failed"


@pytest.mark.usefixtures("judge")
def test_it_retries_what_failed_under_the_current_version(agent: Agent, now: datetime) -> None:
    signal = make_signal(agent, active_since=now)
    failed, other = make_labels(signal, agent.project, 2, now=now)
    Label.objects.filter(pk=failed.pk).update(status="failed", attempts=5, error="No.")
    assert operations.retry_failed(signal, now) == 1
    failed.refresh_from_db()
    assert (failed.status, failed.attempts, failed.error, failed.not_before) == ("queued", 0, "", now)
    operations.publish_version(signal, Definition(type="binary", prompt="Else?", sample_rate=100))
    Label.objects.filter(pk=other.pk).update(status="failed")
    assert operations.retry_failed(signal, now) == 0


def test_a_version_keeps_its_filter_and_its_view(agent: Agent) -> None:
    asked = replace(
        QUESTION,
        filter=Filter.parse({"environment": "prod", "attributes": {"tenant": "acme"}}),
        view=JudgeView(messages_only=True, kinds=("LLM",), budget_tokens=2000),
    )
    signal = operations.create_signal(agent, name="a", scope="trace", definition=asked)
    version = signal.versions.get()
    assert (version.traffic_filter, version.judge_view) == (asked.filter, asked.view)
    assert version.filter == {"environment": "prod", "attributes": {"tenant": "acme"}}
    assert version.view == {"messages_only": True, "kinds": ["LLM"], "budget_tokens": 2000}
    assert operations.publish_version(signal, asked) == version
    wider = operations.publish_version(signal, replace(asked, filter=EVERYTHING))
    assert (wider.number, wider.filter, wider.judge_view) == (2, {}, asked.view)


@pytest.mark.parametrize("view", [JudgeView(kinds=("LLM",)), JudgeView(names=("plan",))])
def test_it_refuses_to_choose_among_the_spans_of_a_span(agent: Agent, view: JudgeView) -> None:
    with pytest.raises(ValidationError, match="need the scope trace or session"):
        operations.create_signal(agent, name="a", scope="span", definition=replace(QUESTION, view=view))


def test_it_takes_only_the_models_that_an_operator_allows(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env, "judge_model", "own")
    monkeypatch.setattr(env, "judge_models", ["large"])
    for model in ("", "own", " large "):
        make_signal(agent, judge_model=model)
    with pytest.raises(ValidationError, match="The model huge is not one of those that CATALYST_JUDGE_MODELS allows"):
        make_signal(agent, judge_model="huge")


def test_a_signal_keeps_the_model_that_it_names(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    signal = make_signal(agent, judge_model="small")
    monkeypatch.setattr(env, "judge_models", [])
    kept = operations.publish_version(signal, replace(QUESTION, judge_model="small"))
    assert kept.judge_model == "small"
    operations.publish_version(signal, QUESTION)
    with pytest.raises(ValidationError):
        operations.publish_version(signal, replace(QUESTION, judge_model="small"))


def test_it_knows_since_when_a_signal_is_disabled(agent: Agent, now: datetime) -> None:
    signal = make_signal(agent)
    operations.activate(signal, now)
    operations.disable(signal, now + timedelta(hours=1))
    operations.disable(signal, now + timedelta(hours=2))
    assert signal.disabled_at == now + timedelta(hours=1)
    operations.activate(signal, now + timedelta(hours=3))
    assert signal.disabled_at is None


def test_the_migration_reads_from_the_audit_log_since_when_signals_are_disabled(agent: Agent, now: datetime) -> None:
    signal = make_signal(agent)
    operations.activate(signal, now)
    operations.disable(signal, now)
    AuditEntry.objects.filter(action="disabled").update(created_at=now + timedelta(minutes=5))
    with connection.cursor() as cursor:
        cursor.execute(import_module("signals.migrations.0018_signal_disabled_at").FILL)
    signal.refresh_from_db()
    assert signal.disabled_at == now + timedelta(minutes=5)
