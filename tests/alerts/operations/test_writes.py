"""What people and machines do with alerts, and what is refused."""

from datetime import datetime, timedelta
from math import inf, nan
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from alerts import channel_settings, operations
from alerts.models import Alert, AlertState
from alerts.operations import Definition
from alerts.rules import Level, Problem
from catalyst.core.actor import SYSTEM, Actor
from catalyst.core.models import AuditEntry, Project, User
from signals import operations as signal_operations
from signals.models import Signal
from tests.factories import alert_definition, make_agent, make_alert, make_channel, make_event, make_signal

pytestmark = pytest.mark.django_db

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LABELS = ("done", "failed")


@pytest.fixture
def signal(project: Project) -> Signal:
    """A binary."""
    return make_signal(make_agent(project))


@pytest.fixture
def outcome(project: Project) -> Signal:
    """One with labels of its own."""
    return make_signal(make_agent(project), name="Outcome", labels=LABELS)


@pytest.fixture
def firing(signal: Signal, now: datetime) -> Alert:
    alert = make_alert(signal, now=now - DAY, cooldown_minutes=60)
    make_event(alert, now - MINUTE)
    return alert


def actions() -> list[tuple[str, str]]:
    """What the audit log has of alerts, in order."""
    return list(AuditEntry.objects.filter(kind="alert").order_by("pk").values_list("action", "detail"))


def test_it_creates_an_alert_that_looks_at_labels_from_now_on(signal: Signal, alice: User, now: datetime) -> None:
    seconds = now + timedelta(seconds=40)
    alert = operations.create_alert(signal, alert_definition(name="  Many  refunds "), seconds, Actor(alice))
    assert (alert.name, alert.agent, alert.project, alert.enabled) == (
        "Many refunds",
        signal.agent,
        signal.project,
        True,
    )
    assert (alert.created_by, alert.created_at, alert.updated_at) == (alice, seconds, seconds)
    assert (alert.state.evaluated_until, alert.state.level, alert.state.evaluated_at) == (now, Level.OK, None)
    assert actions() == [("created", "")]


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"name": " "}, "name", "Enter a name"),
    ({"name": "x" * 101}, "name", "up to 100 characters"),
    ({"metric": "latency"}, "metric", "Choose one of: label_volume"),
    ({"metric": "error_rate"}, "metric", "Metrics of a signal are: label_volume"),
    ({"metric": "value_share", "string_label": "yes"}, "metric", "only answers yes or no"),
    ({"comparison": "other"}, "comparison", "Choose one of: absolute"),
    ({"operator": "eq"}, "operator", "Choose one of: gte, lte"),
    ({"window": "2h"}, "window", "Choose one of: 5m"),
    ({"cooldown_minutes": 30}, "cooldown_minutes", "Choose one of: 0, 15"),
    ({"string_label": "yes"}, "string_label", "counts no single label"),
    ({"threshold": nan}, "threshold", "Enter a number"),
    ({"threshold": inf}, "threshold", "Enter a number"),
    ({"threshold": 30}, "threshold", "from 0 to 1"),
    ({"threshold": -0.1}, "threshold", "from 0 to 1"),
    ({"metric": "label_volume", "threshold": -1}, "threshold", "0 or more"),
    ({"metric": "label_volume", "threshold": 2e9}, "threshold", "1,000,000,000 or less"),
    ({"comparison": "pct_change", "operator": "lte", "threshold": -100}, "threshold", "above -100"),
    ({"warning": 0.4}, "warning", "below the threshold"),
    ({"warning": 0.3}, "warning", "below the threshold"),
    ({"operator": "lte", "warning": 0.2}, "warning", "above the threshold"),
    ({"warning": -1}, "warning", "from 0 to 1"),
    ({"warning": nan}, "warning", "Enter a number"),
    ({"min_label_count": -1}, "min_label_count", "from 0 to 1,000,000"),
    ({"min_label_count": 10**7}, "min_label_count", "from 0 to 1,000,000"),
    ({"slack_channel_id": "C1"}, "slack_channel_name", "both its id and its name"),
    ({"slack_channel_name": "#ops"}, "slack_channel_id", "both its id and its name"),
    ({"slack_channel_id": "C" * 41, "slack_channel_name": "#ops"}, "slack_channel_id", "at most 40"),
    ({"channels": [123456]}, "channels", "no channel 123456"),
    ({"channels": range(1, 30)}, "channels", "up to 20"),
]


@pytest.mark.parametrize(("about", "field", "text"), REFUSED)
def test_it_refuses_what_no_alert_can_be(
    signal: Signal, now: datetime, about: dict[str, Any], field: str, text: str
) -> None:
    alert = make_alert(signal, now=now, name="Stays")
    with pytest.raises(ValidationError) as created:
        operations.create_alert(signal, alert_definition(**about), now)
    with pytest.raises(ValidationError) as edited:
        operations.edit_alert(alert, alert_definition(**about), now)
    for caught in (created, edited):
        assert list(caught.value.message_dict) == [field]
        assert text in caught.value.message_dict[field][0]
    assert Alert.objects.get() == alert
    assert actions() == [("created", "")]


@pytest.mark.parametrize(
    ("about", "field", "text"),
    [
        ({"metric": "true_rate"}, "metric", "labels other than yes and no"),
        ({"metric": "value_share"}, "string_label", "Choose the label that is counted. It has: done, failed."),
        ({"metric": "value_count", "threshold": 3, "string_label": "gone"}, "string_label", "no label gone"),
    ],
)
def test_it_refuses_what_a_signal_with_labels_has_not(
    outcome: Signal, now: datetime, about: dict[str, Any], field: str, text: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        operations.create_alert(outcome, alert_definition(**about), now)
    assert list(caught.value.message_dict) == [field]
    assert text in caught.value.message_dict[field][0]


def test_it_names_all_that_is_wrong_at_once(signal: Signal, now: datetime) -> None:
    with pytest.raises(ValidationError) as caught:
        operations.create_alert(signal, alert_definition(name="", threshold=7, window="1y"), now)
    assert set(caught.value.message_dict) == {"name", "threshold", "window"}


OF_AGENTS: list[tuple[dict[str, Any], str, str]] = [
    ({"metric": "true_rate"}, "metric", "own numbers are: runs, error_rate, p95_latency, cost, tokens"),
    ({"metric": "value_share", "string_label": "failed"}, "metric", "own numbers are: runs"),
    ({"string_label": "failed"}, "string_label", "counts no single label"),
    ({"threshold": 30}, "threshold", "from 0 to 1"),
    ({"metric": "runs", "threshold": -1}, "threshold", "A number of traces is 0 or more"),
    ({"metric": "p95_latency", "threshold": -1}, "threshold", "in seconds, 0 or more"),
    ({"metric": "cost", "threshold": -0.5}, "threshold", "in US dollars, 0 or more"),
    ({"metric": "tokens", "threshold": -1}, "threshold", "A number of tokens is 0 or more"),
    ({"metric": "cost", "only_significant": True}, "only_significant", "no test of chance"),
    ({"metric": "tokens", "only_significant": True}, "only_significant", "no test of chance"),
    ({"name": ""}, "name", "Enter a name"),
    ({"channels": [123456]}, "channels", "no channel 123456"),
]


@pytest.mark.parametrize(("about", "field", "text"), OF_AGENTS)
def test_it_refuses_what_is_no_number_of_an_agent(
    project: Project, now: datetime, about: dict[str, Any], field: str, text: str
) -> None:
    agent = make_agent(project)
    alert = make_alert(agent, now=now, name="Stays")
    definition = alert_definition(**{"metric": "error_rate"} | about)
    with pytest.raises(ValidationError) as created:
        operations.create_alert(agent, definition, now)
    with pytest.raises(ValidationError) as edited:
        operations.edit_alert(alert, definition, now)
    for caught in (created, edited):
        assert list(caught.value.message_dict) == [field]
        assert text in caught.value.message_dict[field][0]
    assert Alert.objects.get() == alert


def test_an_alert_on_numbers_belongs_to_its_agent(signal: Signal, now: datetime) -> None:
    alert = make_alert(signal.agent, now=now)
    assert (alert.signal, alert.agent, alert.project, alert.noun) == (None, signal.agent, signal.project, "traces")
    with pytest.raises(ValidationError, match="already has an alert with this name"):
        make_alert(signal, now=now)
    operations.edit_alert(alert, alert_definition(metric="cost", threshold=5, name="Cost"), now)
    assert alert.sentences == ["Fires when the traces of an hour cost at least $5."]
    assert actions()[-1] == ("changed", "name, metric, threshold")


def test_an_agent_has_at_most_a_hundred_alerts_on_its_numbers(
    signal: Signal, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "MAX_ALERTS_OF_SIGNAL", 2)
    make_alert(signal, now=now)
    first, _ = (make_alert(signal.agent, now=now, name=name) for name in "ab")
    with pytest.raises(ValidationError, match="support-bot has 2 alerts"):
        make_alert(signal.agent, now=now, name="c")
    operations.archive(first, now)
    make_alert(signal.agent, now=now, name="c")
    with pytest.raises(ValidationError, match="support-bot has 2 alerts"):
        operations.unarchive(first, now)


@pytest.mark.parametrize(
    "about",
    [
        {"comparison": "pct_change", "operator": "lte", "threshold": -99.5, "warning": -50},
        {"operator": "lte", "threshold": 0.1, "warning": 0.2},
        {"metric": "label_volume", "threshold": 0, "operator": "lte"},
        {"slack_channel_id": "C1", "slack_channel_name": "#ops"},
    ],
)
def test_it_takes_what_is_just_allowed(signal: Signal, now: datetime, about: dict[str, Any]) -> None:
    assert make_alert(signal, now=now, **about).pk


def test_a_label_is_one_of_the_current_version(outcome: Signal, now: datetime) -> None:
    alert = make_alert(outcome, now=now, metric="value_share", string_label="failed")
    assert alert.sentences[0] == "Fires when at least 30% of the labels of an hour are “failed”."


def test_a_name_is_one_of_an_agent(signal: Signal, outcome: Signal, now: datetime) -> None:
    first = make_alert(signal, now=now)
    elsewhere = make_signal(make_agent(signal.project, "other-bot"))
    make_alert(elsewhere, now=now)
    with pytest.raises(ValidationError) as caught:
        make_alert(outcome, now=now, metric="label_volume")
    assert caught.value.message_dict == {"name": ["support-bot already has an alert with this name"]}
    second = make_alert(outcome, now=now, metric="label_volume", name="Other")
    with pytest.raises(ValidationError):
        operations.edit_alert(second, alert_definition(metric="label_volume"), now)
    operations.archive(first, now)
    operations.edit_alert(second, alert_definition(metric="label_volume"), now)
    operations.unarchive(first, now)
    assert (second.name, first.name) == ("Many refunds", "Many refunds (2)")


def test_a_signal_has_at_most_a_hundred_alerts(signal: Signal, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "MAX_ALERTS_OF_SIGNAL", 2)
    first, _ = (make_alert(signal, now=now, name=name) for name in "ab")
    with pytest.raises(ValidationError, match="has 2 alerts, and can't have more"):
        make_alert(signal, now=now, name="c")
    operations.archive(first, now)
    make_alert(signal, now=now, name="c")
    with pytest.raises(ValidationError, match="has 2 alerts"):
        operations.unarchive(first, now)
    assert operations.MAX_ALERTS_OF_SIGNAL == 2


def test_an_archived_signal_gets_no_alert(signal: Signal, now: datetime) -> None:
    signal_operations.archive(signal, now)
    with pytest.raises(ValidationError, match="Unarchive it first"):
        make_alert(signal, now=now)


def test_channels_are_those_of_the_project(
    signal: Signal, project: Project, other_project: Project, now: datetime
) -> None:
    own, theirs = make_channel(project, now=now), make_channel(other_project, now=now)
    deleted = make_channel(project, "Gone", now=now)
    channel_settings.delete(deleted, stops_users=True, by=SYSTEM, now=now)
    assert list(make_alert(signal, now=now, channels=[own.pk]).channels.all()) == [own]
    for each in (theirs, deleted):
        with pytest.raises(ValidationError, match=f"no channel {each.pk}"):
            make_alert(signal, now=now, name="Other", channels=[each.pk])


OF_THE_RULE = [
    {"metric": "label_volume"},
    {"comparison": "pct_change"},
    {"operator": "lte"},
    {"threshold": 0.5},
    {"warning": 0.2},
    {"window": "3h"},
    {"min_label_count": 5},
    {"only_significant": True},
]


@pytest.mark.parametrize("about", OF_THE_RULE)
def test_a_change_of_the_rule_begins_anew(firing: Alert, now: datetime, about: dict[str, Any]) -> None:
    AlertState.objects.update(
        problem=Problem.DELAYED, problem_since=now, announced=True, calm_since=now, reason="Late."
    )
    operations.edit_alert(firing, alert_definition(cooldown_minutes=60, **about), now + timedelta(seconds=30))
    state = firing.state
    assert (state.level, state.problem, state.problem_since, state.announced) == (Level.OK, "", None, False)
    assert (state.calm_since, state.value, state.labelled, state.reason) == (None, None, 0, "")
    assert (state.evaluated_until, firing.updated_at) == (now, now + timedelta(seconds=30))
    # The cooldown of the last firing goes on.
    assert state.fired_at == now - MINUTE
    assert actions()[-1] == ("changed", next(iter(about)).replace("_", " "))


@pytest.mark.parametrize("about", [{"name": "Renamed"}, {"cooldown_minutes": 15}, {"notify_no_data": True}])
def test_another_change_leaves_the_state(firing: Alert, now: datetime, about: dict[str, Any]) -> None:
    before = firing.updated_at
    operations.edit_alert(firing, alert_definition(**{"cooldown_minutes": 60, **about}), now)
    assert (firing.state.level, firing.updated_at) == (Level.FIRING, before)
    assert len(actions()) == 2


def test_channels_and_mutes_leave_the_state(firing: Alert, project: Project, now: datetime) -> None:
    channel = make_channel(project, now=now)
    operations.edit_alert(firing, alert_definition(cooldown_minutes=60, channels=[channel.pk]), now)
    operations.mute(firing, now + HOUR, now)
    assert (firing.state.level, firing.is_muted(now), firing.is_muted(now + HOUR)) == (Level.FIRING, True, False)
    operations.unmute(firing, now)
    operations.unmute(firing, now)
    assert not firing.is_muted(now)
    assert actions()[1:] == [("changed", "channels"), ("muted", "until 20 Nov 13:00 UTC"), ("unmuted", "")]


def test_an_edit_that_changes_nothing_leaves_no_trace(firing: Alert, now: datetime) -> None:
    operations.edit_alert(firing, Definition.of(firing), now)
    assert actions() == [("created", "")]


@pytest.mark.parametrize("until", [timedelta(), -HOUR, 400 * DAY])
def test_a_mute_ends_in_the_next_year(firing: Alert, now: datetime, until: timedelta) -> None:
    with pytest.raises(ValidationError, match="in the next 366 days"):
        operations.mute(firing, now + until, now)


def test_what_was_off_begins_anew(firing: Alert, now: datetime) -> None:
    operations.disable(firing, now)
    assert firing.status(now) == "disabled"
    operations.enable(firing, now + HOUR)
    assert (firing.state.level, firing.state.evaluated_until) == (Level.OK, now + HOUR)
    operations.archive(firing, now + HOUR)
    with pytest.raises(ValidationError, match="Unarchive it first"):
        operations.enable(firing, now + HOUR)
    operations.unarchive(firing, now + DAY)
    assert (firing.archived_at, firing.state.evaluated_until) == (None, now + DAY)
    assert [action for action, _ in actions()] == ["created", "disabled", "enabled", "archived", "unarchived"]


def test_what_is_done_already_leaves_no_trace(firing: Alert, now: datetime) -> None:
    operations.enable(firing, now)
    operations.unarchive(firing, now)
    assert firing.state.level == Level.FIRING
    for _ in range(2):
        operations.disable(firing, now)
        operations.archive(firing, now)
    assert [action for action, _ in actions()] == ["created", "disabled", "archived"]


def test_alerts_move_with_their_agent(signal: Signal, now: datetime) -> None:
    other = make_signal(make_agent(signal.project, "other-bot"), name="Elsewhere")
    kept, moved = make_alert(signal, now=now), make_alert(other, now=now)
    archived = make_alert(other, now=now, name="Old")
    operations.archive(archived, now)
    signal_operations.move_signals(other.agent, signal.agent)
    operations.move_alerts(other.agent, signal.agent)
    for alert in (kept, moved, archived):
        alert.refresh_from_db()
    assert {alert.agent_id for alert in (kept, moved, archived)} == {signal.agent_id}
    assert (kept.name, moved.name) == ("Many refunds", "Many refunds (2)")
