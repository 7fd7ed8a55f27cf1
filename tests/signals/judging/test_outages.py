"""Channels that opted in are told of a judge that does not answer, once, and once when it answers again."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from alerts import channel_settings
from alerts.channel_settings import Given
from alerts.models import Channel, Delivery
from catalyst import registry
from catalyst.core.actor import SYSTEM
from catalyst.core.models import Project
from catalyst.registry import PeriodicTask
from signals import operations
from signals.definitions.definition import Definition
from signals.judging import outages
from signals.judging.worker import run
from signals.models import JudgeOutage, Label, Signal
from tests.factories import make_agent, make_channel, make_labels, make_signal
from tests.judge_server import JudgeServer, error, says

MINUTE = timedelta(minutes=1)
PERIODIC = {entry.name: entry for entry in registry.entries(PeriodicTask)}


class Clock:
    """Labels are judged, and people are told, each minute."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def pass_minutes(self, minutes: int) -> None:
        for _ in range(minutes):
            self.now += MINUTE
            Label.objects.filter(status="queued").update(not_before=self.now)
            run(lambda: self.now)
            if PERIODIC["outages"].has_work(self.now):
                outages.tell(self.now)


@pytest.fixture
def clock(now: datetime) -> Clock:
    return Clock(now)


@pytest.fixture
def signal(project: Project, now: datetime, judge: JudgeServer) -> Signal:
    """Active, with two pending labels, and its judge is down."""
    signal = make_signal(make_agent(project), active_since=now)
    make_labels(signal, project, 2, now=now)
    judge.script = lambda _: error(503, "Overloaded.")
    return signal


@pytest.fixture
def channel(project: Project, now: datetime) -> Channel:
    return opt_in(make_channel(project, now=now), now)


def opt_in(channel: Channel, now: datetime, *, to: bool = True) -> Channel:
    channel_settings.edit(channel, Given(judge_outages=to), by=SYSTEM, now=now)
    return channel


def told(channel: Channel) -> list[str]:
    return list(channel.deliveries.order_by("pk").values_list("kind", flat=True))


def facts(message: dict[str, Any]) -> dict[str, str]:
    return {fact["name"]: fact["value"] for fact in message["facts"]}


def test_it_is_told_after_ten_minutes_and_when_it_answers_again(
    clock: Clock, signal: Signal, channel: Channel, judge: JudgeServer, now: datetime
) -> None:
    clock.pass_minutes(10)
    assert told(channel) == []
    clock.pass_minutes(5)
    assert told(channel) == ["judge.down"]
    down = channel.deliveries.get().message
    assert down["title"] == "The judge judge-1 does not answer"
    assert "Overloaded." in down["text"]
    assert facts(down) == {
        "Judge": "judge-1",
        "Since": f"{now + MINUTE:%-d %b %H:%M} UTC",
        "Pending labels": "2",
        "Signals": "Refund wanted",
    }
    assert down["links"][0]["url"].endswith("/p/default/settings/models/")
    judge.script = lambda _: says("yes")
    clock.pass_minutes(3)
    assert told(channel) == ["judge.down", "judge.up"]
    up = channel.deliveries.latest("pk").message
    assert (up["severity"], up["group"]) == ("resolved", down["group"])
    assert up["text"] == "It did not answer for 16m 00s."
    assert not PERIODIC["outages"].has_work(clock.now)


def test_two_outages_are_two_incidents(clock: Clock, signal: Signal, channel: Channel, judge: JudgeServer) -> None:
    clock.pass_minutes(12)
    judge.script = lambda _: says("yes")
    clock.pass_minutes(1)
    make_labels(signal, signal.project, 1, now=clock.now)
    judge.script = lambda _: error(503, "Again.")
    clock.pass_minutes(12)
    assert told(channel) == ["judge.down", "judge.up", "judge.down"]
    assert len(set(channel.deliveries.values_list("group", flat=True))) == 2


def test_only_channels_that_opted_in_are_told(
    clock: Clock, signal: Signal, channel: Channel, judge: JudgeServer, other_project: Project, now: datetime
) -> None:
    """Those of projects whose active signals use the model. What they were told of is ended in any case."""
    other, foreign = make_channel(signal.project, "Other", now=now), opt_in(make_channel(other_project, now=now), now)
    clock.pass_minutes(12)
    opt_in(channel, clock.now, to=False)
    opt_in(other, clock.now)
    judge.script = lambda _: says("yes")
    clock.pass_minutes(1)
    assert told(channel) == ["judge.down", "judge.up"]
    assert told(other) == told(foreign) == []


def test_each_project_that_uses_it_is_told(
    clock: Clock, signal: Signal, channel: Channel, other_project: Project, now: datetime
) -> None:
    foreign = opt_in(make_channel(other_project, now=now), now)
    later = make_signal(make_agent(other_project), name="Later")
    clock.pass_minutes(12)
    assert told(foreign) == []
    operations.activate(later, clock.now)
    clock.pass_minutes(1)
    assert (told(channel), told(foreign)) == (["judge.down"], ["judge.down"])
    assert facts(foreign.deliveries.get().message)["Pending labels"] == "0"


def test_a_model_that_no_active_signal_uses_any_more_leaves_no_incident(
    clock: Clock, signal: Signal, channel: Channel
) -> None:
    clock.pass_minutes(12)
    operations.publish_version(signal, Definition("binary", "Another question?", 100, judge_model="judge-2"))
    clock.pass_minutes(1)
    up = channel.deliveries.latest("pk")
    assert (up.kind, up.message["text"]) == ("judge.up", "No active signal uses it any more.")
    assert not JudgeOutage.objects.exists()


def test_a_model_that_nobody_asks_is_not_said_to_be_down(clock: Clock, signal: Signal, channel: Channel) -> None:
    """It failed once, and what waited for it has left the queue."""
    clock.pass_minutes(1)
    Label.objects.all().delete()
    clock.pass_minutes(20)
    assert told(channel) == []


def test_telling_twice_tells_once(clock: Clock, signal: Signal, channel: Channel, judge: JudgeServer) -> None:
    clock.pass_minutes(12)
    outages.tell(clock.now)
    judge.script = lambda _: says("yes")
    clock.pass_minutes(1)
    outages.tell(clock.now)
    assert told(channel) == ["judge.down", "judge.up"]
    assert Delivery.objects.count() == 2
