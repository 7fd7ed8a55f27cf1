"""The Signals page."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalyst.core.models import Project, User
from catalyst.llms.amounts import Cap
from catalyst.llms.endpoints import endpoint
from catalyst.llms.models import Budget, JudgeHealth
from signals import operations
from signals.definitions import definition
from signals.definitions.templates import TEMPLATES
from signals.models import Label
from signals.views import signal_list
from tests.factories import make_agent, make_label, make_signal
from tests.judge_server import JudgeServer
from tests.page import Page

pytestmark = pytest.mark.real_clock

MINUTE = timedelta(minutes=1)
PAGE = "/p/default/signals/"
HTMX = {"HX-Request": "true", "HX-Target": "signal-rows"}


def marks_of_versions(browser: Client) -> list[str]:
    """The versions that gave labels, as the page marks them."""
    return [mark.text for mark in Page(browser.get(PAGE).text).all(".//span[starts-with(@title, 'Labels of ')]")]


def test_it_teaches_what_a_signal_is(browser: Client, project: Project) -> None:
    page = Page(browser.get(PAGE).text)
    assert "Create your first signal" in page.headings
    assert "no trace in Default has named one yet" in page.text
    assert not [address for _, address in page.links if "/signals/new/" in address]
    make_agent(project)
    addresses = {address for _, address in Page(browser.get(PAGE).text).links}
    assert {f"{PAGE}new/?template={template.key}" for template in TEMPLATES.values()} <= addresses


def test_it_shows_what_every_signal_found(browser: Client, project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), name="Refund <wanted>", active_since=now, sample_rate=50)
    make_signal(make_agent(project), name="Quiet one")
    operations.publish_version(signal, definition.Definition(type="binary", prompt="Now?", sample_rate=100))
    signal.refresh_from_db()
    for number, value in enumerate(("yes", "no", "no"), start=1):
        make_label(signal, number, now=now, value=value)
    make_label(signal, 4, now=now, status="failed", error="No valid answer.")
    make_label(signal, 5, now=now)
    page = Page(browser.get(PAGE).text)
    (row,) = (row for row in page.table().rows if row.has_link("Refund <wanted>"))
    for fact in ("support-bot", "v2", "yes 33.3%", "3 labels", "1 pending", "1 failed"):
        assert fact in row.text
    assert row.region("yes 1, no 2")
    assert "Not running yet" in page.text


def test_it_tells_the_keyboard_which_limit_holds_labels_back(browser: Client, project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), active_since=now)
    operations.cap_signal(signal, Cap(calls=1), now)
    Budget.objects.filter(subject_id=signal.pk).update(calls=1, day=now.date())
    marks = Page(browser.get(PAGE).text).table().all(".//*[@title and @tabindex='0']")
    (mark,) = [each for each in marks if each.text.startswith("Paused")]
    assert "call limit of 1 judge call a day is reached" in mark.attribute("title")


def test_it_says_which_versions_gave_the_labels(browser: Client, project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), active_since=now)
    make_label(signal, 1, now=now, value="yes")
    make_label(signal, 2, now=now, value="no")
    beside = "/p/default/agents/"
    assert marks_of_versions(browser) == []
    operations.publish_version(signal, definition.Definition(type="binary", prompt="Now?", sample_rate=100))
    assert marks_of_versions(browser) == ["version 1"]
    assert "yes 50.0% (labels of version 1)" in Page(browser.get(beside).text).text
    signal.refresh_from_db()
    make_label(signal, 3, now=now, value="no")
    assert marks_of_versions(browser) == ["versions 1 and 2"]
    assert Page(browser.get(PAGE).text).region("yes 1, no 2")


def test_it_counts_the_chosen_range_only(browser: Client, project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), active_since=now - timedelta(days=9))
    make_label(signal, now=now - timedelta(days=5), value="yes")
    assert Page(browser.get(PAGE).text).table().row(1)["Share of labels"] == "No labels in this range"
    assert Page(browser.get(f"{PAGE}?range=7d").text).table().row(1)["Share of labels"].endswith("yes 100%")


def test_it_hides_archived_signals_and_shows_them_when_asked(browser: Client, project: Project, now: datetime) -> None:
    make_signal(make_agent(project), name="Kept")
    operations.archive(make_signal(make_agent(project), name="Put away"), now)
    page = Page(browser.get(PAGE).text)
    assert [row.links[0][0] for row in page.table().rows] == ["Kept"]
    page = Page(browser.get(PAGE + page.link("1 archived")).text)
    assert [row.links[0][0] for row in page.table().rows] == ["Put away"]


def test_it_says_when_all_signals_are_archived(browser: Client, project: Project, now: datetime) -> None:
    operations.archive(make_signal(make_agent(project)), now)
    assert "All signals are archived" in Page(browser.get(PAGE).text).headings


def test_it_polls_its_rows_often_while_labels_wait_and_seldom_while_more_may_come(
    browser: Client, project: Project, now: datetime
) -> None:
    signal = make_signal(make_agent(project), active_since=now)
    label = make_label(signal, now=now)
    assert Page(browser.get(PAGE).text).polls == ["5s"]
    fragment = browser.get(PAGE, headers=HTMX)
    assert fragment.status_code == 200
    assert not Page(fragment.text).is_whole
    Label.objects.filter(pk=label.pk).update(status="done", value="no", labelled_at=now)
    fragment = browser.get(PAGE, headers=HTMX)
    assert fragment.status_code == 200
    assert Page(fragment.text).polls == ["30s"]
    operations.disable(signal, now)
    assert browser.get(PAGE, headers=HTMX).status_code == 286
    assert Page(browser.get(PAGE).text).polls == []


def test_it_takes_no_post(browser: Client) -> None:
    assert browser.post(PAGE).status_code == 405


def test_it_shows_nothing_to_outsiders(client_as: Callable[[User], Client], charlie: User, project: Project) -> None:
    make_signal(make_agent(project))
    assert client_as(charlie).get(PAGE).status_code == 404


def test_it_shows_nothing_of_other_projects(browser: Client, other_project: Project) -> None:
    make_signal(make_agent(other_project), name="Foreign")
    assert "Foreign" not in browser.get(PAGE).text


def test_it_lets_viewers_look(client_as: Callable[[User], Client], viewer: User, project: Project) -> None:
    assert "Viewers can't create signals" in Page(client_as(viewer).get(PAGE).text).text
    make_signal(make_agent(project))
    page = Page(client_as(viewer).get(PAGE).text)
    assert page.has_link("Refund wanted")
    assert not page.has_link("New signal")


def test_it_says_which_judges_do_not_answer(
    browser: Client, project: Project, judge: JudgeServer, now: datetime
) -> None:
    agent = make_agent(project)
    make_signal(agent, name="Silent", active_since=now)
    make_signal(agent, name="Answered", active_since=now, judge_model="judge-2")
    make_signal(agent, name="Draft")
    assert "no labels." not in Page(browser.get(PAGE).text).text
    JudgeHealth.objects.create(url=endpoint(), model="judge-1", failures=2, error="It asks to slow <down>.")
    page = Page(browser.get(PAGE).text)
    said = "1 active signal gets no labels. judge-1 does not answer: It asks to slow <down>. Labels stay pending."
    assert page.text.count(said) == 1
    marks = Page(browser.get(f"/p/default/agents/{agent.pk}/signals/").text).all("//*[@title]")
    titles = [mark.attribute("title") for mark in marks if mark.text == "Judge does not answer"]
    assert titles == ["judge-1 does not answer: It asks to slow <down>."]


def test_it_says_where_no_model_is_connected(browser: Client, project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), active_since=now)
    page = Page(browser.get(PAGE).text)
    assert page.table().row(1)["State"] == "ActiveNo judge"
    assert "1 active signal gets no labels. No model is connected. Labels fail." in page.text
    operations.archive(signal, now)
    assert Page(browser.get(f"{PAGE}?archived=").text).table().row(1)["State"] == "Archived"


def test_each_number_of_a_row_leads_to_the_rows_that_it_counts(
    browser: Client, project: Project, now: datetime
) -> None:
    signal = make_signal(make_agent(project), active_since=now)
    for number, status in enumerate(("done", "done", "done", "failed", "failed", "queued"), start=1):
        make_label(signal, number, now=now, value="yes" if status == "done" else "", status=status)
    row = Page(browser.get(f"{PAGE}?range=7d&sort=failed").text).table().row(1)
    numbers = [(words.split()[0], href) for words, href in row.links[1:]]
    assert [count for count, _ in numbers] == ["3", "1", "2"]
    for count, href in numbers:
        assert "range=7d" in href
        assert len(Page(browser.get(href).text).rows) == int(count)


def test_its_sums_lead_to_the_signals_that_they_count(browser: Client, project: Project, now: datetime) -> None:
    agent = make_agent(project)
    for name, status in (("Failed", "failed"), ("Waits", "queued"), ("Fine", "done")):
        signal = make_signal(agent, name=name, active_since=None if name == "Fine" else now)
        make_label(signal, now=now, value="yes" if status == "done" else "", status=status)
    page = Page(browser.get(PAGE).text)

    def names(link: str) -> list[str]:
        links = [*page.part("totals").links, *((name, href) for name, href in page.links if name.startswith("List "))]
        shown = Page(browser.get(PAGE + dict(links)[link]).text)
        assert shown.has_link("Clear filters")
        return [row.links[0][0] for row in shown.rows]

    assert names("1 failed") == ["Failed"]
    assert names("1 pending") == ["Waits"]
    assert names("List the 2 signals without a judge") == ["Failed", "Waits"]
    assert [row["State"] for row in page.table().rows] == ["ActiveNo judge", "Draft", "ActiveNo judge"]


def test_it_offers_archived_signals_as_a_state(browser: Client, project: Project, now: datetime) -> None:
    make_signal(make_agent(project), name="Kept")
    operations.archive(make_signal(make_agent(project), name="Put away"), now)
    page = Page(browser.get(f"{PAGE}?state=archived").text)
    assert [row.links[0][0] for row in page.rows] == ["Put away"]
    assert page.choice("State").chosen == ["Archived"]


def test_it_filters_by_name_state_agent_and_scope(browser: Client, project: Project, now: datetime) -> None:
    agent, other = make_agent(project), make_agent(project, "sales-bot")
    make_signal(agent, name="Refund 100% <wanted>", active_since=now)
    make_signal(other, name="Rude", scope="session")

    def names(query: str) -> list[str]:
        rows = Page(browser.get(f"{PAGE}?{query}").text).rows
        return [row.links[0][0].split()[0] for row in rows]

    assert names("q=REFUND 100%25") == names("state=active") == names("scope=trace") == ["Refund"]
    assert names(f"agent={other.pk}") == names("state=draft") == names("scope=session") == ["Rude"]
    assert names("q=nothing") == names(f"agent={other.pk}&scope=trace") == []
    assert names("state=nonsense&scope=nonsense&agent=x&sort=nonsense") == ["Refund", "Rude"]
    assert "No signals match" in Page(browser.get(f"{PAGE}?q=%00nothing").text).headings


def test_it_sorts_by_any_figure_the_most_first(browser: Client, project: Project, now: datetime) -> None:
    first, second = (make_signal(make_agent(project, name), name=name, active_since=now) for name in ("A1", "B1"))
    make_label(first, now=now)
    make_label(second, 1, now=now, value="yes")
    make_label(second, 2, now=now, value="no")
    make_label(second, 3, now=now, status="failed", cost="0.5")
    make_label(second, 4, now=now)

    def order(sort: str) -> list[str]:
        page = Page(browser.get(f"{PAGE}?sort={sort}").text)
        return [row.links[0][0] for row in page.table().rows]

    assert order("name") == order("nonsense") == ["A1", "B1"]
    for sort in ("volume", "failed", "cost", "last"):
        assert order(sort) == ["B1", "A1"]
    assert Page(browser.get(PAGE).text).table().row(2)["Cost"] == "$0.500"


def test_it_shows_how_the_telling_label_went(browser: Client, project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), active_since=now)
    make_label(signal, 1, now=now, value="yes")
    make_label(signal, 2, now=now, value="no")
    assert Page(browser.get(PAGE).text).region("yes over time")


def test_it_shows_only_so_many_signals(
    browser: Client, project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal_list, "MAX_SELECTED", 2)
    for name in ("A1", "B1", "C1"):
        make_signal(make_agent(project), name=name)
    page = Page(browser.get(PAGE).text)
    assert page.has_link("B1")
    assert not page.has_link("C1")
    assert "Only the first 2 by name are shown" in page.text
    assert Page(browser.get(f"{PAGE}?q=c").text).has_link("C1")


def test_it_changes_many_at_once(browser: Client, project: Project, now: datetime) -> None:
    signals = [make_signal(make_agent(project), name=f"Signal {number}") for number in range(3)]
    chosen = [signal.pk for signal in signals[:2]]
    done = browser.post(f"{PAGE}bulk/?sort=cost", {"do": "activate", "signal": chosen}, follow=True)
    assert done.redirect_chain == [(f"{PAGE}?sort=cost", 302)]
    assert "2 signals active" in done.text
    assert [signal.state for signal in project.signals.order_by("name")] == ["active", "active", "draft"]
    browser.post(f"{PAGE}bulk/", {"do": "disable", "signal": chosen[:1]})
    assert [signal.state for signal in project.signals.order_by("name")] == ["disabled", "active", "draft"]
    asked = browser.post(f"{PAGE}bulk/", {"do": "archive", "signal": chosen})
    assert "Archive 2 signals?" in asked.text
    assert "Signal 0" in asked.text
    assert not project.signals.archived().exists()
    browser.post(f"{PAGE}bulk/", {"do": "archive", "signal": chosen, "sure": "yes"})
    assert {signal.pk for signal in project.signals.archived()} == set(chosen)


@pytest.mark.parametrize("posted", [{}, {"do": "archive"}, {"do": "nonsense", "signal": ["1"]}, {"signal": ["x"]}])
def test_it_changes_nothing_without_a_choice(
    browser: Client, project: Project, now: datetime, posted: dict[str, list[str]]
) -> None:
    make_signal(make_agent(project), active_since=now)
    page = Page(browser.post(f"{PAGE}bulk/", posted, follow=True).text)
    assert "Select at least one signal" in page.text
    assert project.signals.live().exists()


def test_it_changes_nothing_of_other_projects(browser: Client, other_project: Project) -> None:
    foreign = make_signal(make_agent(other_project))
    browser.post(f"{PAGE}bulk/", {"do": "activate", "signal": [foreign.pk]})
    foreign.refresh_from_db()
    assert foreign.state == "draft"


def test_it_offers_viewers_no_choice(client_as: Callable[[User], Client], viewer: User, project: Project) -> None:
    make_signal(make_agent(project))
    assert "Select Refund wanted" not in Page(client_as(viewer).get(PAGE).text).labels


def test_it_asks_as_often_for_many_signals_as_for_few(browser: Client, project: Project, now: datetime) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert browser.get(PAGE).status_code == 200
        return len(captured)

    signals = [make_signal(make_agent(project), name=f"Signal {number}", active_since=now) for number in range(3)]
    make_label(signals[0], 1, now=now, value="yes")
    make_label(signals[0], 2, now=now)
    few = queries()
    for number in range(10):
        make_signal(make_agent(project, f"bot {number}"), name=f"More {number}")
    assert queries() == few


def test_it_shows_the_filter_of_its_address(browser: Client, project: Project) -> None:
    agent = make_agent(project)
    make_signal(agent)
    page = Page(browser.get(f"{PAGE}?q=refund&state=draft&agent={agent.pk}&scope=turn").text)
    chosen = {name: page.choice(name).chosen for name in ("State", "Agent", "Scope")}
    assert chosen == {"State": ["Draft"], "Agent": ["support-bot"], "Scope": []}
    (search,) = page.all(".//input[@type='search' and @aria-label='Search signals']")
    assert search.attribute("value") == "refund"
    assert page.has_link("Clear filters")
