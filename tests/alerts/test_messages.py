"""What a message says of an event."""

from datetime import UTC, datetime

import pytest
from django.conf import settings
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from alerts import channel_settings
from alerts.messages import message_of
from alerts.models import Alert, AlertEvent, Delivery
from catalyst.core.actor import SYSTEM
from catalyst.core.models import Project, User
from catalyst.notifications import Message, Severity
from catalyst.timerange import HOUR
from signals import operations
from signals.models import Label
from tests.alerts.history import History
from tests.factories import make_channel

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def history(project: Project) -> History:
    return History(project, NOON)


def newest(alert: Alert) -> Message:
    event = AlertEvent.objects.filter(alert=alert).order_by("window_end", "pk").last()
    assert event is not None
    return message_of(event)


def facts(message: Message) -> dict[str, str]:
    return {fact.name: fact.value for fact in message.facts}


def test_it_says_what_fired_with_the_value_the_threshold_and_the_window(history: History) -> None:
    alert = history.alert(name="Refunds", window="5m", threshold=0.5)
    history.label(yes=3, no=1)
    history.minute()
    message = newest(alert)
    assert message.severity == Severity.CRITICAL
    assert message.title == "Refunds fires"
    assert message.text == (
        "Share of “yes” in 5 minutes: 75%. Fires when at least 50% of the labels of 5 minutes are “yes”."
    )
    assert facts(message) == {
        "Signal": history.signal.name,
        "Agent": "support-bot",
        "Value": "75%",
        "Threshold": "at least 50%",
        "Window": "2026-11-20 11:56 to 12:01 UTC",
        "Labels": "4",
    }
    assert message.group == f"alert-{alert.pk}"


def test_its_links_lead_to_the_alert_the_labels_and_the_mute(history: History) -> None:
    alert = history.alert()
    history.label(yes=3)
    history.minute()
    links = {link.text: link.url for link in newest(alert).links}
    assert links["Open the alert"] == f"{settings.PUBLIC_URL}/p/default/alerts/{alert.pk}/"
    assert links["Mute"] == f"{links['Open the alert']}#mute"
    signal = (
        f"{settings.PUBLIC_URL}/p/default/signals/{history.signal.pk}/?from=2026-11-20T10%3A56&to=2026-11-20T12%3A01"
    )
    assert links["Signal at this time"] == f"{signal}&label=yes"
    window = "settled=2026-11-20T11%3A56%2F2026-11-20T12%3A01&judged=2026-11-20T12%3A01%3A15%2B00%3A00"
    assert links["Labels of this window"] == f"{signal}&version=1&{window}"


def test_it_shows_three_of_the_labels_that_it_counted(history: History) -> None:
    alert = history.alert()
    history.label(yes=2, no=2)
    history.minute()
    history.label(yes=2)
    Label.objects.filter(value="yes").update(reason="The user asks for <b>money</b>. " * 40)
    history.minute()
    message = newest(alert)
    assert [excerpt.label for excerpt in message.excerpts] == ["yes", "yes"]
    history.minute(20)
    history.label(yes=5)
    history.minute()
    message = newest(alert)
    assert len(message.excerpts) == 3
    assert f"/p/default/signals/{history.signal.pk}/labels/" in message.excerpts[0].link.url
    Label.objects.update(reason="x" * 1_000)
    assert {len(excerpt.reason) for excerpt in newest(alert).excerpts} == {300}


def test_a_resolution_says_the_value_and_shows_no_examples(history: History) -> None:
    alert = history.alert(window="5m")
    history.label(yes=3)
    for _ in range(12):
        history.minute()
        history.label(yes=0, no=2)
    message = newest(alert)
    assert (message.severity, message.title) == (Severity.RESOLVED, "Spike has resolved")
    assert message.text == "Share of “yes” in 5 minutes: 0%."
    assert message.excerpts == ()


def test_a_change_names_what_it_was(history: History) -> None:
    alert = history.alert(comparison="pct_change", threshold=100)
    history.label(yes=1, no=9)
    history.minute(5)
    history.label(yes=8, no=2)
    history.minute()
    assert facts(newest(alert))["Trend"] == "It was 10% in the window before."
    assert facts(newest(alert))["Value"] == "+700%"


def test_a_change_from_zero_is_said_in_words(history: History) -> None:
    alert = history.alert(comparison="pct_change", threshold=100)
    history.label(yes=0, no=9)
    history.minute(5)
    history.label(yes=8, no=2)
    history.minute()
    assert facts(newest(alert))["Value"] == "up from zero"


def test_it_says_how_many_were_judged(history: History) -> None:
    alert = history.alert()
    history.settle(4)
    history.judge(["yes"] * 3)
    history.minute(16)
    message = newest(alert)
    assert message.text.endswith("3 of 4 are judged.")
    assert facts(message)["Labels"] == "3 of 4 judged"


def test_a_problem_is_said_in_words(history: History) -> None:
    alert = history.alert(notify_no_data=True)
    operations.disable(history.signal, history.now)
    history.minute()
    message = newest(alert)
    assert (message.title, message.text) == ("Spike has no data", "The signal is not active.")
    assert "Value" not in facts(message)


def test_its_curve_ends_with_the_value_that_fired(history: History) -> None:
    alert = history.alert(window="15m", threshold=0.5)
    for _ in range(60):
        history.label(yes=0, no=2)
        history.minute()
    for _ in range(15):
        history.label(yes=2)
        history.minute()
    curve = newest(alert).curve
    assert curve is not None
    assert curve.threshold == 0.5
    assert len(curve.points) == 49
    assert curve.points[-1] == pytest.approx(AlertEvent.objects.get().observed)
    assert curve.points[0] is None
    assert 0 in curve.points


def test_a_message_costs_few_queries(history: History) -> None:
    alert = history.alert()
    history.label(yes=50)
    history.minute()
    event = AlertEvent.objects.select_related("alert__project", "alert__signal", "alert__agent").get(alert=alert)
    with CaptureQueriesContext(connection) as queries:
        message_of(event)
    assert len(queries) <= 5


def test_a_project_may_keep_quotes_out_of_its_messages(history: History, project: Project) -> None:
    alert = history.alert()
    history.label(yes=3)
    history.minute()
    assert newest(alert).excerpts
    channel_settings.show_excerpts(project, shown=False, by=SYSTEM)
    message = newest(alert)
    assert message.excerpts == ()
    assert message.links
    channel_settings.show_excerpts(project, shown=True, by=SYSTEM)
    assert newest(alert).excerpts


def test_it_is_queued_for_each_channel_once(history: History, project: Project, other_project: Project) -> None:
    channels = [make_channel(project, name, now=history.now) for name in ("One", "Two")]
    alert, muted = history.alert(), history.alert(name="Muted", muted_until=NOON + HOUR)
    for each in (alert, muted):
        each.channels.set(channels)
    history.label(yes=3)
    history.minute(3)
    rows = Delivery.objects.order_by("channel")
    assert [row.channel for row in rows] == channels
    assert {row.event_key for row in rows} == {AlertEvent.objects.get(alert=alert).key}
    assert {row.kind for row in rows} == {"alert.fired"}
    assert Message.model_validate(rows[0].message) == newest(alert)


def test_only_the_last_event_of_a_catch_up_is_told(history: History, project: Project) -> None:
    alert = history.alert()
    alert.channels.add(make_channel(project, now=history.now))
    history.label(yes=3)
    history.minute(30, evaluate=False)
    history.minute()
    assert AlertEvent.objects.count() == 2
    assert [row.kind for row in Delivery.objects.all()] == ["alert.resolved"]


def test_the_owner_of_an_alert_that_became_invalid_gets_a_mail(project: Project, bob: User, settings: Settings) -> None:
    settings.SENDS_MAIL = True
    settings.TASKS = {"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend", "QUEUES": []}}
    mail.outbox = []
    User.objects.filter(pk=bob.pk).update(email="bob@example.com")
    history = History(project, NOON, labels=("fine", "failed"))
    alert = history.alert(metric="value_share", string_label="failed", created_by=bob)
    history.minute()
    history.publish()
    history.minute(3)
    (message,) = mail.outbox
    assert message.to == ["bob@example.com"]
    assert message.subject == "An alert of yours can't be evaluated: Spike"
    assert "no longer has the label failed" in str(message.body)
    assert f"/p/default/alerts/{alert.pk}/" in str(message.body)
