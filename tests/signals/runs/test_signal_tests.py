"""Tests of a signal in its editor, before it is saved: started by the page, judged by the worker, kept for a day."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError
from django.test import Client
from django.utils import timezone

from catalyst.agents.models import Agent
from catalyst.core.actor import Actor
from catalyst.core.models import Project, User
from catalyst.htmx import STOP_POLLING
from catalyst.llms.amounts import Calls, Cap
from catalyst.llms.models import Budget
from signals import operations, retention
from signals.definitions.choices import Scope
from signals.definitions.definition import Definition
from signals.definitions.templates import TEMPLATES
from signals.judging import claims, worker
from signals.models import Exchange, Label, Signal, SignalTest, SignalTestItem, Verdict
from signals.models.label_states import MAX_ATTEMPTS
from signals.models.signal_test import MAX_DURATION, TOO_LONG
from signals.runs import signal_tests
from tests.factories import make_agent, make_labels, make_session, make_signal, make_trace
from tests.judge_server import Answer, JudgeServer, completion, error, says
from tests.page import Page

pytestmark = pytest.mark.slow

RUN = "/p/default/signals/trial/"
PROMPT = "/p/default/signals/prompt/"
QUESTION = {
    "scope": "trace",
    "type": "binary",
    "bad": "yes",
    "prompt": "Does the user ask for a refund?",
    "sample_rate": "50",
    "test_count": "10",
    "test_window": "7d",
}
HX = {"HX-Request": "true"}


@pytest.fixture
def agent(project: Project) -> Agent:
    return make_agent(project)


def make_traces(project: Project, count: int, **about: Any) -> datetime:
    """Traces of the last minutes; the first is the oldest."""
    now = timezone.now()
    for number in range(1, count + 1):
        said = about.get("said") or (f"Question {number}?", f"Answer {number}.")
        make_trace(project, number, now=now - timedelta(minutes=count - number), **{**about, "said": said})
    return now


def start(browser: Client, agent: Agent, *, htmx: bool = True, **changes: Any) -> SignalTest:
    """A test that nobody judges yet."""
    response = browser.post(RUN, {**QUESTION, "agent": agent.pk, **changes}, headers=HX if htmx else {})
    assert response.status_code == 200, response.text
    return SignalTest.objects.latest("pk")


def judge_at(now: datetime) -> None:
    """The worker, which looks once more after its last answer."""
    worker.run(lambda: now)
    worker.run(lambda: now)


def page_of(browser: Client, test: SignalTest) -> Page:
    return Page(browser.get(f"{RUN}{test.pk}/", headers=HX).text)


def make_queued_labels(agent: Agent, count: int) -> Signal:
    """Labels of stored traces that are due now."""
    now = timezone.now()
    signal = make_signal(agent, prompt="Of the labels?", active_since=now - timedelta(days=1))
    make_labels(signal, agent.project, count, now=now - timedelta(hours=3))
    Label.objects.update(not_before=now)
    return signal


def run(browser: Client, agent: Agent, **changes: Any) -> Page:
    """What the editor shows of a test in the end."""
    test = start(browser, agent, **changes)
    judge_at(timezone.now())
    return page_of(browser, test)


def test_it_judges_the_newest_and_makes_no_label(
    browser: Client, project: Project, agent: Agent, judge: JudgeServer
) -> None:
    make_traces(project, 5)
    judge.script = lambda asked: says("yes" if "Question 5" in asked.recording else "no", "So it is said.")
    page = run(browser, agent, test_count="3")
    assert len(judge.asked) == 3
    assert [row.links[0][0] for row in page.all("//article")] == [f"Question {number}?" for number in (5, 4, 3)]
    assert page.text.count("So it is said.") == 3
    assert page.text.count("132 tokens") == 3
    assert "396 tokens" in page.text
    assert page.all("//*[@aria-label='yes 1, no 2']")
    assert "Newest 3 traces." in page.text
    assert "3 of 3 judged" in page.text
    assert "kept for a day, for you only" in page.text
    assert [model.objects.count() for model in (Label, Verdict, Exchange)] == [0, 0, 0]


def test_the_page_asks_until_the_test_has_ended(
    browser: Client, project: Project, agent: Agent, judge: JudgeServer
) -> None:
    make_traces(project, 2)
    test = start(browser, agent)
    waiting = browser.get(f"{RUN}{test.pk}/", headers=HX)
    assert waiting.status_code == 200
    assert Page(waiting.text).all("//*[@hx-trigger='every 1s']")
    assert "0 of 2 judged" in Page(waiting.text).text
    judge_at(timezone.now())
    ended = browser.get(f"{RUN}{test.pk}/", headers=HX)
    assert ended.status_code == STOP_POLLING
    assert not Page(ended.text).all("//*[@hx-trigger]")


def test_it_works_without_scripts(browser: Client, project: Project, agent: Agent, judge: JudgeServer) -> None:
    make_traces(project, 2)
    response = browser.post(RUN, {**QUESTION, "agent": agent.pk, "prompt": "Is it <i>rude</i>?"})
    editor = Page(response.text)
    assert editor.is_whole
    assert editor.field("Prompt").value == "Is it <i>rude</i>?"
    assert "Not saved yet" not in editor.text
    judge_at(timezone.now())
    shown = Page(browser.get(editor.link("Test results")).text)
    assert shown.is_whole
    assert shown.text.count("The user asks for it.") == 2
    assert "Re-run on same targets" not in shown.buttons


def test_it_tells_what_a_day_would_take(browser: Client, project: Project, agent: Agent, judge: JudgeServer) -> None:
    make_traces(project, 15)
    text = run(browser, agent, test_count="1", judge_model="gpt-4o").text
    assert "Estimate when live at 50%: 2 traces per day, $0.00" in text


def test_it_works_for_a_version_to_come(browser: Client, project: Project, agent: Agent, judge: JudgeServer) -> None:
    make_traces(project, 1)
    signal = make_signal(agent, prompt="The old question?")
    run(browser, agent, signal=signal.pk, prompt="The new question?", scope="session")
    assert "The new question?" in judge.asked[0].instructions
    assert signal.versions.count() == 1
    assert not Label.objects.exists()


def test_the_editor_shows_the_last_test_again(
    browser: Client, project: Project, agent: Agent, judge: JudgeServer
) -> None:
    make_traces(project, 1)
    signal = make_signal(agent)
    start(browser, agent, signal=signal.pk)
    editor = Page(browser.get(f"/p/default/signals/{signal.pk}/edit/").text)
    assert "0 of 1 judged" in editor.text
    assert "Cancel" in editor.buttons


@pytest.mark.parametrize("scope", Scope.values)
def test_a_second_test_on_the_same_shows_what_flipped(
    browser: Client, project: Project, agent: Agent, judge: JudgeServer, scope: str
) -> None:
    make_session(project, "one", turns=1, first=1, now=timezone.now())
    make_session(project, "two", turns=1, first=2, now=timezone.now())
    run(browser, agent, scope=scope)
    first = SignalTest.objects.get()
    make_session(project, "three", turns=1, first=3, now=timezone.now())
    judge.script = lambda asked: says("no" if "Question 2" in asked.recording else "yes")
    page = run(browser, agent, scope=scope, prompt="Another question?", again=first.pk)
    assert len(judge.asked) == 4
    assert "2 of the 2 targets tested before." in page.text
    assert "1 of 2 changed: yes → no" in page.text
    assert [part.text for part in page.all("//article//s")] == ["yes"]
    second = SignalTest.objects.latest("pk")
    assert "0 of 2 changed." in run(browser, agent, scope=scope, again=second.pk).text


def test_it_tests_no_targets_of_others(
    browser: Client, project: Project, other_project: Project, agent: Agent, judge: JudgeServer
) -> None:
    now = timezone.now()
    foreign = make_trace(other_project, 7, now=now)
    other = make_trace(project, 8, now=now, agent="other-bot")
    version = operations.draft_version(Definition("binary", "Is it?", 100), agent, "trace")
    keys = [foreign.trace_id.hex, other.trace_id.hex, "\0", "../x", "a" * 32]
    assert not signal_tests.sample_by_key(version, keys, now).targets
    sent = {**QUESTION, "agent": agent.pk, "target": foreign.trace_id.hex}
    assert "No stored target matches." in Page(browser.post(PROMPT, sent, headers=HX).text).text
    foreign_signal = make_signal(make_agent(other_project))
    assert browser.post(RUN, {**QUESTION, "signal": foreign_signal.pk}).status_code == 404
    assert browser.post(RUN, {**QUESTION, "agent": foreign_signal.agent_id}).status_code == 422
    assert not SignalTest.objects.exists()


def test_a_test_is_seen_by_whoever_started_it_alone(
    client_as: Callable[[User], Client],
    browser: Client,
    project: Project,
    other_project: Project,
    agent: Agent,
    alice: User,
    charlie: User,
    judge: JudgeServer,
) -> None:
    make_traces(project, 1)
    run(browser, agent)
    test, item = SignalTest.objects.get(), SignalTestItem.objects.get()
    pages = [f"{RUN}{test.pk}/", f"{RUN}{test.pk}/targets/{item.pk}/"]
    assert [browser.get(page).status_code for page in pages] == [200, 200]
    elsewhere = [page.replace("/default/", f"/{other_project.slug}/") for page in pages]
    for member in (alice, charlie):
        assert [client_as(member).get(page).status_code for page in (*pages, *elsewhere)] == [404] * 4
        assert client_as(member).post(f"{RUN}{test.pk}/cancel/").status_code == 404
    again = {**QUESTION, "agent": agent.pk, "again": test.pk}
    assert client_as(alice).post(RUN, again).status_code == 404


def test_cancelling_has_no_further_call_made(
    browser: Client, project: Project, agent: Agent, judge: JudgeServer
) -> None:
    make_traces(project, 3)
    test = start(browser, agent)
    claimed = claims.claim_test_items(1, worker.LEASE, timezone.now())
    response = browser.post(f"{RUN}{test.pk}/cancel/", headers=HX)
    assert "Cancelled 0 of 3 judged" in Page(response.text).text
    assert len(claimed) == 1
    assert not claims.has_work(timezone.now())
    judge_at(timezone.now())
    assert not judge.asked


def test_one_person_has_one_test_of_a_signal_running(
    client_as: Callable[[User], Client],
    browser: Client,
    project: Project,
    agent: Agent,
    alice: User,
    judge: JudgeServer,
) -> None:
    make_traces(project, 2)
    signal = make_signal(agent)
    first = start(browser, agent, signal=signal.pk)
    others = [start(browser, agent), start(client_as(alice), agent, signal=signal.pk)]
    last = start(browser, agent, signal=signal.pk)
    states = dict(SignalTest.objects.values_list("pk", "state"))
    assert states == {first.pk: "cancelled", last.pk: "running"} | {other.pk: "running" for other in others}
    with pytest.raises(IntegrityError):
        SignalTest.objects.filter(pk=first.pk).update(state="running")


def test_a_test_that_takes_too_long_ends(browser: Client, project: Project, agent: Agent, judge: JudgeServer) -> None:
    make_traces(project, 1)
    test = start(browser, agent)
    judge_at(timezone.now() + MAX_DURATION)
    assert TOO_LONG in page_of(browser, test).text
    assert not judge.asked


def test_tests_are_claimed_before_labels_and_take_turns(
    browser: Client, project: Project, agent: Agent, judge: JudgeServer
) -> None:
    signal = make_queued_labels(agent, 4)
    large = start(browser, agent, test_count="4", prompt="Of the first?")
    small = start(browser, agent, test_count="1", prompt="Of the second?", signal=signal.pk)
    items = claims.claim_test_items(2, worker.LEASE, timezone.now())
    assert {item.test for item in items} == {large, small}
    judge_at(timezone.now() + timedelta(minutes=1))
    order = ["Of the labels?" in asked.instructions for asked in judge.asked]
    assert (order[0], order.count(True)) == (False, 4)


def test_a_worker_that_died_is_followed_by_another(
    browser: Client, project: Project, agent: Agent, judge: JudgeServer
) -> None:
    make_traces(project, 1)
    test, now = start(browser, agent), timezone.now()
    (dead,) = claims.claim_test_items(1, worker.LEASE, now)
    judge_at(now)
    assert not judge.asked
    judge_at(now + 2 * worker.LEASE)
    assert "1 of 1 judged" in page_of(browser, test).text
    late = worker.prepare(dead, lambda: None, now, {})
    worker.finish([late], now + 2 * worker.LEASE)  # type: ignore[list-item]
    item = SignalTestItem.objects.get()
    assert (item.value, item.attempts) == ("yes", 2)


@pytest.mark.parametrize(
    ("answer", "says_so"),
    [
        (completion("Perhaps."), "no answer in the agreed form"),
        (says("maybe"), "which is none of: yes, no"),
        (completion(None, refusal="I will not."), "The judge refused to answer: I will not."),
    ],
)
def test_an_answer_that_makes_no_sense_is_put_into_words(
    browser: Client, project: Project, agent: Agent, judge: JudgeServer, answer: Answer, says_so: str
) -> None:
    make_traces(project, 1)
    judge.script = lambda _: answer
    assert says_so in run(browser, agent).text
    for minutes in range(1, MAX_ATTEMPTS):
        judge_at(timezone.now() + timedelta(minutes=minutes))
    text = page_of(browser, SignalTest.objects.get()).text
    assert says_so in text
    assert "0 of 1 judged, 1 failed" in text
    assert len(judge.asked) == MAX_ATTEMPTS


def test_a_refused_key_fails_at_once(browser: Client, project: Project, agent: Agent, judge: JudgeServer) -> None:
    make_traces(project, 1)
    judge.script = lambda _: error(401, "Bad key.")
    text = run(browser, agent).text
    assert "refused the API key (401): Bad key." in text
    assert "0 of 1 judged, 1 failed" in text
    assert len(judge.asked) == 1


@pytest.mark.parametrize(
    ("answer", "says_so"),
    [
        (error(429), "asks to slow down (429)"),
        (error(500), "has trouble (500)"),
        (Answer(b"", status=0), "broke the connection"),
    ],
)
def test_a_judge_that_does_not_answer_is_asked_again(
    browser: Client, project: Project, agent: Agent, judge: JudgeServer, answer: Answer, says_so: str
) -> None:
    make_traces(project, 1)
    judge.script = lambda _: answer
    text = run(browser, agent).text
    assert "The judge does not answer and is tried again in a moment." in text
    assert says_so in text
    judge.script = lambda _: says("yes")
    judge_at(timezone.now() + timedelta(minutes=2))
    assert "1 of 1 judged" in page_of(browser, SignalTest.objects.get()).text


def test_text_of_users_and_judges_stays_text(
    browser: Client, project: Project, agent: Agent, judge: JudgeServer
) -> None:
    hostile = "<script>alert(1)</script>"
    make_traces(project, 1, said=(hostile, "Hm."))
    judge.script = lambda _: says("yes", hostile)
    test = start(browser, agent)
    judge_at(timezone.now())
    item = test.items.get()
    shown = [
        browser.get(f"{RUN}{test.pk}/", headers=HX).text,
        browser.get(f"{RUN}{test.pk}/targets/{item.pk}/", headers=HX).text,
        browser.post(PROMPT, {**QUESTION, "agent": agent.pk}, headers=HX).text,
    ]
    assert [text.count("&lt;script&gt;alert(1)") > 0 for text in shown] == [True] * 3
    assert not [text for text in shown if "<script>" in text]


def test_unedited_templates_need_no_model(browser: Client, project: Project, agent: Agent) -> None:
    make_traces(project, 2, said=("You are useless!!", "Sorry."))
    template = TEMPLATES["sentiment"]
    labels = {f"label-{number}": label for number, label in enumerate(template.labels)}
    labels |= {f"sentiment-{number}": template.sentiments[label] for number, label in enumerate(template.labels)}
    about: dict[str, Any] = {"type": template.type, "prompt": template.prompt, "scope": "trace", **labels}
    page = run(browser, agent, **about)
    assert "2 of 2 judged" in page.text
    assert "failed" not in page.text


def test_without_a_model_no_test_starts_and_it_is_said_once(
    client_as: Callable[[User], Client], browser: Client, project: Project, agent: Agent, alice: User
) -> None:
    make_traces(project, 3)
    editor = f"/p/{project.slug}/signals/new/"
    pane = Page(browser.get(editor).text).part("test-button")
    assert "Test" not in pane.buttons
    assert "No model is connected, so a test would fail. Ask an owner to add one in Settings, Models." in pane.text
    pane = Page(client_as(alice).get(editor).text).part("test-button")
    assert pane.link("Add a model connection").startswith(f"/p/{project.slug}/settings/models/")
    response = browser.post(RUN, {**QUESTION, "agent": agent.pk}, headers=HX)
    assert response.status_code == 422
    assert Page(response.text).text.count("No model is connected, so every target would fail.") == 1
    assert not SignalTest.objects.exists()


def test_the_test_is_offered_as_soon_as_something_judges_the_prompt(browser: Client, agent: Agent) -> None:
    template = TEMPLATES["laziness"]
    judge_url = f"/p/{agent.project.slug}/signals/judge/"
    unedited = {"agent": agent.pk, "type": template.type, "prompt": template.prompt}
    own = {**unedited, "prompt": "Of my own?"}
    shown = {"can_test": "yes"}
    offered = [
        "test-button" in Page(browser.post(judge_url, posted).text).ids
        for posted in (unedited, unedited | shown, own, own | shown)
    ]
    assert offered == [True, False, False, True]
    assert Page(browser.post(judge_url, unedited).text).buttons == ["Test"]
    assert Page(browser.post(judge_url, own | shown).text).buttons == []


def test_fewer_targets_are_explained(browser: Client, project: Project, agent: Agent, judge: JudgeServer) -> None:
    assert f"Nothing of {agent} is stored" in run(browser, agent).text
    now = timezone.now()
    for number in range(1, 4):
        make_trace(project, number, now=now - timedelta(hours=2))
    make_trace(project, 4, now=now)
    assert "are stored in all." in run(browser, agent, test_window="1h").text
    filtered = run(browser, agent, filter_model="gpt-9").text
    assert (
        "Only 0 traces available (asked for 10). The window holds 4 traces; the others do not pass the filter."
        in filtered
    )
    assert "Only 4 traces available (asked for 10). No others are stored" in run(browser, agent).text
    assert "carry no session id" in run(browser, agent, scope="session").text


@pytest.mark.parametrize(
    ("change", "says_so"),
    [
        ({"prompt": " "}, "Enter a prompt"),
        ({"type": "string"}, "2 to 10 labels"),
        ({"test_count": "0"}, "Enter a sample size from 1 to 100"),
        ({"test_count": "101"}, "Enter a sample size from 1 to 100"),
        ({"test_window": "forever"}, "Choose one of the options"),
    ],
)
@pytest.mark.parametrize("headers", [HX, {}])
def test_it_says_what_is_wrong(
    browser: Client, agent: Agent, change: dict[str, str], says_so: str, headers: dict[str, str]
) -> None:
    response = browser.post(RUN, {**QUESTION, "agent": str(agent.pk), **change}, headers=headers)
    assert response.status_code == 422
    assert says_so in Page(response.text).text


def test_calls_are_charged_and_respect_caps(
    browser: Client, project: Project, agent: Agent, judge: JudgeServer, bob: User
) -> None:
    now = make_traces(project, 3)
    judge.script = lambda _: says("yes", prompt_tokens=1_000, completion_tokens=10)
    page = run(browser, agent, judge_model="gpt-4o")
    calls = Budget.objects.get(project=project, subject_id=None).spent_on(now)
    made, spent = calls.made, calls.dollars
    assert made == len(judge.asked) == 3
    assert spent == sum(item.cost or 0 for item in SignalTestItem.objects.all()) > 0
    assert "$" in page.text
    assert Budget.objects.count() == 1
    signal = make_signal(agent, judge_model="gpt-4o")
    run(browser, agent, judge_model="gpt-4o", signal=signal.pk)
    assert Budget.objects.get(subject_id=signal.pk).spent == spent
    operations.cap_project(project, Cap(Decimal("0.5")), now, Actor(bob))
    run(browser, agent, judge_model="gpt-4o")
    assert Budget.objects.get(project=project, subject_id=None).spent_on(now) == Calls(3 * made, 3 * spent)
    assert "without a known price" in run(browser, agent).text
    Budget.objects.filter(project=project, subject_id=None).update(spent=Decimal("0.499"))
    asked = len(judge.asked)
    assert "The budget or call limit leaves no room for another call" in run(browser, agent, judge_model="gpt-4o").text
    assert len(judge.asked) == asked


def test_a_call_under_way_holds_its_part_of_a_cap(
    browser: Client, project: Project, agent: Agent, judge: JudgeServer, bob: User
) -> None:
    make_queued_labels(agent, 2)
    operations.cap_project(project, Cap(calls=2), timezone.now(), Actor(bob))
    start(browser, agent, test_count="1")
    assert len(claims.claim_test_items(8, worker.LEASE, timezone.now())) == 1
    assert len(claims.claim(8, worker.LEASE, timezone.now())) == 1


def test_tests_are_kept_for_a_day(browser: Client, project: Project, agent: Agent, judge: JudgeServer) -> None:
    make_traces(project, 2)
    run(browser, agent)
    now = timezone.now()
    assert retention.delete_expired_tests(now + timedelta(hours=23)) == 0
    assert retention.delete_expired_tests(now + timedelta(hours=24)) == 1
    assert not SignalTestItem.objects.exists()


def test_what_was_asked_and_answered_can_be_read(
    browser: Client, project: Project, agent: Agent, judge: JudgeServer
) -> None:
    make_traces(project, 1)
    page = run(browser, agent)
    shown = Page(browser.get(page.link("Prompt"), headers=HX).text)
    for words in ("Does the user ask for a refund?", "Question 1?", "The user asks for it."):
        assert words in shown.text


def test_the_prompt_can_be_read_before_anything_is_spent(
    browser: Client, project: Project, agent: Agent, judge: JudgeServer
) -> None:
    make_traces(project, 2)
    newest = Page(browser.post(PROMPT, {**QUESTION, "agent": agent.pk}, headers=HX).text)
    assert "Question 2?" in newest.text
    assert "Does the user ask for a refund?" in newest.text
    assert not newest.is_whole
    older = Page(browser.post(PROMPT, {**QUESTION, "agent": agent.pk, "target": f"{1:032x}"}).text)
    assert "Question 1?" in older.text
    assert older.is_whole
    assert not judge.asked


def test_viewers_and_strangers_test_nothing(
    client_as: Callable[[User], Client], agent: Agent, viewer: User, charlie: User
) -> None:
    for path in (RUN, PROMPT):
        assert client_as(viewer).post(path, {**QUESTION, "agent": agent.pk}).status_code == 403
        assert client_as(charlie).post(path, {**QUESTION, "agent": agent.pk}).status_code == 404


def test_a_test_names_the_version_that_it_judged_with(
    browser: Client, project: Project, agent: Agent, judge: JudgeServer
) -> None:
    make_traces(project, 1)
    signal = make_signal(agent, prompt=QUESTION["prompt"])
    own = {"signal": signal.pk, "sample_rate": "5"}
    assert "Test of version 1, " in run(browser, agent, **own).text
    operations.publish_version(signal, Definition("binary", "Another prompt?", 100))
    editor = Page(browser.get(f"/p/default/signals/{signal.pk}/edit/").text)
    assert "Test of version 1, " in editor.text
    assert "these results are of another prompt" in editor.part("signal-test-of").text
    whole = Page(browser.get(f"{RUN}{SignalTest.objects.latest('pk').pk}/").text)
    assert "Prompt of version 1" in whole.text
    assert whole.region("Prompt of this test").text == QUESTION["prompt"]
    assert "Test of an unsaved draft, " in run(browser, agent, **own, prompt="A third prompt?").text


def test_the_editor_says_at_once_that_its_results_are_of_another_prompt(
    browser: Client, project: Project, agent: Agent, judge: JudgeServer
) -> None:
    make_traces(project, 1)
    test = start(browser, agent)
    for changes, warns in (({}, False), ({"prompt": "Is it rude?"}, True), ({"judge_model": "gpt-4o"}, True)):
        asked = {**QUESTION, "agent": agent.pk, "test": test.pk, **changes}
        part = Page(browser.post("/p/default/signals/judge/", asked, headers=HX).text).part("signal-test-of")
        assert ("another prompt" in part.text) is warns
        assert part.attribute("hx-swap-oob") == "true"
    response = browser.post(RUN, {**QUESTION, "agent": agent.pk, "prompt": "Is it rude?"}, headers=HX)
    assert Page(response.text).part("signal-test-of").text == ""
