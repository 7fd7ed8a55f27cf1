"""Pages refuse long query strings, because each of their links repeats the query."""

import gzip
import random
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.test import Client

from catalyst.core.models import Project, User
from catalyst.core.query_limit import MAX_QUERY_BYTES
from tests.factories import make_agent, make_labels, make_signal
from tests.page import Page

TRACES = "/p/default/traces/"
LONGEST = "x=" + "".join(random.Random(1).choices("0123456789abcdefghijklmnopqrstuvwxyz", k=MAX_QUERY_BYTES - 2))

pytestmark = pytest.mark.real_clock


@pytest.fixture
def browser(client_as: Callable[[User], Client], bob: User) -> Client:
    """A member's browser."""
    return client_as(bob)


@pytest.fixture
def pages(project: Project, now: datetime) -> list[str]:
    """Pages with many links, of a project with traffic."""
    agents = [make_agent(project, f"bot {number}") for number in range(10)]
    signals = [make_signal(agent, active_since=now - timedelta(days=1)) for agent in [make_agent(project), *agents]]
    make_labels(signals[0], project, 35, now=now)
    agent = f"/p/default/agents/{signals[0].agent_id}/"
    lists = [f"/p/default/{name}/" for name in ("traces", "agents", "sessions", "signals")]
    return [*lists, agent, f"{agent}traces/", f"{agent}signals/", signals[0].get_absolute_url()]


def weight(browser: Client, url: str) -> tuple[int, int]:
    """Bytes of a page, and of what is sent."""
    response = browser.get(url, headers={"Accept-Encoding": "gzip"})
    assert response.status_code == 200
    return len(gzip.decompress(response.content)), len(response.content)


def test_it_refuses_a_long_query_and_says_what_to_do(browser: Client, project: Project) -> None:
    assert browser.get(f"{TRACES}?{LONGEST}").status_code == 200
    response = browser.get(f"{TRACES}?{LONGEST}0")
    assert response.status_code == 414
    page = Page(response.text)
    assert page.headings == ["This address is too long"]
    assert page.link("Open the page without filters") == TRACES
    assert len(response.content) < 10_000


def test_it_refuses_it_everywhere(client_as: Callable[[User], Client], project: Project) -> None:
    operator = client_as(User.objects.create_superuser("operator"))
    for url in ("/profile/", "/operator/", "/admin/core/auditentry/", "/p/default/nothing/"):
        assert operator.get(f"{url}?{LONGEST}0").status_code in (404, 414), url
    assert operator.post(f"/profile/?{LONGEST}0").status_code == 414


def test_who_is_signed_out_signs_in_and_learns_it_then(client: Client, project: Project) -> None:
    asked = client.get(f"{TRACES}?{LONGEST}0")
    assert asked.status_code == 302
    response = client.get(asked.headers["Location"])
    assert response.status_code == 200
    assert len(response.content) < 10_000 + 4 * len(asked.headers["Location"])


def test_a_page_grows_little_by_the_longest_query(browser: Client, pages: list[str]) -> None:
    for url in pages:
        (whole, sent), (whole_long, sent_long) = weight(browser, url), weight(browser, f"{url}?{LONGEST}")
        assert sent_long - sent < 2 * MAX_QUERY_BYTES, url
        assert whole_long - whole < 100 * MAX_QUERY_BYTES, url
