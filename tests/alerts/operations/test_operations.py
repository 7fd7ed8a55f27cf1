"""Operations on alerts: what machines read and write."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from alerts import operations
from alerts.models import Alert, AlertState
from alerts.models.alert import STATUSES
from alerts.rules import Level, Problem
from catalyst.core.models import Project
from catalyst.operations import InvalidInput, NotFound
from signals.models import Signal
from tests.factories import make_agent, make_alert, make_channel, make_event, make_signal, make_traces, settle_all
from tests.signals.operations.calling import call

pytestmark = pytest.mark.django_db

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
PREDICATE = {"name": "Failed", "metric": "value_share", "operator": "gte", "threshold": 0.3, "window": "1h"}


@pytest.fixture
def signal(project: Project) -> Signal:
    """One with labels of its own."""
    return make_signal(make_agent(project), labels=("done", "failed"))


def volume(signal: Signal, now: datetime, name: str, **about: Any) -> Alert:
    """An alert on the number of labels."""
    return make_alert(signal, now=now, name=name, metric="label_volume", threshold=5, **about)


def test_a_machine_creates_an_alert_with_the_defaults_of_the_client(
    project: Project, signal: Signal, now: datetime
) -> None:
    made = call(project, now, "alerts.create", signal_id=signal.pk, string_label="failed", **PREDICATE)
    assert (made.signal_id, made.project_id, made.comparison) == (str(signal.pk), str(project.pk), "pct_change")
    assert (made.min_label_count, made.cooldown_minutes, made.enabled, made.only_significant) == (0, 0, True, False)
    assert (made.status, made.last_evaluated_at, made.recent_firing_count) == ("ok", None, 0)
    assert made.sentence == "Fires when “failed” is at least 0.3% more frequent than in the hour before."
    assert call(project, now, "alerts.show", alert=int(made.id)) == made


def test_it_names_the_field_that_is_refused(project: Project, signal: Signal, now: datetime) -> None:
    with pytest.raises(InvalidInput) as caught:
        call(project, now, "alerts.create", **PREDICATE)
    assert "signal_id" in caught.value.errors
    for about, field in (({"cooldown": 15, "threshold": -100}, "threshold"), ({}, "string_label")):
        with pytest.raises(InvalidInput) as caught:
            call(project, now, "alerts.create", signal_id=signal.pk, **PREDICATE | about)
        assert field in caught.value.errors


NUMBERS = {"name": "Slow", "metric": "p95_latency", "operator": "gte", "threshold": 30, "window": "15m"}


def test_a_machine_creates_an_alert_on_an_agents_numbers(project: Project, now: datetime) -> None:
    agent = make_agent(project)
    made = call(project, now, "alerts.create", agent=agent.identity, comparison="absolute", **NUMBERS)
    assert (made.signal_id, made.agent_id, made.agent_name) == (None, str(agent.pk), "support-bot")
    assert made.sentence == "Fires when the 95th percentile of latency in 15 minutes is at least 30 s."
    edited = call(project, now, "alerts.edit", alert=int(made.id), **NUMBERS | {"metric": "runs"})
    assert (edited.metric, edited.comparison) == ("runs", "pct_change")
    assert [each.id for each in call(project, now, "alerts.list", agent=agent.identity).items] == [made.id]
    assert [each.id for each in call(project, now, "alerts.list", search="support").items] == [made.id]


def test_an_alert_is_on_a_signal_or_on_an_agent(project: Project, signal: Signal, now: datetime) -> None:
    refused: list[tuple[dict[str, Any], str, str]] = [
        ({"agent": "support-bot", "signal_id": signal.pk}, "agent", "not both"),
        ({}, "signal_id", "or --agent"),
        ({"agent": "nobody"}, "agent", "has no agent nobody"),
        ({"agent": "support-bot", "metric": "label_volume"}, "metric", "own numbers are: runs"),
        ({"signal_id": signal.pk}, "metric", "Metrics of a signal are"),
    ]
    for name, more in (("alerts.create", NUMBERS), ("alerts.backtest", {**NUMBERS, "name": None})):
        for about, field, text in refused:
            given = {key: value for key, value in {**more, **about}.items() if value is not None}
            with pytest.raises(InvalidInput) as caught:
                call(project, now, name, **given)
            assert text in str(caught.value.errors[field])
    assert not Alert.objects.exists()


def test_a_backtest_of_an_agents_numbers(project: Project, now: datetime) -> None:
    make_traces(project, range(1, 5), now=now - 2 * HOUR)
    settle_all(now - 4 * HOUR + MINUTE)
    rule = {"metric": "runs", "operator": "gte", "threshold": 3, "window": "10m", "comparison": "absolute"}
    tested = call(project, now, "alerts.backtest", agent="support-bot", **rule)
    assert (tested.firing_count, tested.firings[0].peak_value) == (1, 4)
    hourly = call(project, now, "alerts.backtest", agent="support-bot", **rule | {"window": "1h"})
    assert (hourly.firing_count, hourly.firings[0].peak_value) == (1, 4)


def test_an_edit_replaces_all_that_the_client_knows_and_keeps_the_rest(
    project: Project, signal: Signal, now: datetime
) -> None:
    channel = make_channel(project, now=now)
    ours = {"warning": 3.0, "only_significant": True, "notify_no_data": True, "channels": [channel.pk]}
    slack = {"slack_channel_id": "C1", "slack_channel_name": "#ops"}
    alert = volume(signal, now, "Volume", cooldown_minutes=60, min_label_count=7, **slack, **ours)
    asked = {"alert": alert.pk, "name": "Volume", "metric": "label_volume", "operator": "gte", "window": "1h"}
    found = call(project, now, "alerts.edit", threshold=9, **asked)
    assert (found.comparison, found.cooldown_minutes, found.min_label_count) == ("pct_change", 0, 0)
    assert (found.slack_channel_id, found.warning, found.only_significant, found.notify_no_data) == (
        None,
        3,
        True,
        True,
    )
    assert [each.id for each in found.channels] == [str(channel.pk)]
    found = call(project, now, "alerts.edit", threshold=9, warning=None, channels=[], enabled=False, **asked)
    assert (found.warning, found.channels, found.enabled, found.status) == (None, [], False, "disabled")


def test_it_lists_firing_alerts_first_page_by_page(project: Project, signal: Signal, now: datetime) -> None:
    for name in ("d", "b", "c", "a"):
        volume(signal, now - DAY, name)
    make_event(Alert.objects.get(name="c"), now - MINUTE)
    operations.disable(Alert.objects.get(name="a"), now)
    names: list[str] = []
    after = None
    for _ in range(2):
        page = call(project, now, "alerts.list", limit=2, after=after)
        names += [each.name for each in page.items]
        after = page.next
    assert (names, after) == (["c", "b", "d", "a"], None)
    for text in ("x", "1_999999", "1"):
        with pytest.raises(InvalidInput) as caught:
            call(project, now, "alerts.list", after=text)
        assert "after" in caught.value.errors


def test_it_filters_a_list(project: Project, signal: Signal, now: datetime) -> None:
    other = make_signal(make_agent(project, "other-bot"), name="Elsewhere")
    first, second = volume(signal, now, "First"), volume(other, now, "Second")
    archived = volume(other, now, "Old")
    operations.archive(archived, now)
    make_event(second, now)

    def names(**about: Any) -> list[str]:
        return [each.name for each in call(project, now, "alerts.list", **about).items]

    assert names() == ["Second", "First"]
    assert names(include_archived=True) == ["Second", "First", "Old"]
    assert names(signal_id=signal.pk) == names(agent=signal.agent.identity) == ["First"]
    assert names(state="firing") == names(search="elsewhere") == ["Second"]
    assert names(search="first") == names(state="ok") == [first.name]


STATES: list[dict[str, Any]] = [
    {"level": Level.OK},
    {"level": Level.WARNING},
    {"level": Level.FIRING},
    {"level": Level.FIRING, "problem": Problem.NO_DATA},
    {"level": Level.WARNING, "problem": Problem.NO_DATA},
    {"problem": Problem.DELAYED},
    {"problem": Problem.NO_DATA},
    {"level": Level.FIRING, "problem": Problem.INVALID},
    {"fired_at": 59 * MINUTE},
    {"fired_at": 60 * MINUTE},
    {"fired_at": 10 * MINUTE, "level": Level.WARNING},
    {"fired_at": 10 * MINUTE, "problem": Problem.NO_DATA},
]


@pytest.mark.parametrize("about", STATES)
def test_a_list_is_sorted_by_the_status_that_it_shows(
    project: Project, signal: Signal, now: datetime, about: dict[str, Any]
) -> None:
    alert = volume(signal, now - DAY, "Volume", cooldown_minutes=60)
    fired_at = {"fired_at": now - about["fired_at"]} if "fired_at" in about else {}
    AlertState.objects.update(**about | fired_at)
    alert = Alert.objects.for_list(now).get()
    status = alert.status(now)
    assert [state for state in STATUSES if Alert.objects.in_status(state, now).exists()] == [status]
    assert Alert.objects.firing().exists() == (status == "firing")


def test_it_counts_firings_of_seven_days(project: Project, signal: Signal, now: datetime) -> None:
    alert = volume(signal, now - 30 * DAY, "Volume")
    for ago in (8 * DAY, 6 * DAY, HOUR):
        make_event(alert, now - ago)
    make_event(alert, now, "resolved")
    found = call(project, now, "alerts.state", alert=alert.pk)
    assert (found.enabled, found.status, found.recent_firing_count) == (True, "firing", 2)
    assert (found.value, found.labelled_count) == (0.4, 50)
    assert found.last_triggered_at == found.last_evaluated_at == "2026-11-20T11:00:00.000Z"


def test_it_lists_events_newest_first_page_by_page(project: Project, signal: Signal, now: datetime) -> None:
    alert = volume(signal, now - DAY, "Volume")
    for minutes, kind in ((3, "fired"), (2, "resolved"), (1, "fired")):
        make_event(alert, now - minutes * MINUTE, kind)
    first = call(project, now, "alerts.events", alert=alert.pk, limit=2)
    second = call(project, now, "alerts.events", alert=alert.pk, limit=2, after=first.next)
    assert [each.kind for each in first.items + second.items] == ["fired", "resolved", "fired"]
    assert second.next is None
    assert (first.items[0].observed_value, first.items[0].threshold, first.items[0].window) == (0.4, 5, "1h")
    assert len(call(project, now, "alerts.events", alert=alert.pk, kind="fired").items) == 2


def test_an_alert_is_that_of_the_project_and_of_the_signal(
    project: Project, other_project: Project, signal: Signal, now: datetime
) -> None:
    alert = volume(signal, now, "Volume")
    other = make_signal(signal.agent, name="Other")
    assert call(project, now, "alerts.show", alert=alert.pk, signal_id=signal.pk).id == str(alert.pk)
    with pytest.raises(NotFound, match=f"no alert {alert.pk} on signal {other.pk}"):
        call(project, now, "alerts.show", alert=alert.pk, signal_id=other.pk)
    with pytest.raises(NotFound):
        call(other_project, now, "alerts.archive", alert=alert.pk)


def test_it_changes_several_alerts_each_by_itself(project: Project, signal: Signal, now: datetime) -> None:
    alerts = [volume(signal, now, name) for name in "abc"]
    pks = [alert.pk for alert in alerts]
    until = (now + HOUR).isoformat()
    for action, about in (("mute", {"until": until}), ("disable", {}), ("enable", {}), ("unmute", {})):
        assert len(call(project, now, "alerts.bulk", alerts=pks, action=action, **about).changed_ids) == 3
    found = call(project, now, "alerts.bulk", alerts=pks, action="mute", until=now.isoformat())
    assert (found.changed_ids, [each.alert_name for each in found.refused]) == ([], list("abc"))
    with pytest.raises(InvalidInput):
        call(project, now, "alerts.bulk", alerts=pks, action="mute")
    with pytest.raises(InvalidInput):
        call(project, now, "alerts.bulk", alerts=list(range(1, 102)), action="enable")
    operations.archive(alerts[0], now)
    with pytest.raises(NotFound, match=f"no unarchived alert {pks[0]}. Nothing was changed"):
        call(project, now, "alerts.bulk", alerts=pks, action="disable")
