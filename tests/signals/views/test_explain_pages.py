"""What pages say of signals that gave no label, to whom, and what can be done from there."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse

from catalyst.core.models import Project, User
from signals import operations
from signals.models import Label, Signal
from tests.factories import make_agent, make_session, make_signal, make_trace, settle_all
from tests.page import Page
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


def explained(browser: Client, url: str) -> str:
    """The words of the part that explains missing labels."""
    return Page(browser.get(url, headers=HTMX).text).text


def test_it_says_nothing_of_what_is_labelled_archived_or_another_agents(
    browser: Client, project: Project, signal: Callable[..., Signal], now: datetime
) -> None:
    signal(active_since=now - HOUR)
    trace = waiting(project, now, status="done", value="yes", labelled_at=now)
    make_signal(make_agent(project, "other"), name="Other")
    operations.archive(signal(name="Archived"), now)
    assert browser.get(of(trace), headers=HTMX).text.strip() == ""
    words = "Every trace signal of this agent has labelled it."
    assert words in Page(browser.get(of(trace)).text).text


def test_a_trace_says_where_signals_of_other_scopes_are(
    browser: Client, project: Project, signal: Callable[..., Signal], now: datetime
) -> None:
    for scope in ("span", "session"):
        signal(name=f"A <{scope}> signal", scope=scope)
    alone, turn = make_trace(project, 1, now=now), make_trace(project, 2, now=now, session="chat")
    part = Page(browser.get(of(alone), headers=HTMX).text)
    assert "Session labels: A <session> signal (this trace has no session.id)" in part.text
    assert "Span labels: A <span> signal. Select a span to see them." in part.text
    part = Page(browser.get(of(turn), headers=HTMX).text)
    assert part.link("open session") == f"/p/default/sessions/{turn.session_id}/"


def test_a_few_are_shown_at_once(
    browser: Client, project: Project, signal: Callable[..., Signal], now: datetime
) -> None:
    trace = make_trace(project, now=now)
    for number in range(9):
        signal(name=f"Draft {number}")
    signal(name="Strict", traffic_filter=PROD)
    part = Page(browser.get(of(trace), headers=HTMX).text)
    names = [absence.attribute("aria-label").removeprefix("No label ") for absence in part.all("//section/header/..")]
    (more,) = part.all("//details")
    folded = [absence.attribute("aria-label").removeprefix("No label ") for absence in more.all(".//section")]
    assert more.headings == ["4 more signals"]
    assert names[0] == "Strict"
    assert names[6:] == folded
    assert len(folded) == 4


def test_a_trace_of_nobody_says_so_where_there_are_signals(
    browser: Client, project: Project, signal: Callable[..., Signal], now: datetime
) -> None:
    trace = make_trace(project, now=now, agent="")
    Trace.objects.update(agent=None)
    assert browser.get(of(trace), headers=HTMX).text.strip() == ""
    signal()
    assert "This trace names no agent" in Page(browser.get(of(trace), headers=HTMX).text).text


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
    assert "No labels on this span: this agent has no span signals." in explained(browser, of(trace, span))
    signal(scope="span", active_since=now - HOUR)
    settle_all(now)
    pane = Page(browser.get(f"{trace.get_absolute_url()}?span={hex_span_id(span)}&pane=labels", headers=HTMX).text)
    assert pane.link("Signals without a label") == f"{of(trace, span)}&range=1d"
    assert words in explained(browser, of(trace, span))
    assert browser.get(of(trace, 99), headers=HTMX).status_code == 404


def test_a_session_says_why(browser: Client, project: Project, signal: Callable[..., Signal], now: datetime) -> None:
    signal(scope="session", active_since=now - HOUR, traffic_filter=Filter(attributes={"plan": "gold"}))
    session = make_session(project, now=now)
    page = Page(browser.get(f"/p/default/sessions/{session.pk}/").text)
    assert page.link("Signals without a label") == f"{of(session)}?range=1d"
    assert "unless new spans arrive" in explained(browser, of(session))
    settle_all(now)
    assert "Does not match the filters: plan is gold." in explained(browser, of(session))


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
    part = Page(browser.get(of(trace), headers=HTMX).text)
    label = Label.objects.get()
    again = reverse("signals:label-again", args=["default", label.signal_id, label.pk])
    edit = reverse("signals:signal-edit", args=["default", strict.pk])
    assert part.region("No label Asked").form(again).buttons == ["Retry"]
    assert part.region("No label Strict").link("Change the filter") == edit
    run = part.region("No label Draft").link("Backfill this trace")
    assert run.startswith(f"/p/default/signals/{draft.pk}/runs/preview/?")
    preview = browser.get(run).context["preview"]
    assert [match.trace_id for match in preview.examples] == [trace.trace_id]
    assert preview.sampled == 1
    seen = Page(client_as(viewer).get(of(trace), headers=HTMX).text)
    assert "Broken." in seen.region("No label Asked").text
    assert seen.forms == []
    addresses = [address for _, address in seen.links]
    assert addresses
    assert not set(addresses) & {again, edit, run}


def test_a_failed_label_is_tried_again(
    browser: Client, project: Project, signal: Callable[..., Signal], now: datetime
) -> None:
    made = signal(active_since=now - HOUR)
    waiting(project, now, status="failed", attempts=5, error="Broken.")
    label = Label.objects.get()
    again = reverse("signals:label-again", args=["default", made.pk, label.pk])
    page = Page(browser.get(reverse("signals:label-detail", args=["default", made.pk, label.pk])).text)
    assert page.form(again).buttons == ["Retry"]
    page = Page(browser.post(again, follow=True).text)
    assert again not in [form.action for form in page.forms]
    assert "The label will be judged again" in page.text
    label.refresh_from_db()
    assert (label.status, label.attempts, label.error) == ("queued", 0, "")
    assert "This label hasn't failed" in Page(browser.post(again, follow=True).text).text
    page_of = of(Trace.objects.get())
    headers = {**HTMX, "Referer": f"http://testserver{page_of}"}
    assert browser.post(again, headers=headers).headers["HX-Redirect"] == page_of
    elsewhere = reverse("signals:label-again", args=["default", signal(name="Other").pk, label.pk])
    assert browser.post(elsewhere).status_code == 404


@pytest.mark.parametrize("path", ["traces", "sessions"])
def test_it_says_nothing_of_other_projects(browser: Client, other_project: Project, now: datetime, path: str) -> None:
    session = make_session(other_project, now=now)
    target = session if path == "sessions" else other_project.traces.first()
    assert target
    assert browser.get(of(target)).status_code == 404
