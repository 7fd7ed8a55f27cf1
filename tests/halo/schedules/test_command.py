"""`manage.py halo schedule`."""

import io
import json
from datetime import datetime
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from catalyst.agents.models import Agent
from catalyst.core.models import Project
from halo.choices import RunStatus
from halo.models import Run, Schedule
from tests.factories import make_agent
from tests.halo.schedules.definitions import end, make_schedule

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent(project: Project) -> Agent:
    return make_agent(project)


def command(*words: object) -> str:
    out = io.StringIO()
    call_command("halo", "schedule", *map(str, words), stdout=out)
    return out.getvalue()


def record(*words: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(command(*words, "--json"))
    return found


def create(agent: Agent, *words: object) -> dict[str, Any]:
    return record("create", "--title", "Nightly", "--agent", agent.identity, *words)


def test_it_takes_the_options_of_the_public_client(agent: Agent) -> None:
    words = ("--frequency", "weekly", "--hours", "9,17", "--minutes", "0", "--minutes", "30")
    made = create(agent, *words, "--days-of-week", "1,5", "--timezone", "Europe/Berlin", "--span-limit", 500)
    assert (made["hours"], made["minutes"], made["days_of_week"], made["span_limit"]) == ([9, 17], [0, 30], [1, 5], 500)
    assert made["when"] == "Mondays and Fridays at 09:00, 09:30, 17:00 and 17:30"
    assert (made["state"], made["lookback_hours"], made["max_depth"], made["engine"]) == ("enabled", 168, 2, None)
    assert len(made["next_run_times"]) == 3
    assert made["next_run_times"][0] == made["next_run_at"]
    assert Schedule.objects.get().created_by_name == "Catalyst"


def test_it_makes_a_disabled_one(agent: Agent) -> None:
    made = create(agent, "--frequency", "hourly", "--no-enabled")
    assert (made["state"], made["next_run_at"], made["next_run_times"]) == ("disabled", None, [])


def test_it_lists_what_is_not_archived(agent: Agent, now: datetime) -> None:
    make_schedule(agent, now=now, title="Nightly")
    old = make_schedule(agent, now=now, title="Old")
    record("archive", old.pk)
    assert "Nightly" in command("list")
    assert "Every day at 09:00" in command("list")
    assert "Old" not in command("list")
    assert "Old" in command("list", "--include-archived")


def test_an_update_keeps_what_is_not_given(agent: Agent) -> None:
    made = create(
        agent, "--frequency", "weekly", "--days-of-week", 1, "--hours", 9, "--budget-usd", 2, "--prompt", "Why?"
    )
    kept = record("update", made["id"], "--title", "Renamed")
    assert (kept["title"], kept["days_of_week"], kept["prompt"], kept["budget_usd"]) == ("Renamed", [1], "Why?", "2")
    daily = record("update", made["id"], "--frequency", "daily")
    assert (daily["days_of_week"], daily["hours"], daily["lookback_hours"]) == ([], [9], 24)


def test_null_takes_a_limit_away(agent: Agent, tmp_path: Any) -> None:
    made = create(agent, "--frequency", "hourly", "--budget-usd", 2)
    (tmp_path / "input.json").write_text('{"budget_usd": null, "span_limit": null}')
    changed = record("update", made["id"], "--input", tmp_path / "input.json")
    assert (changed["budget_usd"], changed["span_limit"]) == (None, 10_000)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--frequency", "daily"), "--hour: Choose at least one hour."),
        (("--frequency", "daily", "--hours", "9,x"), "--hour"),
        (("--frequency", "daily", "--hours", 9, "--days-of-week", 1), "Only a weekly schedule has these days"),
        (("--frequency", "hourly", "--channel", 7), "no such channel"),
    ],
)
def test_it_names_the_option_that_is_wrong(agent: Agent, words: tuple[object, ...], text: str) -> None:
    with pytest.raises(CommandError, match=text):
        create(agent, *words)


def test_it_runs_now_and_lists_its_reports(agent: Agent, now: datetime) -> None:
    schedule = make_schedule(agent, now=now)
    started = record("run-now", schedule.pk, "--from", "2026-11-01T00:00", "--to", "2026-11-02T00:00")
    assert (started["origin"], started["window_start"]) == ("manual_schedule", "2026-11-01T00:00:00+00:00")
    with pytest.raises(CommandError, match="still under way"):
        record("run-now", schedule.pk)
    end(Run.objects.get(), now, RunStatus.FAILED)
    record("run-now", schedule.pk)
    listed = record("runs", schedule.pk)["items"]
    assert [row["id"] for row in listed][1] == started["id"]
    assert record("show", schedule.pk)["last_run_id"] == listed[0]["id"]


def test_it_changes_the_state(agent: Agent, now: datetime) -> None:
    schedule = make_schedule(agent, now=now)
    states = [record(verb, schedule.pk)["state"] for verb in ("disable", "enable", "archive", "unarchive")]
    assert states == ["disabled", "enabled", "archived", "enabled"]
    with pytest.raises(CommandError, match="halo schedule list"):
        record("show", 999_999)
