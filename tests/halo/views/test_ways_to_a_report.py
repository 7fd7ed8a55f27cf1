"""Pages of traces and signals lead to the form of a report with what they show."""

from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import urlencode

import pytest
from django.test import Client

from catalyst.agents.models import Agent
from catalyst.core.models import Project, User
from tests.factories import give, make_labels, make_signal, make_trace_rows
from tests.halo.views.conftest import tab_of
from tests.page import Page

pytestmark = pytest.mark.real_clock

DAY = timedelta(days=1)


def test_the_filter_of_a_list_becomes_the_focus(browser: Client, agent: Agent, project: Project, now: datetime) -> None:
    make_trace_rows(project, range(1, 4), now=now - timedelta(hours=1))
    query = f"?agent={agent.pk}&status=ok&model=gpt-4o-mini&sort=-cost&range=7d"
    listed = Page(browser.get(f"/p/default/traces/{query}").text)
    address = listed.main.link("Analyze these traces")
    page = Page(browser.get(address).text)
    assert page.main.link("Remove filter status is ok") == "?model=gpt-4o-mini&range=7d"
    assert page.choice("Window").chosen == ["The last 7 days"]
    on_tab = Page(browser.get(f"/p/default/agents/{agent.pk}/traces/?status=error&range=7d").text)
    assert on_tab.main.link("Analyze these traces") == f"{tab_of(agent)}new/?status=error&range=7d"
    assert not Page(browser.get("/p/default/traces/?range=7d").text).main.has_link("Analyze these traces")


def test_a_signal_leads_to_a_report_on_what_it_flagged(
    browser: Client, agent: Agent, project: Project, now: datetime
) -> None:
    signal = make_signal(agent, labels=["fine", "refused"], active_since=now - DAY)
    make_labels(signal, project, 3, now=now - timedelta(hours=1))
    give(signal, "fine", now=now)
    page = Page(browser.get(f"{signal.get_absolute_url()}?range=7d").text)
    assert not any(words.startswith("Analyze") for words, _ in page.main.links)
    give(signal, "refused", now=now, trace_id__in=[project.traces.order_by("pk")[0].trace_id])
    address = Page(browser.get(f"{signal.get_absolute_url()}?range=7d").text).main.link("Analyze “refused”")
    query = f"?{urlencode({'range': '7d', 'label': f'{signal.pk}:refused'})}"
    assert address == f"{tab_of(agent)}new/{query}"
    assert "Refund wanted is refused" in Page(browser.get(address).text).region("Only traces with").text


def test_viewers_are_not_led_there(
    client_as: Callable[[User], Client], viewer: User, agent: Agent, project: Project, now: datetime
) -> None:
    make_trace_rows(project, [1], now=now)
    for address in (f"/p/default/traces/?agent={agent.pk}", f"/p/default/agents/{agent.pk}/traces/"):
        assert not Page(client_as(viewer).get(address).text).main.has_link("Analyze these traces")
