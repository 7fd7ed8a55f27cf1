"""The pages of schedules."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.test import Client

from catalyst.agents.models import Agent
from catalyst.core.models import User
from halo.choices import PausedReason, RunStatus
from halo.models import Run, Schedule
from halo.runs.requests import DEFAULT_PROMPT
from halo.schedules import writes
from tests.factories import make_channel, make_finding
from tests.halo.schedules.definitions import end, make_schedule
from tests.page import Page

pytestmark = pytest.mark.real_clock

HTMX = {"HX-Request": "true"}


def list_of(agent: Agent) -> str:
    return f"/p/default/agents/{agent.pk}/schedules/"


def sent(browser: Client, address: str, **typed: Any) -> dict[str, Any]:
    """What a browser sends of the form."""
    page = Page(browser.get(address).text)
    (form,) = [form for form in page.forms if form.element.get("id") == "schedule-form"]
    return {**form.fields, **typed}


def make(browser: Client, agent: Agent, **typed: Any) -> Page:
    address = f"{list_of(agent)}new/"
    data = sent(browser, address, **{"title": "Nightly", **typed})
    return Page(browser.post(address, data, follow=True).text)


def test_two_fields_make_a_daily_schedule(browser: Client, agent: Agent) -> None:
    page = make(browser, agent)
    schedule = Schedule.objects.get()
    assert (schedule.frequency, schedule.hours, schedule.minutes, schedule.timezone) == ("daily", [9], [0], "UTC")
    assert (schedule.lookback_hours, schedule.engine, schedule.prompt, schedule.max_depth) == (24, "", "", 2)
    assert (schedule.days_of_week, schedule.days_of_month) == ([], [])
    assert "Nightly is scheduled" in page.text
    assert "Every day at 09:00, UTC" in page.text
    assert "09:00 UTC" in page.text


def test_days_are_those_of_the_cadence(browser: Client, agent: Agent) -> None:
    make(browser, agent, frequency="weekly", days_of_week=["1", "5"], days_of_month="31", hours="9, 17")
    weekly = Schedule.objects.get()
    assert (weekly.days_of_week, weekly.days_of_month, weekly.hours) == ([1, 5], [], [9, 17])
    make(browser, agent, frequency="monthly", days_of_week=["1"], days_of_month="1 31")
    monthly = Schedule.objects.latest("pk")
    assert (monthly.days_of_week, monthly.days_of_month) == ([], [1, 31])
    make(browser, agent, frequency="hourly", hours="", minutes="5,35")
    assert Schedule.objects.latest("pk").hours == []


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ({"title": ""}, "Enter a value"),
        ({"hours": "nine"}, "Enter whole numbers with commas between them"),
        ({"hours": "24"}, "Use numbers from 0 to 23"),
        ({"hours": ""}, "Choose at least one hour"),
        ({"minutes": "0, 2"}, "5 minutes apart"),
        ({"frequency": "weekly", "days_of_week": []}, "Choose at least one day"),
        ({"frequency": "monthly", "days_of_month": "32"}, "Use numbers from 1 to 31"),
        ({"timezone": "Mars"}, "such as Europe/Berlin"),
        ({"lookback_hours": "721"}, "from 1 to 720"),
        ({"focus": "attribute=a"}, "has no value"),
        ({"max_turns": "2"}, "from 3 to 100"),
        ({"engine": "model"}, "Choose one of the options"),
    ],
)
def test_it_says_what_is_wrong_and_keeps_what_was_typed(
    browser: Client, agent: Agent, typed: dict[str, Any], text: str
) -> None:
    page = make(browser, agent, prompt="Why so slow?", **typed)
    assert "Not saved." in page.text
    assert text in page.text
    assert "Why so slow?" in page.text
    assert not Schedule.objects.exists()


def test_a_form_shows_the_next_three_times_at_once(browser: Client, agent: Agent, now: datetime) -> None:
    assert Page(browser.get(f"{list_of(agent)}new/").text).text.count("09:00 UTC") >= 3
    schedule = make_schedule(agent, now=now, hours=[7], timezone="Asia/Tokyo")
    assert Page(browser.get(f"/p/default/schedules/{schedule.pk}/edit/").text).text.count("07:00 JST") == 3


def test_it_shows_the_next_three_times_while_somebody_types(browser: Client, agent: Agent) -> None:
    address = f"{list_of(agent)}new/"
    typed = sent(browser, address, hours="9", timezone="Asia/Tokyo", then="times")
    shown = browser.post(address, typed, headers=HTMX)
    page = Page(shown.text)
    assert shown.status_code == 200
    assert "Every day at 09:00" in page.text
    assert page.text.count("09:00 JST") == 3
    assert page.text.count("00:00 UTC") == 3
    assert "<form" not in shown.text
    assert not Schedule.objects.exists()


def test_without_javascript_a_button_shows_them_with_the_form(browser: Client, agent: Agent) -> None:
    address = f"{list_of(agent)}new/"
    shown = browser.post(address, sent(browser, address, hours="9", title="Mine", then="times"))
    page = Page(shown.text)
    assert shown.status_code == 200
    assert page.text.count("09:00 UTC") >= 3
    assert sent_title(page) == "Mine"


def sent_title(page: Page) -> object:
    (form,) = [form for form in page.forms if form.element.get("id") == "schedule-form"]
    return form.filled["title"]


def test_wrong_times_are_named(browser: Client, agent: Agent) -> None:
    address = f"{list_of(agent)}new/"
    shown = browser.post(address, sent(browser, address, hours="25", then="times"), headers=HTMX)
    assert "Hours: Use numbers from 0 to 23." in Page(shown.text).text


def test_a_schedule_reads_back_in_its_form(browser: Client, agent: Agent, now: datetime) -> None:
    channel = make_channel(agent.project, now=now)
    about: dict[str, Any] = {"frequency": "weekly", "days_of_week": [0, 6], "minutes": [0, 30], "lookback_hours": 24}
    schedule = make_schedule(
        agent, now=now, timezone="Asia/Tokyo", engine="rules", prompt="Why?", channels=[channel.pk], **about
    )
    before = writes.Definition.of(schedule)
    address = f"/p/default/schedules/{schedule.pk}/edit/"
    page = Page(browser.post(address, sent(browser, address), follow=True).text)
    assert "Nightly is saved" in page.text
    assert writes.Definition.of(Schedule.objects.get()) == before


def test_the_lookback_follows_the_cadence_unless_it_was_chosen(browser: Client, agent: Agent, now: datetime) -> None:
    schedule = make_schedule(agent, now=now)
    address = f"/p/default/schedules/{schedule.pk}/edit/"
    typed = sent(browser, address, frequency="hourly")
    assert (typed.get("lookback_hours"), typed["prompt"]) == (None, [DEFAULT_PROMPT])
    browser.post(address, typed)
    assert Schedule.objects.get().lookback_hours == 1


def test_the_list_says_how_each_goes(browser: Client, agent: Agent, now: datetime) -> None:
    schedule = make_schedule(agent, now=now)
    end(writes.run_now(schedule, now), now, RunStatus.FAILED)
    paused = make_schedule(agent, now=now, title="Weekly", frequency="weekly", days_of_week=[1])
    writes.pause(paused, PausedReason.FAILED, "3 reports in a row failed.")
    writes.archive(make_schedule(agent, now=now, title="Gone"), now)
    table = Page(browser.get(list_of(agent)).text).table()
    assert table.columns == ["Schedule", "State", "When", "Next", "Last report"]
    first, second = (table.row(number).cells for number in (1, 2))
    assert first[:2] == ["Weekly", "Paused Its reports failed"]
    assert first[3:] == ["Next none", "Last report none"]
    assert second[0] == schedule.title
    assert second[2] == "Every day at 09:00 UTC"
    assert second[4].startswith("Last report Failed")
    archived = Page(browser.get(f"{list_of(agent)}?archived=1").text).table()
    assert [row.cells[0] for row in archived.rows] == ["Gone"]


def test_its_page_lists_its_reports(browser: Client, agent: Agent, now: datetime) -> None:
    schedule = make_schedule(agent, now=now)
    run = writes.run_now(schedule, now)
    make_finding(run, severity="high")
    end(run, now, news_count=1)
    page = Page(browser.get(schedule.get_absolute_url()).text)
    table = page.table("Reports")
    assert len(table.rows) == 1
    assert table.row(1).cells[1:4] == ["Completed", "1 high", "1"]


@pytest.mark.parametrize(
    ("button", "state"),
    [("Disable", "disabled"), ("Archive", "archived"), ("Unarchive", "enabled"), ("Enable", "enabled")],
)
def test_buttons_change_its_state(browser: Client, agent: Agent, now: datetime, button: str, state: str) -> None:
    schedule = make_schedule(agent, now=now)
    if button == "Unarchive":
        writes.archive(schedule, now)
    if button == "Enable":
        writes.disable(schedule, now)
    page = Page(browser.get(schedule.get_absolute_url()).text)
    form = page.form(f"/{button.lower()}/")
    after = Page(browser.post(form.action, form.filled, follow=True).text)
    assert Schedule.objects.get().state == state
    assert f"Nightly is {button.lower()}d" in after.text


def test_run_now_leads_to_the_report(browser: Client, agent: Agent, now: datetime) -> None:
    schedule = make_schedule(agent, now=now)
    address = f"/p/default/schedules/{schedule.pk}/run/"
    page = Page(browser.post(address, follow=True).text)
    assert Run.objects.get().schedule == schedule
    assert "Nightly" in page.headings
    assert "still under way" in Page(browser.post(address, follow=True).text).text


def test_a_pause_says_why(browser: Client, agent: Agent, now: datetime) -> None:
    schedule = make_schedule(agent, now=now)
    writes.pause(schedule, PausedReason.AGENT_NOT_FOUND, "support-bot has no traces any more.")
    page = Page(browser.get(schedule.get_absolute_url()).text)
    assert "support-bot has no traces any more. Enable it" in page.text


def test_a_viewer_looks_only(client_as: Callable[[User], Client], viewer: User, agent: Agent, now: datetime) -> None:
    schedule = make_schedule(agent, now=now)
    browser = client_as(viewer)
    page = Page(browser.get(schedule.get_absolute_url()).text)
    assert "Run now" not in page.text
    assert "New schedule" not in Page(browser.get(list_of(agent)).text).text
    assert browser.get(f"{list_of(agent)}new/").status_code == 403


def test_more_schedules_need_no_more_queries(
    browser: Client, agent: Agent, now: datetime, django_assert_max_num_queries: Any
) -> None:
    for _ in range(12):
        make_schedule(agent, now=now)
    with django_assert_max_num_queries(22):
        assert browser.get(list_of(agent)).status_code == 200


def test_the_tab_of_the_agent_leads_there(browser: Client, agent: Agent) -> None:
    page = Page(browser.get(f"/p/default/agents/{agent.pk}/analysis/").text)
    assert page.link("Schedules").startswith(list_of(agent))
