"""Links of a page with a time range lead to pages with the same range."""

from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.urls import Resolver404, resolve

from catalyst.core.models import Membership, Project, User
from signals.models import Label
from tests.factories import give, make_agent, make_session, make_signal, settle_all
from tests.page import Page
from traces.models.span import hex_span_id

pytestmark = pytest.mark.real_clock

RANGE = "range=7d"
# Pages with a time range, and pages that lead back to one.
RANGED = {
    *(f"traces:{name}" for name in ("trace-list", "trace-detail", "session-list", "session-detail")),
    *(f"traces:agent-{name}" for name in ("list", "detail", "sessions", "traces")),
    *(f"halo:{name}" for name in ("agent-analysis", "report-create")),
    *(f"signals:signal-{name}" for name in ("list", "detail", "create", "edit", "duplicate")),
    *(f"signals:{name}" for name in ("agent-signals", "version-list", "version-compare", "run-list", "label-detail")),
    *(f"signals:{name}" for name in ("trace-absences", "session-absences")),
}


@pytest.fixture
def pages(project: Project, now: datetime) -> dict[str, str]:
    """Pages of labelled traffic, by name."""
    agent = make_agent(project)
    signals = [make_signal(agent, scope=scope, active_since=now) for scope in ("trace", "session", "span")]
    make_signal(agent, name="Paused")
    session = make_session(project, now=now)
    settle_all(now + timedelta(hours=1))
    for signal in signals:
        give(signal, "yes", now=now)
    trace = session.traces.order_by("start_time")[0]
    at_project, at_signal = "/p/default", signals[0].get_absolute_url()
    at_agent, at_session = f"{at_project}/agents/{agent.pk}", f"{at_project}/sessions/{session.pk}/"
    at_trace, span = trace.get_absolute_url(), hex_span_id(18)
    label = Label.objects.filter(signal=signals[0])[0]
    return {
        "traces": f"{at_project}/traces/",
        "sessions": f"{at_project}/sessions/",
        "agents": f"{at_project}/agents/",
        "signals": f"{at_project}/signals/",
        **{f"agent {tab}": f"{at_agent}/{tab}" for tab in ("", "traces/", "sessions/", "analysis/", "signals/")},
        **{f"signal {tab}": f"{at_signal}{tab}" for tab in ("", "versions/", "runs/", "edit/", "duplicate/")},
        "new signal": f"{at_project}/signals/new/",
        "label": f"{at_signal}labels/{label.pk}/",
        "catch up": f"{at_signal}catch-up/",
        "trace": at_trace,
        "span": f"{at_trace}?span={span}",
        "labels of a span": f"{at_trace}?span={span}&pane=labels",
        "session": at_session,
        "missing labels": f"{at_project}/signals/absences/traces/{trace.pk}/",
    }


def test_links_keep_the_range(client_as: Callable[[User], Client], alice: User, pages: dict[str, str]) -> None:
    browser = client_as(alice)
    seen, lost = set(), []
    for name, address in pages.items():
        response = browser.get(f"{address}{'&' if '?' in address else '?'}{RANGE}")
        assert response.status_code == 200, (name, response.status_code)
        for words, link in Page(response.text).links:
            url = urlsplit(link)
            view = _view_of(url.path)
            if view in RANGED:
                seen.add(view)
                lost += [(name, words, link)] * (RANGE not in url.query.split("&"))
    assert lost == []
    assert seen == RANGED - {"signals:version-compare"}


def _view_of(path: str) -> str:
    try:
        return resolve(path).view_name
    except Resolver404:
        return ""


def test_a_message_leads_to_its_span_in_the_list_of_the_trace(
    client_as: Callable[[User], Client], alice: User, pages: dict[str, str]
) -> None:
    browser = client_as(alice)
    trace, span = pages["trace"], hex_span_id(18)
    query = "range=7d&status=ok&pane=labels&labels=0"
    page = Page(browser.get(f"{trace}?{query}").text)
    assert {link for words, link in page.links if words == "View span"} == {f"{trace}?range=7d&status=ok&span={span}"}
    session = Page(browser.get(f"{pages['session']}?range=7d&turn=1").text)
    assert f"{trace}?range=7d&span={span}" in {link for words, link in session.links if words == "View span"}


def test_the_demo_opens_with_its_week(client_as: Callable[[User], Client], alice: User, project: Project) -> None:
    demo = Project.objects.create(name="Demo", slug="demo")
    Membership.objects.create(project=demo, user=alice, role="viewer")
    browser = client_as(alice)
    page = Page(browser.get("/p/default/sessions/").text)
    assert page.link("Demo sample data") == "/p/demo/traces/?range=7d"
    assert page.link("Explore the Demo project") == "/p/demo/sessions/?range=7d"
    own = Page(browser.get("/p/default/sessions/?range=1h").text)
    assert own.link("Demo sample data") == "/p/demo/traces/?range=1h"
