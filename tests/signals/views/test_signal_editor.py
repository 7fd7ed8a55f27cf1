"""Making a signal and changing what it asks."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from catalyst.agents.models import Agent
from catalyst.core.models import Project, User
from catalyst.env import env
from signals import operations
from signals.definitions.templates import TEMPLATES
from signals.models import Signal
from tests.factories import make_agent, make_signal, make_trace
from tests.judge_server import JudgeServer

NEW = "/p/default/signals/new/"
WHO = "/p/default/signals/judge/"
LATELY = "/p/default/signals/lately/"
STRING = {
    "name": "Mood",
    "scope": "session",
    "type": "string",
    "label-0": " good ",
    "sentiment-0": "positive",
    "label-2": "bad",
    "sentiment-2": "negative",
    "prompt": "How did it go?\r\n",
    "sample_rate": "other",
    "sample_rate_other": "7",
    "judge_model": "judge-2",
}


@pytest.fixture
def agent(project: Project) -> Agent:
    return make_agent(project)


def as_filled(text: str) -> dict[str, str]:
    """What a browser would post of the form as it stands."""
    form = text[text.index('id="editor"') :]
    fields = {}
    for tag in re.findall(r"<input[^>]*>", form):
        attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if attributes.get("type") not in {"radio", "checkbox"} or " checked" in tag:
            fields[attributes["name"]] = attributes.get("value", "")
    for name, options in re.findall(r'<select[^>]*name="([\w-]+)".*?>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'value="([^"]*)"\s+selected', options) or re.search(r'value="([^"]*)"', options)
        fields[name] = chosen.group(1) if chosen else ""
    for name, typed in re.findall(r'<textarea[^>]*name="([\w-]+)"[^>]*>\n(.*?)</textarea>', form, re.DOTALL):
        fields[name] = unescape(typed)
    return fields


def test_it_makes_a_draft(browser: Client, agent: Agent, bob: User) -> None:
    response = browser.post(NEW, STRING | {"agent": agent.pk})
    signal = Signal.objects.select_related("current_version").get()
    version = signal.current_version
    assert version is not None
    assert response.headers["Location"] == f"/p/default/signals/{signal.pk}/"
    assert (signal.agent, signal.name, signal.scope, signal.state) == (agent, "Mood", "session", "draft")
    assert (signal.created_by, signal.template) == (bob, "")
    assert (version.type, version.labels, version.sentiments) == (
        "string",
        ["good", "bad"],
        {"good": "positive", "bad": "negative"},
    )
    assert (version.prompt, version.sample_rate, version.judge_model) == ("How did it go?", 7, "judge-2")
    assert "Mood is saved as a draft" in browser.get(response.headers["Location"]).text


def test_it_activates_at_once_when_asked(browser: Client, agent: Agent) -> None:
    browser.post(NEW, STRING | {"agent": agent.pk, "then": "activate"})
    assert Signal.objects.get().state == "active"


@pytest.mark.parametrize(("bad", "other"), [("yes", "no"), ("no", "yes")])
def test_it_asks_which_answer_is_bad(browser: Client, agent: Agent, bad: str, other: str) -> None:
    asked = {"name": "A", "scope": "trace", "type": "binary", "bad": bad, "prompt": "B?", "sample_rate": "25"}
    browser.post(NEW, asked | {"agent": agent.pk})
    version = Signal.objects.select_related("current_version").get().current_version
    assert version is not None
    assert version.sentiments == {bad: "negative", other: "positive"}


@pytest.mark.parametrize("key", TEMPLATES)
def test_it_takes_every_template_unedited(browser: Client, agent: Agent, key: str) -> None:
    page = browser.get(f"{NEW}?template={key}").text
    assert "The offline judge (rules)" in page
    assert browser.post(f"{NEW}?template={key}", as_filled(page)).status_code == 302
    signal, template = Signal.objects.select_related("current_version").get(), TEMPLATES[key]
    version = signal.current_version
    assert version is not None
    assert (signal.template, signal.name, signal.scope) == (key, template.name, template.scope)
    assert (version.type, version.prompt, tuple(version.labels)) == (template.type, template.prompt, template.labels)
    assert version.sentiments == dict(template.sentiments)
    assert version.sample_rate == 100


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": " "}, "A signal needs a name."),
        ({"prompt": " "}, "A signal needs a question."),
        ({"prompt": "a" * 20_001}, "at most 20,000 characters"),
        ({"label-2": ""}, "2 to 10 labels, not 1"),
        ({"label-2": "GOOD"}, "Labels must differ"),
        ({"sentiment-0": "negative"}, "At least one label must be positive."),
        ({"sentiment-0": "great"}, "A sentiment is positive, negative or neutral."),
        ({"sample_rate_other": "101"}, "a whole number of percent from 0 to 100"),
        ({"sample_rate_other": "ten"}, "a whole number of percent from 0 to 100"),
        ({"sample_rate": ""}, "a whole number of percent from 0 to 100"),
        ({"scope": "turn"}, "Select a valid choice"),
        ({"type": "regex"}, "Select a valid choice"),
        ({"agent": "0"}, "Select a valid choice"),
    ],
)
def test_it_says_what_is_wrong_beside_the_field(
    browser: Client, agent: Agent, change: dict[str, str], says: str
) -> None:
    response = browser.post(NEW, {**STRING, "agent": str(agent.pk), **change})
    assert response.status_code == 422
    assert says in response.text
    assert "Please look again at" in response.text
    assert not Signal.objects.exists()


def test_it_keeps_what_was_typed_and_escapes_it(browser: Client, agent: Agent) -> None:
    typed = {"name": '"><b>', "prompt": "</textarea><script>", "label-0": "<i>", "sample_rate_other": "300"}
    text = browser.post(NEW, {**STRING, "agent": str(agent.pk), **typed}).text
    assert 'value="&quot;&gt;&lt;b&gt;"' in text
    assert "&lt;/textarea&gt;&lt;script&gt;" in text
    assert 'value="&lt;i&gt;"' in text
    assert 'value="300"' in text


def test_it_says_what_to_do_without_an_agent(browser: Client, project: Project) -> None:
    text = browser.get(NEW).text
    assert "First, an agent" in text
    assert "agent.id" in text
    assert 'id="editor"' not in text


def test_it_starts_with_the_agent_of_the_link(browser: Client, project: Project, agent: Agent) -> None:
    other = make_agent(project, "other-bot")
    text = " ".join(browser.get(f"{NEW}?agent=other-bot").text.split())
    assert f'value="{other.pk}" selected' in text
    assert browser.get(f"{NEW}?agent=%00&template=%00").status_code == 200


def test_it_takes_no_agent_of_another_project(browser: Client, agent: Agent, other_project: Project) -> None:
    foreign = make_agent(other_project)
    assert browser.post(NEW, STRING | {"agent": foreign.pk}).status_code == 422


def test_it_says_who_will_judge(browser: Client, agent: Agent) -> None:
    template = TEMPLATES["sentiment"]
    rows = {f"label-{number}": label for number, label in enumerate(template.labels)}
    asked = {"type": "string", "prompt": template.prompt, **rows}
    assert "The offline judge (rules)" in browser.post(WHO, asked).text
    text = browser.post(WHO, asked | {"prompt": f"{template.prompt} Else?"}).text
    assert "Connect a model" in text
    assert "CATALYST_JUDGE_URL" in text
    assert "<html" not in text
    assert browser.get(WHO).status_code == 405


def test_it_names_the_model_that_will_judge(browser: Client, agent: Agent, judge: JudgeServer) -> None:
    assert "judge-1</b> will judge" in browser.get(NEW).text
    assert "judge-2</b> will judge" in browser.post(WHO, STRING).text


def test_it_makes_a_version_of_an_edit(browser: Client, agent: Agent) -> None:
    signal = make_signal(agent, labels=("good", "bad"), sample_rate=33, judge_model="judge-2")
    page = browser.get(f"/p/default/signals/{signal.pk}/edit/").text
    assert "Saving creates version 2" in page
    filled = as_filled(page)
    assert {"type", "label-0", "sample_rate", "name"} <= filled.keys()
    assert (filled["sample_rate_other"], filled["judge_model"]) == ("33", "judge-2")
    assert browser.post(f"/p/default/signals/{signal.pk}/edit/", filled).status_code == 302
    assert signal.versions.count() == 1
    changed = filled | {"name": "Renamed", "label-2": "ugly", "scope": "session", "then": "activate"}
    browser.post(f"/p/default/signals/{signal.pk}/edit/", changed)
    signal = Signal.objects.select_related("current_version").get()
    assert signal.current_version is not None
    assert (signal.name, signal.scope, signal.state) == ("Renamed", "trace", "active")
    assert (signal.current_version.number, signal.current_version.labels) == (2, ["good", "bad", "ugly"])


def test_it_changes_nothing_when_the_edit_is_wrong(browser: Client, agent: Agent) -> None:
    signal = make_signal(agent)
    filled = as_filled(browser.get(f"/p/default/signals/{signal.pk}/edit/").text)
    wrong = filled | {"name": "Renamed", "type": "string", "label-0": "only"}
    response = browser.post(f"/p/default/signals/{signal.pk}/edit/", wrong)
    assert response.status_code == 422
    assert "2 to 10 labels, not 1" in response.text
    assert (Signal.objects.get().name, signal.versions.count()) == ("Refund wanted", 1)


@pytest.mark.parametrize("person", ["charlie", "viewer"])
def test_it_lets_nobody_else_make_or_change(
    request: pytest.FixtureRequest, client_as: Callable[[User], Client], agent: Agent, person: str
) -> None:
    signal = make_signal(agent)
    client = client_as(request.getfixturevalue(person))
    answers: list[Any] = [
        client.get(NEW),
        client.post(NEW, STRING | {"agent": agent.pk}),
        client.post(WHO, STRING),
        client.get(f"/p/default/signals/{signal.pk}/edit/"),
        client.post(f"/p/default/signals/{signal.pk}/edit/", STRING),
    ]
    assert {answer.status_code for answer in answers} == {404 if person == "charlie" else 403}
    assert Signal.objects.get().current_version_id == signal.current_version_id


def test_it_edits_no_signal_of_another_project(browser: Client, agent: Agent, other_project: Project) -> None:
    foreign = make_signal(make_agent(other_project))
    assert browser.get(f"/p/default/signals/{foreign.pk}/edit/").status_code == 404
    assert browser.delete(NEW).status_code == 405


def test_it_saves_nothing_of_an_archived_signal_that_is_to_be_activated(
    browser: Client, agent: Agent, now: datetime
) -> None:
    signal = make_signal(agent)
    changed = as_filled(browser.get(f"/p/default/signals/{signal.pk}/edit/").text) | {"prompt": "Another question?"}
    operations.archive(signal, now)
    response = browser.post(f"/p/default/signals/{signal.pk}/edit/", changed | {"then": "activate"})
    assert response.status_code == 422
    assert "Unarchive it first" in response.text
    assert signal.versions.count() == 1


NARROWED = {
    "filter_environment": " prod ",
    "filter_status": "error",
    "filter_from_seconds": "1.5",
    "filter_to_tokens": "5000",
    "filter_attributes": "tenant=acme\r\nquery=a=b",
    "view_shows": "messages",
    "view_tool_calls": "without",
    "view_kinds": "LLM",
    "view_names": "plan\r\nanswer",
    "view_budget_tokens": "2000",
}


def test_it_narrows_what_a_signal_looks_at_and_its_judge_sees(browser: Client, agent: Agent) -> None:
    browser.post(NEW, STRING | NARROWED | {"agent": agent.pk})
    signal = Signal.objects.get()
    version = signal.versions.get()
    assert version.filter == {
        "environment": "prod", "status": "error", "min_duration_ms": 1500, "max_tokens": 5000,
        "attributes": {"query": "a=b", "tenant": "acme"},
    }  # fmt: skip
    assert version.view == {
        "messages_only": True, "tool_calls": False, "kinds": ["LLM"], "names": ["plan", "answer"],
        "budget_tokens": 2000,
    }  # fmt: skip
    page = browser.get(f"/p/default/signals/{signal.pk}/edit/").text
    assert page.count('<details class="fold narrow" open>') == 2
    browser.post(f"/p/default/signals/{signal.pk}/edit/", as_filled(page))
    assert signal.versions.count() == 1
    words = "environment is prod, status is error, takes 1.50 s or more, uses at most 5,000 tokens"
    for path in ("", "versions/"):
        text = browser.get(f"/p/default/signals/{signal.pk}/{path}").text
        assert words in text
        assert "what user and assistant said, without tool calls" in text


def test_it_folds_what_narrows_nothing(browser: Client, agent: Agent) -> None:
    page = browser.get(NEW).text
    assert page.count('<details class="fold narrow">') == 2
    browser.post(NEW, as_filled(page) | {"name": "a", "prompt": "b?", "agent": str(agent.pk)})
    version = Signal.objects.get().versions.get()
    assert (version.filter, version.view) == ({}, {})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"filter_status": "late"}, "Select a valid choice"),
        ({"filter_from_seconds": "-1"}, "greater than or equal to 0"),
        ({"filter_from_seconds": "3", "filter_to_seconds": "2"}, "The most is less than the least."),
        ({"filter_from_tokens": "many"}, "Enter a whole number."),
        ({"filter_environment": "e" * 300}, "At most 256 characters."),
        ({"filter_attributes": "tenant"}, "Enter one name=value per line. Not valid: tenant"),
        ({"filter_attributes": "input.value=a"}, "can&#x27;t be filtered by the attribute"),
        ({"view_kinds": "CALL"}, "Select a valid choice"),
        ({"view_names": "n" * 600}, "At most 512 characters."),
        ({"view_budget_tokens": "5"}, "greater than or equal to 500"),
        ({"scope": "span", "view_kinds": "LLM"}, "A span is shown whole"),
        ({"judge_model": "huge"}, "Select a valid choice"),
    ],
)
def test_it_says_what_is_wrong_with_what_narrows_it(
    browser: Client, agent: Agent, change: dict[str, str], says: str
) -> None:
    response = browser.post(NEW, {**STRING, "agent": str(agent.pk), **change})
    assert response.status_code == 422
    assert says in response.text
    (field,) = set(re.findall(r'<a href="#(row-[\w]+)">', response.text))
    assert f'id="{field}"' in response.text
    assert not Signal.objects.exists()


def test_it_offers_the_models_that_an_operator_allows(
    browser: Client, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal = make_signal(agent, judge_model="small")
    monkeypatch.setattr(env, "judge_models", ["large"])

    def offered(page: str) -> list[str]:
        select = page[page.index('id="id_judge_model"') :].partition("</select>")[0]
        return re.findall(r'value="([^"]*)"', select)

    assert offered(browser.get(NEW).text) == ["", "large"]
    edited = browser.get(f"/p/default/signals/{signal.pk}/edit/").text
    assert offered(edited) == ["", "large", "small"]
    assert as_filled(edited)["judge_model"] == "small"


def test_it_counts_what_the_agent_had_lately(browser: Client, agent: Agent, project: Project) -> None:
    now = timezone.now()
    other = make_agent(project, "other-bot")
    for number, (days, about) in enumerate([(0, {}), (1, {"session": "chat"}), (9, {})], start=1):
        make_trace(project, number, now=now - timedelta(days=days), **about)
    make_trace(project, 9, now=now, agent="other-bot")
    page = " ".join(browser.get(f"{NEW}?agent={agent.identity}").text.split())
    assert "In the last 7 days: 2 spans, 2 traces, 1 session." in page
    assert "carry no session id" not in page
    partial = " ".join(browser.get(LATELY, {"agent": other.pk}).text.split())
    assert "In the last 7 days: 1 span, 1 trace, 0 sessions." in partial
    assert "<html" not in partial


def test_it_warns_before_a_session_signal_of_an_agent_without_sessions(
    browser: Client, agent: Agent, project: Project
) -> None:
    assert "carry no session id" not in browser.get(NEW).text, "no traffic yet"
    make_trace(project, now=timezone.now())
    text = " ".join(browser.get(NEW).text.split())
    assert "carry no session id" in text
    assert "span.set_attribute" in text
    of_sessions, of_traces = (make_signal(agent, scope=scope) for scope in ("session", "trace"))
    assert "carry no session id" in " ".join(browser.get(f"/p/default/signals/{of_sessions.pk}/edit/").text.split())
    assert "carry no session id" not in " ".join(browser.get(f"/p/default/signals/{of_traces.pk}/edit/").text.split())
    assert browser.get(LATELY, {"agent": "0"}).status_code == 200


def test_an_agent_that_is_no_number_is_as_good_as_none(browser: Client, project: Project) -> None:
    make_agent(project)
    assert browser.get("/p/default/signals/lately/", {"agent": "²"}).status_code == 200
