"""An alert that ends while it fires resolves where it was told, so that no incident stays open."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from alerts import operations
from alerts.models import Alert, Channel, Delivery
from alerts.operations import Definition
from catalyst.core.actor import Actor
from catalyst.core.models import Project, User
from catalyst.timerange import HOUR
from signals import operations as signal_operations
from tests.alerts.history import History, events
from tests.factories import make_agent, make_channel
from traces.ingest import moves

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def history(project: Project) -> History:
    return History(project, NOON)


@pytest.fixture
def pager(project: Project, now: datetime) -> Channel:
    return make_channel(project, "Pager", now=now)


@pytest.fixture
def firing(history: History, pager: Channel) -> Alert:
    """Its labels are at 75%, and the pager knows."""
    alert = history.alert(window="5m")
    alert.channels.add(pager)
    history.label(yes=3, no=1)
    history.minute()
    assert told(pager) == ["alert.fired"]
    return alert


def told(channel: Channel) -> list[str]:
    return list(channel.deliveries.order_by("pk").values_list("kind", flat=True))


def reload(alert: Alert) -> Alert:
    return Alert.objects.get(pk=alert.pk)


def change_rule(alert: Alert, now: datetime, by: Actor) -> None:
    definition = replace(Definition.of(alert), threshold=0.9, channels=())
    operations.edit_alert(alert, definition, now, by)


@pytest.mark.parametrize(
    ("end", "done"),
    [
        (operations.disable, "disabled it"),
        (operations.archive, "archived it"),
        (change_rule, "changed its rule"),
    ],
)
def test_who_ends_it_is_told_where_it_was_told(
    firing: Alert,
    pager: Channel,
    history: History,
    alice: User,
    end: Callable[[Alert, datetime, Actor], None],
    done: str,
) -> None:
    late = make_channel(firing.project, "Late", now=history.now)
    firing.channels.add(late)
    end(reload(firing), history.now, Actor(alice))
    assert told(pager) == ["alert.fired", "alert.resolved"]
    assert told(late) == []
    fired, resolved = (row.message for row in pager.deliveries.order_by("pk"))
    assert (resolved["severity"], resolved["group"]) == ("resolved", fired["group"])
    assert resolved["text"] == f"Share of “yes” in 5 minutes: 75%. alice {done} while it was firing."
    assert events(firing) == ["fired 12:01", "resolved 12:01"]


def test_it_ends_once(firing: Alert, pager: Channel, history: History, alice: User) -> None:
    operations.disable(reload(firing), history.now, Actor(alice))
    operations.disable(reload(firing), history.now, Actor(alice))
    operations.archive(reload(firing), history.now + HOUR, Actor(alice))
    history.minute(10)
    assert told(pager) == ["alert.fired", "alert.resolved"]


def test_what_has_resolved_and_what_never_fired_end_in_silence(history: History, pager: Channel) -> None:
    resolved, calm = history.alert(window="5m"), history.alert(name="Calm", threshold=1.0)
    for alert in (resolved, calm):
        alert.channels.add(pager)
    history.label(yes=3, no=1)
    history.minute(15)
    assert told(pager) == ["alert.fired", "alert.resolved"]
    for alert in (resolved, calm):
        operations.archive(reload(alert), history.now)
    assert Delivery.objects.count() == 2
    assert events(calm) == []


def test_a_warning_ends_too(history: History, pager: Channel, alice: User) -> None:
    alert = history.alert(window="5m", threshold=0.9, warning=0.5)
    alert.channels.add(pager)
    history.label(yes=3, no=1)
    history.minute()
    operations.disable(reload(alert), history.now, Actor(alice))
    assert told(pager) == ["alert.warned", "alert.resolved"]
    assert pager.deliveries.latest("pk").message["text"].endswith("alice disabled it while it was warning.")


def test_a_mute_tells_nothing_but_the_end_of_what_was_told(firing: Alert, pager: Channel, history: History) -> None:
    operations.mute(reload(firing), history.now + HOUR, history.now)
    assert told(pager) == ["alert.fired"]
    history.minute(15)
    assert told(pager) == ["alert.fired", "alert.resolved"]
    history.label(yes=3)
    history.minute(15)
    assert events(firing) == ["fired 12:01", "resolved 12:11", "fired 12:17", "resolved 12:27"]
    assert len(told(pager)) == 2, "nobody was told of the second firing, so nobody is told of its end"


def test_a_channel_that_it_lost_is_told_of_the_end(firing: Alert, pager: Channel, history: History) -> None:
    firing.channels.clear()
    history.minute(15)
    assert told(pager) == ["alert.fired", "alert.resolved"]


def test_archiving_its_signal_ends_it(firing: Alert, pager: Channel, history: History) -> None:
    signal_operations.archive(history.signal, history.now)
    history.minute(8)
    assert told(pager) == ["alert.fired", "alert.resolved"]
    assert pager.deliveries.latest("pk").message["text"] == "The signal is archived."


def test_it_goes_on_when_its_agent_is_merged(firing: Alert, pager: Channel, history: History, project: Project) -> None:
    into = make_agent(project, "other", seen=NOON - HOUR)
    moves.merge([firing.agent], into, history.now)
    history.minute(2)
    assert reload(firing).agent == into
    assert told(pager) == ["alert.fired"]
    history.minute(15)
    assert told(pager) == ["alert.fired", "alert.resolved"]


def test_what_resolved_in_a_catch_up_is_told_beside_what_came_later(
    firing: Alert, pager: Channel, history: History
) -> None:
    """Only the last event of it is told, but an incident must not stay open."""
    Alert.objects.update(notify_no_data=True)
    for _ in range(2):
        history.label(yes=0, no=8)
        history.minute(4, evaluate=False)
    history.minute(20, evaluate=False)
    history.minute()
    assert told(pager) == ["alert.fired", "alert.resolved", "alert.no_data"]
