"""What operators see of alerts: their evaluation, the queue of messages, failures, and disabled channels."""

from datetime import datetime, timedelta

import pytest
from django.core.management import call_command

from alerts import delivery, probes, tasks
from alerts.models import Alert, AlertState, Channel, Delivery
from catalyst.core.models import Project
from catalyst.health import Check
from catalyst.notifications import notify
from catalyst.ops.monitoring import snapshot
from tests.alerts.history import History
from tests.alerts.service import Answer, Service
from tests.factories import WEBHOOK, make_channel, make_message

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


@pytest.fixture
def channel(project: Project, service: Service, now: datetime) -> Channel:
    return make_channel(project, secrets=WEBHOOK | {"url": f"{service.url}/in"}, now=now)


def checks(now: datetime) -> dict[str, tuple[str, str]]:
    return {check.name: (check.state, check.text) for check in probes.check_deliveries(probes.deliveries(now), now)}


def metrics(now: datetime) -> dict[str, list[float]]:
    found = probes.delivery_metrics(probes.deliveries(now), now)
    return {metric.name.removeprefix("catalyst_"): [value for _, value in metric.samples] for metric in found}


def test_a_quiet_instance_is_fine(project: Project, now: datetime) -> None:
    assert {state for state, _ in checks(now).values()} == {"ok"}
    assert checks(now)["channels"] == ("ok", "0 channels, 0 disabled")


def test_a_queue_that_stands_still_is_a_warning(channel: Channel, now: datetime) -> None:
    notify(channel.project_id, "alert.fired", "key", make_message(), [channel.pk], now=now)
    assert checks(now + MINUTE)["messages"][0] == "ok"
    state, text = checks(now + 6 * MINUTE)["messages"]
    assert (state, text) == (
        "warn",
        "1 messages are ready to be sent, 1 are queued in all; the oldest has been ready for 6m 00s",
    )
    assert checks(now + 60 * MINUTE)["messages"][0] == "bad"
    assert metrics(now + MINUTE)["deliveries_waiting"] == [1]
    assert metrics(now + MINUTE)["delivery_lag_seconds"] == [60]


def test_failures_and_disabled_channels_are_warnings(channel: Channel, service: Service, now: datetime) -> None:
    service.script = lambda _: Answer("moved", 410)
    for key in ("a", "b"):
        notify(channel.project_id, "alert.fired", key, make_message(), [channel.pk], now=now)
    delivery.work(lambda: now)
    found = checks(now)
    assert found["undelivered messages"][0] == "warn"
    assert "1 failed and 1 were not sent" in found["undelivered messages"][1]
    text = "1 channel, 1 disabled: On call of Default: 127.0.0.1 answered 410: moved"
    assert found["channels"] == ("warn", text)
    assert metrics(now)["deliveries_undelivered"] == [1, 1]
    assert metrics(now)["channels_disabled"] == [1]
    assert checks(now + timedelta(days=2))["undelivered messages"][0] == "ok"


@pytest.mark.real_clock
def test_the_task_sends_what_is_due(channel: Channel, service: Service, now: datetime) -> None:
    notify(channel.project_id, "alert.fired", "key", make_message(), [channel.pk], now=now)
    tasks.deliver.call()
    assert Delivery.objects.get().state == "sent"
    assert len(service.asked) == 1


@pytest.mark.real_clock
def test_the_doctor_shows_it(channel: Channel, now: datetime, capsys: pytest.CaptureFixture[str]) -> None:
    names = {check.name for check in snapshot.collect(now).checks()}
    assert {"messages", "undelivered messages", "channels"} <= names
    with pytest.raises(SystemExit):
        call_command("doctor")
    assert "1 channel, 0 disabled" in capsys.readouterr().out


def test_it_says_how_far_alerts_are_evaluated(project: Project, now: datetime) -> None:
    history = History(project, now)
    assert [each.text for each in evaluation_checks(now)] == ["no alert is enabled"]
    history.alert()
    history.alert(name="Old", enabled=False, evaluated_until=now - 100 * MINUTE)
    history.label(yes=3)
    history.minute()
    (check,) = evaluation_checks(history.now + 2 * MINUTE)
    assert (check.state, check.text) == (
        "ok",
        "1 enabled, 1 firing; last evaluated 1 min ago, all of them up to 2m 00s ago",
    )
    states = [evaluation_checks(history.now + minutes * MINUTE)[0].state for minutes in (19, 21, 61)]
    assert states == ["ok", "warn", "bad"]
    found = probes.evaluation_metrics(probes.evaluation(history.now), history.now + 2 * MINUTE)
    assert {metric.name: metric.samples[0][1] for metric in found} == {
        "catalyst_alerts": 1,
        "catalyst_alerts_firing": 1,
        "catalyst_alerts_lag_seconds": 120,
    }


def evaluation_checks(now: datetime) -> list[Check]:
    return list(probes.check_evaluation(probes.evaluation(now), now))


def test_windows_of_whole_hours_do_not_make_the_evaluation_late(project: Project, now: datetime) -> None:
    history = History(project, now)
    alert = history.alert(name="Runs", window="1h")
    Alert.objects.filter(pk=alert.pk).update(signal=None, metric="runs")
    AlertState.objects.update(evaluated_until=now - 90 * MINUTE, evaluated_at=now - MINUTE)
    (check,) = evaluation_checks(now)
    assert (check.state, check.text.split(";")[1]) == ("ok", " last evaluated 1 min ago, all of them up to 0 ms ago")
