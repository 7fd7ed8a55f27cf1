"""Trying a signal in its editor before it is saved."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest
from django.apps import apps
from django.http import StreamingHttpResponse
from django.test import Client
from django.utils import timezone

from catalyst.agents.models import Agent
from catalyst.core.actor import Actor
from catalyst.core.models import Project, User
from catalyst.llms.amounts import Calls, Cap
from catalyst.llms.models import Budget
from signals import operations
from signals.definitions.choices import Scope
from signals.definitions.templates import TEMPLATES
from signals.models import Label
from signals.runs.trial import WIDTH
from tests.factories import make_agent, make_session, make_signal, make_trace
from tests.judge_server import Answer, JudgeServer, completion, error, says

RUN = "/p/default/signals/trial/"
PROMPT = "/p/default/signals/prompt/"
QUESTION = {
    "scope": "trace",
    "type": "binary",
    "bad": "yes",
    "prompt": "Does the user ask for a refund?",
    "sample_rate": "50",
    "trial_count": "10",
    "trial_window": "7d",
    "on": "newest",
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


def run(browser: Client, agent: Agent, *, htmx: bool = True, **changes: Any) -> str:
    """The whole answer to a test."""
    response = browser.post(RUN, {**QUESTION, "agent": agent.pk, **changes}, headers=HX if htmx else {})
    assert response.status_code == 200, response.text
    return text_of(cast(StreamingHttpResponse, response).getvalue().decode())


def text_of(text: str) -> str:
    return " ".join(text.split())


def again(text: str) -> dict[str, Any]:
    """The targets and labels that the rows carry for another test."""
    values = [part.split('value="')[1].split('"')[0] for part in text.split('<input type="hidden" name=')[1:]]
    return {"on": ["same"], "again": values[::2], "was": values[1::2]}


def everything_stored() -> dict[str, list[dict[str, Any]]]:
    """But for what calls have cost, and who looked."""
    found = (apps.get_app_config(app).get_models() for app in ("signals", "traces", "agents", "core"))
    return {
        model.__name__: list(model._default_manager.order_by("pk").values())
        for models in found
        for model in models
        if model.__name__ not in ("User", "SignIn", "Budget")
    }


def test_it_judges_the_newest_and_saves_nothing(
    browser: Client, project: Project, agent: Agent, judge: JudgeServer
) -> None:
    make_traces(project, 5)
    judge.script = lambda asked: says("yes" if "Question 5" in asked.recording else "no", "So it is said.")
    before = everything_stored()
    text = run(browser, agent, trial_count="3")
    assert everything_stored() == before
    assert len(judge.asked) == 3
    assert {number for number in range(1, 6) if f"Question {number}?" in text} == {3, 4, 5}
    assert text.count("So it is said.") == 3
    assert text.count("<span>132 tokens</span>") == 3
    assert "396 tokens" in text
    assert 'aria-label="yes 1, no 2"' in text
    assert "3 traces, the newest." in text
    assert "<b>3</b> of 3 judged" in text
    assert f"/p/default/traces/{'0' * 31}5" in text or "/p/default/traces/00000000-" in text


def test_it_tells_what_a_day_would_take(browser: Client, project: Project, agent: Agent, judge: JudgeServer) -> None:
    make_traces(project, 15)
    text = run(browser, agent, trial_count="1", judge_model="gpt-4o")
    assert "Live, at 50%: about <b>2</b> traces a day, by the last 7 days, and about <b>$0.00" in text


def test_it_shows_a_whole_page_without_scripts(
    browser: Client, project: Project, agent: Agent, judge: JudgeServer
) -> None:
    make_traces(project, 2)
    text = run(browser, agent, htmx=False, prompt="Is it <i>rude</i>?")
    assert text.startswith("<!doctype html>")
    assert text.endswith("</html>")
    assert "Is it &lt;i&gt;rude&lt;/i&gt;?</textarea>" in text
    assert text.count("The user asks for it.") == 2
    assert text.count('id="trial-sums"') == 1
    assert "Not saved yet" not in text


def test_it_works_for_a_version_to_come(browser: Client, project: Project, agent: Agent, judge: JudgeServer) -> None:
    make_traces(project, 1)
    signal = make_signal(agent, prompt="The old question?")
    run(browser, agent, signal=signal.pk, prompt="The new question?", scope="session")
    assert "The new question?" in judge.asked[0].instructions
    assert signal.versions.count() == 1
    assert not Label.objects.exists()


@pytest.mark.parametrize("scope", Scope.values)
def test_a_second_test_on_the_same_shows_what_flipped(
    browser: Client, project: Project, agent: Agent, judge: JudgeServer, scope: str
) -> None:
    make_session(project, "one", turns=1, first=1, now=timezone.now())
    make_session(project, "two", turns=1, first=2, now=timezone.now())
    first = run(browser, agent, scope=scope)
    make_session(project, "three", turns=1, first=3, now=timezone.now())
    judge.script = lambda asked: says("no" if "Question 2" in asked.recording else "yes")
    text = run(browser, agent, scope=scope, prompt="Another question?", **again(first))
    assert len(judge.asked) == 4
    assert "2 of the 2 targets tested before." in text
    assert "<b>1 of 2 flipped</b>: yes → no" in text
    assert '<s class="faint">yes</s>' in text
    assert "None of 2 flipped." in run(browser, agent, scope=scope, **again(text))


def test_it_tests_no_targets_of_others(
    browser: Client, project: Project, other_project: Project, agent: Agent, judge: JudgeServer
) -> None:
    now = timezone.now()
    foreign = make_trace(other_project, 7, now=now)
    other = make_trace(project, 8, now=now, agent="other-bot")
    keys = [foreign.trace_id.hex, other.trace_id.hex, "\0", "../x", "a" * 32]
    text = run(browser, agent, on="same", again=keys, was=["yes"] * 5)
    assert "0 of the 5 targets tested before; the others are no longer stored." in text
    assert "Nothing that is stored matches." in text_of(
        browser.post(PROMPT, {**QUESTION, "agent": agent.pk, "target": foreign.trace_id.hex}, headers=HX).text
    )
    foreign_signal = make_signal(make_agent(other_project))
    assert browser.post(RUN, {**QUESTION, "signal": foreign_signal.pk}).status_code == 404
    assert browser.post(RUN, {**QUESTION, "agent": foreign_signal.agent_id}).status_code == 422
    assert not judge.asked


def test_hanging_up_makes_no_further_calls(browser: Client, project: Project, agent: Agent, judge: JudgeServer) -> None:
    make_traces(project, WIDTH + 8)
    judge.script = lambda _: Answer({}, delay=1.5)
    response = browser.post(RUN, {**QUESTION, "agent": agent.pk, "trial_count": "100"}, headers=HX)
    parts = cast(StreamingHttpResponse, response).streaming_content
    for part in parts:  # type: ignore[union-attr]
        if part == b"" and judge.asked:
            break
    response.close()
    assert len(judge.asked) <= WIDTH


def test_who_starts_another_test_ends_the_first(
    browser: Client, project: Project, agent: Agent, judge: JudgeServer
) -> None:
    make_traces(project, WIDTH + 2)
    response = browser.post(RUN, {**QUESTION, "agent": agent.pk, "trial_count": "100"}, headers=HX)
    first = iter(cast(StreamingHttpResponse, response).streaming_content)  # type: ignore[arg-type]
    begun = b"".join(next(first) for _ in range(3))
    run(browser, agent, trial_count="1")
    rest = (begun + b"".join(first)).decode()
    assert rest.count("The user asks for it.") <= WIDTH


@pytest.mark.parametrize(
    ("answer", "says_so"),
    [
        (completion("Perhaps."), "no answer in the agreed form"),
        (says("maybe"), "which is none of: yes, no"),
        (completion(None, refusal="I will not."), "The judge refused to answer: I will not."),
        (error(401, "Bad key."), "refused the API key (401): Bad key."),
        (error(429), "asks to slow down (429)"),
        (error(500), "has trouble (500)"),
        (Answer(b"", status=0), "broke the connection"),
    ],
)
def test_a_failing_judge_is_put_into_words(
    browser: Client, project: Project, agent: Agent, judge: JudgeServer, answer: Answer, says_so: str
) -> None:
    make_traces(project, 1)
    judge.script = lambda _: answer
    text = run(browser, agent)
    assert says_so in text
    assert 'class="bad-text">1 failed' in text
    assert len(judge.asked) == 1


def test_it_gives_up_on_a_judge_that_does_not_answer(
    browser: Client, project: Project, agent: Agent, judge: JudgeServer
) -> None:
    make_traces(project, WIDTH * 3)
    judge.script = lambda _: error(503)
    text = run(browser, agent, trial_count="100")
    assert "The judge does not answer, so the rest was not judged." in text
    assert len(judge.asked) < WIDTH * 3


def test_text_of_users_and_judges_stays_text(
    browser: Client, project: Project, agent: Agent, judge: JudgeServer
) -> None:
    hostile = "<script>alert(1)</script><!--part--><!--trial-->"
    make_traces(project, 1, said=(hostile, "Hm."))
    judge.script = lambda _: says("yes", hostile)
    text = run(browser, agent)
    assert "<script>" not in text
    assert text.count("&lt;script&gt;alert(1)") == 2
    found = again(text) | {"was": [hostile]}
    assert "<script>alert" not in run(browser, agent, htmx=False, **found)
    shown = browser.post(PROMPT, {**QUESTION, "agent": agent.pk}, headers=HX).text
    assert "&lt;script&gt;alert(1)" in shown
    assert "<script>" not in shown


def test_unedited_templates_need_no_model(browser: Client, project: Project, agent: Agent) -> None:
    make_traces(project, 2, said=("You are useless!!", "Sorry."))
    template = TEMPLATES["sentiment"]
    labels = {f"label-{number}": label for number, label in enumerate(template.labels)}
    labels |= {f"sentiment-{number}": template.sentiments[label] for number, label in enumerate(template.labels)}
    about: dict[str, Any] = {"type": template.type, "prompt": template.prompt, "scope": "trace", **labels}
    text = run(browser, agent, **about)
    assert "<b>2</b> of 2 judged" in text
    assert "failed" not in text
    assert "Connect a model" in run(browser, agent, prompt="Of my own?")


def test_fewer_targets_are_explained(browser: Client, project: Project, agent: Agent, judge: JudgeServer) -> None:
    assert f"Nothing of {agent} is stored" in run(browser, agent)
    now = timezone.now()
    for number in range(1, 4):
        make_trace(project, number, now=now - timedelta(hours=2))
    make_trace(project, 4, now=now)
    assert "are stored in all." in run(browser, agent, trial_window="1h")
    assert "0 traces instead of 10. The window holds 4 traces; the others do not pass the filter." in run(
        browser, agent, filter_model="gpt-9"
    )
    assert "4 traces instead of 10. That is all that is stored" in run(browser, agent)
    assert "carry no session id" in run(browser, agent, scope="session")


@pytest.mark.parametrize(
    ("change", "says_so"),
    [
        ({"prompt": " "}, "A signal needs a question."),
        ({"type": "string"}, "2 to 10 labels"),
        ({"trial_count": "0"}, "A test takes 1 to 100 targets."),
        ({"trial_count": "101"}, "A test takes 1 to 100 targets."),
        ({"trial_window": "forever"}, "Select a valid choice"),
    ],
)
@pytest.mark.parametrize("headers", [HX, {}])
def test_it_says_what_is_wrong(
    browser: Client, agent: Agent, change: dict[str, str], says_so: str, headers: dict[str, str]
) -> None:
    response = browser.post(RUN, {**QUESTION, "agent": str(agent.pk), **change}, headers=headers)
    assert response.status_code == 422
    assert says_so in response.text


@pytest.mark.slow
def test_calls_are_charged_and_respect_caps(
    browser: Client, project: Project, agent: Agent, judge: JudgeServer, bob: User
) -> None:
    make_traces(project, 3)
    now = timezone.now()
    judge.script = lambda _: says("yes", prompt_tokens=1_000, completion_tokens=10)
    run(browser, agent, judge_model="gpt-4o")
    calls = Budget.objects.get(project=project, subject_id=None).spent_on(now)
    made, spent = calls.made, calls.dollars
    assert made == len(judge.asked)
    assert spent > 0
    assert Budget.objects.count() == 1
    signal = make_signal(agent, judge_model="gpt-4o")
    run(browser, agent, judge_model="gpt-4o", signal=signal.pk)
    assert Budget.objects.get(subject_id=signal.pk).spent == spent
    operations.cap_project(project, Cap(Decimal("0.5")), now, Actor(bob))
    run(browser, agent, judge_model="gpt-4o")
    assert Budget.objects.get(project=project, subject_id=None).spent == 3 * spent
    judge.script = lambda _: error(503)
    run(browser, agent, judge_model="gpt-4o")
    assert Budget.objects.get(project=project, subject_id=None).spent_on(now) == Calls(3 * made, 3 * spent)
    assert "without a public price" in run(browser, agent)
    Budget.objects.filter(project=project, subject_id=None).update(spent=Decimal("0.499"))
    asked = len(judge.asked)
    text = run(browser, agent, judge_model="gpt-4o")
    assert "The daily spending cap leaves no room for another call" in text
    assert len(judge.asked) == asked


def test_the_prompt_can_be_read_before_anything_is_spent(
    browser: Client, project: Project, agent: Agent, judge: JudgeServer
) -> None:
    make_traces(project, 2)
    newest = browser.post(PROMPT, {**QUESTION, "agent": agent.pk}, headers=HX).text
    assert "Question 2?" in newest
    assert "Does the user ask for a refund?" in newest
    assert "<html" not in newest
    older = browser.post(PROMPT, {**QUESTION, "agent": agent.pk, "target": f"{1:032x}"}).text
    assert "Question 1?" in older
    assert "<html" in older
    assert not judge.asked


def test_viewers_and_strangers_test_nothing(
    client_as: Callable[[User], Client], agent: Agent, viewer: User, charlie: User
) -> None:
    for path in (RUN, PROMPT):
        assert client_as(viewer).post(path, {**QUESTION, "agent": agent.pk}).status_code == 403
        assert client_as(charlie).post(path, {**QUESTION, "agent": agent.pk}).status_code == 404
