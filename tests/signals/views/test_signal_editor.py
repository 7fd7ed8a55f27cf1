"""Making a signal and changing what it asks."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from catalyst.agents.models import Agent
from catalyst.core.models import Project, User
from catalyst.env import env
from signals import operations
from signals.definitions.templates import TEMPLATES
from signals.judging.prompt import instructions
from signals.models import Signal
from tests.factories import make_agent, make_signal, make_trace
from tests.judge_server import JudgeServer
from tests.page import Form, Page

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
    return editor_in(Page(text)).filled


def editor_in(page: Page) -> Form:
    """The form of the editor."""
    return Form(page.part("editor").element)


def unfolded(page: Page) -> set[str]:
    """The summaries of the parts that are open."""
    return {summary.text for summary in page.all("//details[@open]/summary")}


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
    assert "Mood is saved as a draft" in Page(browser.get(response.headers["Location"]).text).text


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


def test_a_signal_about_sessions_may_have_its_own_quiet_time(browser: Client, agent: Agent) -> None:
    made = browser.post(NEW, STRING | {"agent": agent.pk, "quiet_minutes": "90", "then": "activate"})
    signal = Signal.objects.get()
    assert signal.quiet_minutes == 90
    page = Page(browser.get(made.headers["Location"]).text)
    assert page.facts["Quiet time"] == "90 min"
    edit = f"/p/default/signals/{signal.pk}/edit/"
    filled = as_filled(browser.get(edit).text)
    assert filled["quiet_minutes"] == "90"
    browser.post(edit, filled | {"quiet_minutes": ""})
    assert Signal.objects.get().quiet_minutes is None
    assert signal.versions.count() == 1


@pytest.mark.parametrize("scope", ["trace", "span"])
def test_only_signals_about_sessions_have_a_quiet_time(browser: Client, agent: Agent, scope: str) -> None:
    browser.post(NEW, STRING | {"agent": agent.pk, "scope": scope, "quiet_minutes": "0"})
    signal = Signal.objects.get()
    assert signal.quiet_minutes is None
    assert "quiet_minutes" not in as_filled(browser.get(f"/p/default/signals/{signal.pk}/edit/").text)


@pytest.mark.parametrize("key", TEMPLATES)
def test_it_takes_every_template_unedited(browser: Client, agent: Agent, key: str) -> None:
    page = browser.get(f"{NEW}?template={key}").text
    assert "Offline judge (rules)" in Page(page).region("Judge").text
    assert browser.post(f"{NEW}?template={key}", as_filled(page)).status_code == 302
    signal, template = Signal.objects.select_related("current_version").get(), TEMPLATES[key]
    version = signal.current_version
    assert version is not None
    assert (signal.template, signal.name) == (key, template.name)
    assert signal.scope == template.scope_for(has_sessions=False)
    assert (version.type, version.prompt, tuple(version.labels)) == (template.type, template.prompt, template.labels)
    assert version.sentiments == dict(template.sentiments)
    assert version.sample_rate == 100


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": " "}, "Enter a name"),
        ({"prompt": " "}, "Enter a prompt"),
        ({"prompt": "a" * 20_001}, "up to 20,000 characters"),
        ({"label-2": ""}, "2 to 10 labels, not 1"),
        ({"label-2": "GOOD"}, "Labels must differ"),
        ({"description-0": "a" * 501}, "up to 500 characters for a description"),
        ({"sentiment-0": "great"}, "A sentiment is positive, negative or neutral"),
        ({"sample_rate_other": "101"}, "a whole number from 0 to 100"),
        ({"sample_rate_other": "ten"}, "a whole number from 0 to 100"),
        ({"sample_rate": ""}, "a whole number from 0 to 100"),
        ({"quiet_minutes": "1441"}, "a whole number from 1 to 1,440"),
        ({"quiet_minutes": "0"}, "a whole number from 1 to 1,440"),
        ({"scope": "turn"}, "Choose one of the options"),
        ({"type": "regex"}, "Choose one of the options"),
        ({"agent": "0"}, "Choose one of the options"),
    ],
)
def test_it_says_what_is_wrong_beside_the_field(
    browser: Client, agent: Agent, change: dict[str, str], says: str
) -> None:
    response = browser.post(NEW, {**STRING, "agent": str(agent.pk), **change})
    assert response.status_code == 422
    page = Page(response.text)
    assert [says in error for error in page.errors] == [True]
    assert "Not saved. Check:" in page.text
    assert not Signal.objects.exists()


def test_it_keeps_what_was_typed_and_escapes_it(browser: Client, agent: Agent) -> None:
    typed = {"name": '"><b>', "prompt": "</textarea><script>", "label-0": "<i>", "sample_rate_other": "300"}
    text = browser.post(NEW, {**STRING, "agent": str(agent.pk), **typed}).text
    assert typed.items() <= as_filled(text).items()
    assert 'value="&quot;&gt;&lt;b&gt;"' in text
    assert "&lt;/textarea&gt;&lt;script&gt;" in text
    assert 'value="&lt;i&gt;"' in text


def test_it_counts_the_characters_of_the_prompt(browser: Client, agent: Agent) -> None:
    assert "0 of 20,000 characters" in Page(browser.get(NEW).text).part("row-prompt").text
    typed = {**STRING, "agent": str(agent.pk), "name": "", "prompt": "Is it\r\n\N{GRINNING FACE}? "}
    assert "8 of 20,000 characters" in Page(browser.post(NEW, typed).text).part("row-prompt").text
    row = Page(browser.post(NEW, typed | {"prompt": "x" * 20_001}).text).part("row-prompt")
    assert "20,001 of 20,000 characters" in row.text
    assert row.errors == ["Enter a prompt of up to 20,000 characters"]


def test_it_says_what_to_do_without_an_agent(browser: Client, project: Project) -> None:
    page = Page(browser.get(NEW).text)
    assert "First, an agent" in page.headings
    assert "agent.id" in page.text
    assert "editor" not in page.ids


def test_it_starts_with_the_agent_of_the_link(browser: Client, project: Project, agent: Agent) -> None:
    other = make_agent(project, "other-bot")
    assert as_filled(browser.get(f"{NEW}?agent=other-bot").text)["agent"] == str(other.pk)
    assert browser.get(f"{NEW}?agent=%00&template=%00").status_code == 200


def test_it_takes_no_agent_of_another_project(browser: Client, agent: Agent, other_project: Project) -> None:
    foreign = make_agent(other_project)
    assert browser.post(NEW, STRING | {"agent": foreign.pk}).status_code == 422


def test_it_says_who_will_judge(browser: Client, agent: Agent) -> None:
    template = TEMPLATES["sentiment"]
    rows = {f"label-{number}": label for number, label in enumerate(template.labels)}
    asked = {"type": "string", "prompt": template.prompt, **rows}
    assert "Offline judge (rules)" in Page(browser.post(WHO, asked).text).text
    part = Page(browser.post(WHO, asked | {"prompt": f"{template.prompt} Else?"}).text)
    assert "Connect a model" in part.text
    assert "Ask an owner to add one in Settings, Models." in part.text
    assert not part.is_whole
    assert browser.get(WHO).headers["Location"] == NEW


def test_it_names_the_model_that_will_judge(browser: Client, agent: Agent, judge: JudgeServer) -> None:
    assert "judge-1" in Page(browser.get(NEW).text).region("Judge").text
    assert "judge-2" in Page(browser.post(WHO, STRING).text).text


def test_it_makes_a_version_of_an_edit(browser: Client, agent: Agent) -> None:
    signal = make_signal(agent, labels=("good", "bad"), sample_rate=33, judge_model="judge-2")
    page = browser.get(f"/p/default/signals/{signal.pk}/edit/").text
    assert "A changed definition is saved as v2" in Page(page).text
    filled = as_filled(page)
    assert {"type", "label-0", "sample_rate", "name"} <= filled.keys()
    assert (filled["sample_rate_other"], filled["judge_model"]) == ("33", "judge-2")
    edit = f"/p/default/signals/{signal.pk}/edit/"
    assert "Nothing changed" in Page(browser.post(edit, filled, follow=True).text).text
    renamed = Page(browser.post(edit, filled | {"name": "Named"}, follow=True).text)
    assert "Named is saved" in renamed.text
    assert "saved as" not in renamed.text
    assert signal.versions.count() == 1
    filled = as_filled(browser.get(edit).text)
    changed = filled | {"name": "Renamed", "label-2": "ugly", "scope": "session", "then": "activate"}
    assert "Renamed is saved as v2" in Page(browser.post(edit, changed, follow=True).text).text
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
    assert ["2 to 10 labels, not 1" in error for error in Page(response.text).errors] == [True]
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
    assert "Unarchive it first" in Page(response.text).text
    assert signal.versions.count() == 1


NARROWED = {
    "filter_environment": " prod ",
    "filter_model": "gpt-4o\r\n\r\n o3 ",
    "filter_user": "ann",
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
        "environment": "prod", "model": ["gpt-4o", "o3"], "user": "ann", "status": "error",
        "min_duration_ms": 1500, "max_tokens": 5000, "attributes": {"query": "a=b", "tenant": "acme"},
    }  # fmt: skip
    assert version.view == {
        "messages_only": True, "tool_calls": False, "kinds": ["LLM"], "names": ["plan", "answer"],
        "budget_tokens": 2000,
    }  # fmt: skip
    page = browser.get(f"/p/default/signals/{signal.pk}/edit/").text
    assert unfolded(Page(page)) == {"Some traffic", "Part of the transcript"}
    browser.post(f"/p/default/signals/{signal.pk}/edit/", as_filled(page))
    assert signal.versions.count() == 1
    words = "environment is prod, model is gpt-4o or o3, user is ann, status is error, latency ≥ 1.50 s, tokens ≤ 5,000"
    for path in ("", "versions/"):
        text = Page(browser.get(f"/p/default/signals/{signal.pk}/{path}").text).text
        assert words in text
        assert "what user and assistant said, without tool calls" in text


def test_it_folds_what_narrows_nothing(browser: Client, agent: Agent) -> None:
    page = browser.get(NEW).text
    assert {"All traffic", "Whole transcript"} <= set(editor_in(Page(page)).headings)
    assert not unfolded(Page(page)) & {"Some traffic", "Part of the transcript"}
    browser.post(NEW, as_filled(page) | {"name": "a", "prompt": "b?", "agent": str(agent.pk)})
    version = Signal.objects.get().versions.get()
    assert (version.filter, version.view) == ({}, {})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"filter_status": "late"}, "Choose one of the options"),
        ({"filter_from_seconds": "-1"}, "Enter 0 or more"),
        ({"filter_from_seconds": "3", "filter_to_seconds": "2"}, "Max must be at least min."),
        ({"filter_from_tokens": "many"}, "Enter a whole number"),
        ({"filter_environment": "e" * 300}, "At most 256 characters."),
        ({"filter_attributes": "tenant"}, "Use key=value: tenant"),
        ({"filter_attributes": "input.value=a"}, "can't be filtered by the attribute"),
        ({"view_kinds": "CALL"}, "Choose one of the options"),
        ({"view_names": "n" * 600}, "At most 512 characters."),
        ({"view_budget_tokens": "5"}, "Enter 500 or more"),
        ({"scope": "span", "view_kinds": "LLM"}, "need the scope trace or session"),
        ({"judge_model": "huge"}, "Choose one of the options"),
    ],
)
def test_it_says_what_is_wrong_with_what_narrows_it(
    browser: Client, agent: Agent, change: dict[str, str], says: str
) -> None:
    response = browser.post(NEW, {**STRING, "agent": str(agent.pk), **change})
    assert response.status_code == 422
    page = Page(response.text)
    (row,) = (address.removeprefix("#") for _, address in page.links if address.startswith("#row-"))
    assert [says in error for error in page.part(row).errors] == [True]
    assert not Signal.objects.exists()


def test_it_offers_the_models_that_an_operator_allows(
    browser: Client, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal = make_signal(agent, judge_model="small")
    monkeypatch.setattr(env, "judge_models", ["large"])

    def offered(page: str) -> list[str]:
        return list(Page(page).choice("Judge model").options.values())

    assert offered(browser.get(NEW).text) == ["", "large"]
    edited = browser.get(f"/p/default/signals/{signal.pk}/edit/").text
    assert offered(edited) == ["", "large", "small"]
    assert as_filled(edited)["judge_model"] == "small"


def test_it_tells_the_offline_judge_by_choice_from_that_without_a_model(
    browser: Client, agent: Agent, request: pytest.FixtureRequest
) -> None:
    path = f"/p/default/signals/{make_signal(agent, judge_model='offline').pk}/edit/"

    def offered() -> list[str]:
        return list(Page(browser.get(path).text).choice("Judge model").options)

    always = "Offline judge (rules), always"
    assert offered()[0] == "Offline judge (rules), until this instance has a model"
    assert offered().count(always) == 1
    request.getfixturevalue("judge")
    assert offered()[0] == "Instance default (judge-1)"
    assert offered().count(always) == 1


def test_it_counts_what_the_agent_had_lately(browser: Client, agent: Agent, project: Project) -> None:
    now = timezone.now()
    other = make_agent(project, "other-bot")
    for number, (days, about) in enumerate([(0, {}), (1, {"session": "chat"}), (9, {})], start=1):
        make_trace(project, number, now=now - timedelta(days=days), **about)
    make_trace(project, 9, now=now, agent="other-bot")
    page = Page(browser.get(f"{NEW}?agent={agent.identity}").text)
    assert "In the last 7 days: 2 spans, 2 traces, 1 session." in page.text
    assert "carry no session id" not in page.text
    part = Page(browser.get(LATELY, {"agent": other.pk}).text)
    assert "In the last 7 days: 1 span, 1 trace, 0 sessions." in part.text
    assert not part.is_whole


def test_it_warns_before_a_session_signal_of_an_agent_without_sessions(
    browser: Client, agent: Agent, project: Project
) -> None:
    def words(path: str) -> str:
        return Page(browser.get(path).text).text

    assert "carry no session id" not in words(NEW), "no traffic yet"
    make_trace(project, now=timezone.now())
    assert "carry no session id" in words(NEW)
    assert "span.set_attribute" in words(NEW)
    of_sessions, of_traces = (make_signal(agent, scope=scope) for scope in ("session", "trace"))
    assert "carry no session id" in words(f"/p/default/signals/{of_sessions.pk}/edit/")
    assert "carry no session id" not in words(f"/p/default/signals/{of_traces.pk}/edit/")
    assert browser.get(LATELY, {"agent": "0"}).status_code == 200


def test_an_agent_that_is_no_number_is_as_good_as_none(browser: Client, project: Project) -> None:
    make_agent(project)
    assert browser.get("/p/default/signals/lately/", {"agent": "²"}).status_code == 200


def test_another_template_keeps_the_agent(browser: Client, project: Project, agent: Agent) -> None:
    other = make_agent(project, "other-bot")
    page = Page(browser.get(f"{NEW}?agent=other-bot&range=7d").text)
    form = editor_in(page)
    response = browser.post(form.action, form.filled | {"start": "laziness"})
    assert response.headers["Location"] == f"{NEW}?agent=other-bot&range=7d&template=laziness"
    filled = as_filled(browser.get(response.headers["Location"]).text)
    assert (filled["agent"], filled["name"]) == (str(other.pk), TEMPLATES["laziness"].name)
    response = browser.post(response.headers["Location"], filled | {"agent": str(agent.pk), "start": "sentiment"})
    assert f"agent={agent.identity}" in response.headers["Location"], "the template's own text is no typed text"


@pytest.mark.parametrize("typed", [{"name": "Mine"}, {"prompt": "Mine?"}, {"type": "string", "label-0": "mine"}])
def test_another_template_asks_before_it_replaces_typed_text(
    browser: Client, agent: Agent, typed: dict[str, str]
) -> None:
    path = f"{NEW}?template=laziness"
    response = browser.post(path, as_filled(browser.get(path).text) | typed | {"start": "sentiment"})
    assert response.status_code == 200
    page = Page(response.text)
    assert "Sentiment replaces the name, prompt and labels that you typed." in page.text
    filled = as_filled(response.text)
    assert typed.items() <= filled.items()
    assert "unsaved" in str(page.part("editor").element.attrib)
    response = browser.post(path, filled | {"replace": "sentiment"})
    assert "template=sentiment" in response.headers["Location"]


def test_all_errors_are_shown_at_once(browser: Client, agent: Agent) -> None:
    wrong = {"name": "", "label-2": "", "prompt": "a" * 60_000, "sample_rate_other": "101", "filter_attributes": "x"}
    page = Page(browser.post(NEW, {**STRING, "agent": str(agent.pk), **wrong}).text)
    assert page.errors == [
        "Enter a name",
        "Enter 2 to 10 labels, not 1",
        "Enter a prompt of up to 20,000 characters",
        "Enter a whole number from 0 to 100",
        "Use key=value: x",
    ]


def test_an_eleventh_label_is_refused(browser: Client, agent: Agent) -> None:
    labels = {f"label-{number}": f"topic {number}" for number in range(11)}
    page = Page(browser.post(NEW, {**STRING, **labels, "agent": str(agent.pk)}).text)
    assert page.errors == ["Enter 2 to 10 labels, not 11"]
    assert not Signal.objects.exists()


def test_results_of_a_test_and_its_size_survive_a_failed_save(
    browser: Client, agent: Agent, project: Project, judge: JudgeServer
) -> None:
    make_trace(project, now=timezone.now())
    filled = as_filled(browser.get(f"{NEW}?template=laziness").text)
    tested = browser.post("/p/default/signals/trial/", filled | {"test_count": "5", "name": "", "sample_rate": "other"})
    assert tested.status_code == 200, "a test needs neither name nor sample rate"
    filled = as_filled(tested.text)
    page = Page(browser.post(f"{NEW}?template=laziness", filled | {"name": ""}).text)
    assert "Enter a name" in page.errors
    assert "Only 1 span available (asked for 5)" in page.part("signal-test").text
    assert page.field("Sample size").value == "5"


@pytest.mark.parametrize(
    ("key", "scope", "scope_with_sessions"),
    [("frustration", "span", "span"), ("sentiment", "trace", "session"), ("task_outcome", "trace", "session")],
)
def test_templates_suggest_the_scope_that_the_agent_has(
    browser: Client, agent: Agent, project: Project, key: str, scope: str, scope_with_sessions: str
) -> None:
    make_trace(project, now=timezone.now())
    assert as_filled(browser.get(f"{NEW}?template={key}").text)["scope"] == scope
    make_trace(project, 2, now=timezone.now(), session="chat")
    assert as_filled(browser.get(f"{NEW}?template={key}").text)["scope"] == scope_with_sessions


def test_sentiments_are_optional_and_descriptions_reach_the_judge(browser: Client, agent: Agent) -> None:
    topics = {"label-0": "refund", "label-1": "exchange", "label-2": "other", "description-1": " For another  size. "}
    posted = {**STRING, **topics, "sentiment-0": "", "sentiment-2": "", "agent": str(agent.pk)}
    assert browser.post(NEW, posted).status_code == 302
    version = Signal.objects.get().versions.get()
    assert set(version.sentiments.values()) == {"neutral"}
    assert version.descriptions == {"exchange": "For another size."}
    assert 'When to choose a label:\n- "exchange": For another size.\n' in instructions(version, "trace")
    edit = f"/p/default/signals/{version.signal_id}/edit/"
    filled = as_filled(browser.get(edit).text)
    assert filled["description-1"] == "For another size."
    browser.post(edit, filled | {"description-1": "", "description-2": "Anything else."})
    changes = Page(browser.get(f"/p/default/signals/{version.signal_id}/versions/").text).items
    assert "Description, exchange: For another size. \N{RIGHTWARDS ARROW} none" in changes
    assert "Description, other: none \N{RIGHTWARDS ARROW} Anything else." in changes


def test_a_rate_of_0_says_that_it_labels_nothing(browser: Client, agent: Agent) -> None:
    hint = "A signal at 0% labels nothing."
    assert hint in Page(browser.get(NEW).text).part("row-sample_rate").text
    rate = {"sample_rate": "other", "sample_rate_other": "0", "then": "activate"}
    made = browser.post(NEW, STRING | {"agent": agent.pk} | rate)
    assert hint in Page(browser.get(made.headers["Location"]).text).text
    browser.post(NEW, STRING | {"agent": agent.pk, "name": "Other", "then": "activate"})
    assert hint not in Page(browser.get(Signal.objects.get(name="Other").get_absolute_url()).text).text
