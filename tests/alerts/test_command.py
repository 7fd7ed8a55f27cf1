"""`manage.py alerts`, with the options of the public command line client."""

import io
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.core.management.base import CommandError

from catalyst.core.models import Project
from signals.models import SettledMinute, Signal, SignalVersion
from tests.factories import make_agent, make_signal

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

DAY = timedelta(days=1)
PREDICATE = (
    *("--metric", "value_share", "--string-label", "failed", "--operator", "gte", "--threshold", "0.3"),
    *("--window", "1h", "--comparison", "absolute", "--min-label-count", "30", "--cooldown", "60"),
)
SLACK = ("--slack-channel-id", "C1", "--slack-channel-name", "#ops")


@pytest.fixture(autouse=True)
def _at(now: datetime) -> Iterator[None]:
    """The time of the test is the command's."""
    with time_machine.travel(now, tick=False):
        yield


@pytest.fixture
def signal(project: Project) -> Signal:
    return make_signal(make_agent(project), labels=("done", "failed"))


def run(*given: object) -> str:
    """What it prints."""
    out = io.StringIO()
    call_command("alerts", *map(str, given), stdout=out, stderr=io.StringIO())
    return out.getvalue()


def record(*given: object) -> Any:
    return json.loads(run(*given, "--json"))


def test_it_takes_the_options_of_the_client(signal: Signal) -> None:
    made = record("create", "--signal-id", signal.pk, "--name", "Failed", *PREDICATE, *SLACK)
    assert (
        made
        | {
            "signalId": str(signal.pk),
            "metric": "value_share",
            "stringLabel": "failed",
            "operator": "gte",
            "threshold": 0.3,
            "window": "1h",
            "comparison": "absolute",
            "minLabelCount": 30,
            "cooldownMinutes": 60,
            "slackChannelId": "C1",
            "slackChannelName": "#ops",
        }
        == made
    )
    edited = record("edit", made["id"], "--signal-id", signal.pk, "--name", "Failed", *PREDICATE, "--threshold", "0.5")
    assert (edited["threshold"], edited["slackChannelId"]) == (0.5, None)
    assert record("state", made["id"], "--signal-id", signal.pk)["enabled"] is True
    assert record("events", made["id"], "--signal-id", signal.pk, "--limit", "200")["items"] == []
    assert record("archive", made["id"], "--signal-id", signal.pk)["archivedAt"] == "2026-11-20T12:00:00.000Z"


def test_it_shows_tables_and_rules_in_words(signal: Signal) -> None:
    made = record("create", "--signal-id", signal.pk, "--name", "Failed", *PREDICATE)
    table = run("list", "--state", "ok")
    assert "Failed" in table
    assert "at least 30% of the labels of an hour are “failed”" in table
    assert "muted" not in run("show", made["id"]).lower()
    assert "2026-11-20T14:00:00.000Z" in run("mute", made["id"], "--until", "2026-11-20T14:00")


def test_it_names_the_flag_that_is_wrong(signal: Signal) -> None:
    with pytest.raises(CommandError, match=r"--threshold: A share is from 0 to 1: 0\.3 is 30%"):
        run("create", "--signal-id", signal.pk, "--name", "Failed", *PREDICATE, "--threshold", "30")
    with pytest.raises(CommandError, match="--signal-id: This is required"):
        run("create", "--name", "Failed", *PREDICATE)


def test_it_backtests_a_rule(signal: Signal, now: datetime) -> None:
    SignalVersion.objects.update(created_at=now - 10 * DAY)
    about: dict[str, Any] = {"version_id": signal.current_version_id, "is_live": True, "outcome": "done"}
    rows = [SettledMinute(**about, minute=now - 2 * DAY, value=value, count=40) for value in ("done", "failed")]
    SettledMinute.objects.bulk_create(rows)
    found = record("backtest", "--signal-id", signal.pk, *PREDICATE, "--lookback-days", "7")
    assert (found["firingCount"], found["suggestedThreshold"], found["heldByMinimum"]) == (1, 0.5, 0)
    assert found["firings"] == [
        {"firedAt": "2026-11-18T12:01:00.000Z", "resolvedAt": "2026-11-18T13:06:00.000Z", "peakValue": 0.5}
    ]
    with pytest.raises(CommandError, match="--lookback-days"):
        run("backtest", "--signal-id", signal.pk, *PREDICATE, "--lookback-days", "31")
