"""What pages say of signals that gave no label, to whom, and what can be done from there."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from html import unescape

import pytest
from django.test import Client
from django.urls import reverse

from catalyst.core.models import Project, User
from signals import operations
from signals.models import Label, Signal
from tests.factories import make_agent, make_session, make_signal, make_trace, settle_all
from tests.signals.unlabelled import of, waiting
from traces.filters import Filter
from traces.models import Trace
from traces.models.span import hex_span_id

pytestmark = pytest.mark.real_clock

HOUR = timedelta(hours=1)
HTMX = {"HX-Request": "true"}
PROD = Filter(environment="prod")


@pytest.fixture(autouse=True)
def _judge(connect: Callable[[str], None]) -> None:
    """A judge is connected; nobody asks it."""
    connect("http://127.0.0.1:9/v1")


@pytest.fixture
def signal(project: Project) -> Callable[..., Signal]:
    """Make a signal of the agent that traces name."""
    return lambda **about: make_signal(make_agent(project), **about)


def test_it_says_nothing_of_what_is_labelled_archived_or_another_agents(
    browser: Client, project: Project, signal: Callable[..., Signal], now: datetime
) -> None:
    signal(active_since=now - HOUR)
    trace = waiting(project, now, status="done", value="yes", labelled_at=now)
    make_signal(make_agent(project, "other"), name="Other")
    operations.archive(signal(name="Archived"), now)
    assert browser.get(of(trace), headers=HTMX).text.strip() == ""
    assert "Every signal that looks at the traces of this agent has labelled it." in browser.get(of(trace)).text


def test_a_trace_says_where_signals_of_other_scopes_are(
    browser: Client, project: Project, signal: Callable[..., Signal], now: datetime
) -> None:
    for scope in ("span", "session"):
        signal(name=f"A <{scope}> signal", scope=scope)
    alone, turn = make_trace(project, 1, now=now), make_trace(project, 2, now=now, session="chat")
    text = browser.get(of(alone), headers=HTMX).text
    assert "A &lt;session&gt; signal:" in text
    assert "this trace carries no <code>session.id</code>" in text
    assert "A &lt;span&gt; signal: about single model calls." in text
    assert f"/sessions/{turn.session_id}/" in browser.get(of(turn), headers=HTMX).text


def test_a_few_are_shown_at_once(
    browser: Client, project: Project, signal: Callable[..., Signal], now: datetime
) -> None:
    trace = make_trace(project, now=now)
    for number in range(9):
        signal(name=f"Draft {number}")
    signal(name="Strict", traffic_filter=PROD)
    shown, more = browser.get(of(trace), headers=HTMX).text.split("<summary")
    assert shown.count('class="label none"') == 6
    assert shown.index("Strict") < shown.index("Draft 0")
    assert "4 more signals" in more


def test_a_trace_of_nobody_says_so_where_there_are_signals(
    browser: Client, project: Project, signal: Callable[..., Signal], now: datetime
) -> None:
    trace = make_trace(project, now=now, agent="")
    Trace.objects.update(agent=None)
    assert browser.get(of(trace), headers=HTMX).text.strip() == ""
    signal()
    assert "This trace names no agent" in browser.get(of(trace), headers=HTMX).text


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (18, "Queued since "),
        (17, "Signals about spans look at model calls, and this is none."),
    ],
)
def test_a_span_says_why(
    browser: Client, project: Project, signal: Callable[..., Signal], now: datetime, span: int, words: str
) -> None:
    trace = make_trace(project, now=now)
    assert "No signal looks at the spans of this agent." in browser.get(of(trace, span), headers=HTMX).text
    signal(scope="span", active_since=now - HOUR)
    settle_all(now)
    pane = browser.get(f"{trace.get_absolute_url()}?span={hex_span_id(span)}&pane=labels", headers=HTMX).text
    assert of(trace, span) in pane
    assert words in browser.get(of(trace, span), headers=HTMX).text
    assert browser.get(of(trace, 99), headers=HTMX).status_code == 404


def test_a_session_says_why(browser: Client, project: Project, signal: Callable[..., Signal], now: datetime) -> None:
    signal(scope="session", active_since=now - HOUR, traffic_filter=Filter(attributes={"plan": "gold"}))
    session = make_session(project, now=now)
    assert of(session) in browser.get(f"/p/default/sessions/{session.pk}/").text
    assert "if nothing more of it arrives" in browser.get(of(session), headers=HTMX).text
    settle_all(now)
    assert "Not what its filter asks for: plan is gold." in browser.get(of(session), headers=HTMX).text


def test_editors_can_do_something_about_it(
    client_as: Callable[[User], Client],
    browser: Client,
    viewer: User,
    project: Project,
    signal: Callable[..., Signal],
    now: datetime,
) -> None:
    signal(name="Asked", active_since=now - HOUR)
    trace = waiting(project, now, status="failed", error="Broken.")
    draft, strict = signal(name="Draft", sample_rate=1), signal(name="Strict", traffic_filter=PROD)
    part = browser.get(of(trace), headers=HTMX).text
    label = Label.objects.get()
    again = reverse("signals:label-again", args=["default", label.signal_id, label.pk])
    edit = reverse("signals:signal-edit", args=["default", strict.pk])
    assert again in part
    assert edit in part
    run = re.search(rf'href="(/p/default/signals/{draft.pk}/runs/preview/[^"]+)"', part)
    assert run
    preview = browser.get(unescape(run[1])).context["preview"]
    assert [match.trace_id for match in preview.examples] == [trace.trace_id]
    assert preview.sampled == 1
    seen = client_as(viewer).get(of(trace), headers=HTMX).text
    assert "Broken." in seen
    assert "href=" in seen
    assert not any(url in seen for url in (again, edit, run[1]))


def test_a_failed_label_is_tried_again(
    browser: Client, project: Project, signal: Callable[..., Signal], now: datetime
) -> None:
    made = signal(active_since=now - HOUR)
    waiting(project, now, status="failed", attempts=5, error="Broken.")
    label = Label.objects.get()
    again = reverse("signals:label-again", args=["default", made.pk, label.pk])
    assert again in browser.get(reverse("signals:label-detail", args=["default", made.pk, label.pk])).text
    page = browser.post(again, follow=True)
    assert again not in page.text
    assert "It will be judged again" in page.text
    label.refresh_from_db()
    assert (label.status, label.attempts, label.error) == ("queued", 0, "")
    assert "This label hasn&#x27;t failed" in browser.post(again, follow=True).text
    page_of = "http://testserver" + of(Trace.objects.get())
    assert browser.post(again, headers={**HTMX, "Referer": page_of}).headers["HX-Redirect"] == page_of
    elsewhere = reverse("signals:label-again", args=["default", signal(name="Other").pk, label.pk])
    assert browser.post(elsewhere).status_code == 404


@pytest.mark.parametrize("path", ["traces", "sessions"])
def test_it_says_nothing_of_other_projects(browser: Client, other_project: Project, now: datetime, path: str) -> None:
    session = make_session(other_project, now=now)
    target = session if path == "sessions" else other_project.traces.first()
    assert target
    assert browser.get(of(target)).status_code == 404
