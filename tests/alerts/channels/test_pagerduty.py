"""PagerDuty: what triggers an incident, what resolves it, and what its answers mean."""

from datetime import datetime

import pytest

from alerts.channels.kind import Fault, Notice, SendError, check
from alerts.channels.pagerduty import EVENTS, PagerDuty, event
from catalyst.notifications import Fact, Message, Severity
from tests.alerts.service import Answer, Service
from tests.factories import make_message

KEY = "0123456789abcdef0123456789ABCDEF"


def send(service: Service, now: datetime, message: Message) -> str:
    settings = {"events_url": f"{service.url}/v2/enqueue"}
    return PagerDuty().send(settings, {"routing_key": KEY}, Notice("alert.fired", "alert-7-fired", message, now))


def test_a_firing_triggers_and_its_resolution_resolves(service: Service, now: datetime) -> None:
    service.script = lambda _: Answer({"status": "success", "message": "Event processed"}, 202)
    assert "Event processed" in send(service, now, make_message())
    send(service, now, make_message(severity=Severity.RESOLVED, title="Refunds resolved"))
    fired, resolved = (asked.json for asked in service.asked)
    assert (fired["event_action"], resolved["event_action"]) == ("trigger", "resolve")
    assert fired["dedup_key"] == resolved["dedup_key"] == "alert-7"
    payload = fired["payload"]
    assert (payload["summary"], payload["severity"], payload["source"]) == ("Refunds fired", "critical", "Default")
    assert payload["custom_details"]["Sample"] == "480 of 512 judged"
    assert fired["links"] == [{"href": "https://catalyst.example/p/default/alerts/7/", "text": "Open the alert"}]


@pytest.mark.parametrize("severity", ["critical", "warning", "info"])
def test_severities_are_those_of_pagerduty(severity: str) -> None:
    assert event(make_message(severity=severity), KEY, "key")["payload"]["severity"] == severity


def test_an_event_is_within_the_limits() -> None:
    text = "long " * 5_000
    message = make_message(title=text, text=text, group="g" * 190, facts=(Fact(name="a", value=text),))
    made = event(message, KEY, "key")
    assert len(made["payload"]["summary"]) <= 1_024
    assert len(made["dedup_key"]) <= 255
    assert len(event(make_message(group="g" * 1_000), KEY, "key")["dedup_key"]) == 64


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Answer({"status": "invalid event", "errors": ["Length of 'routing_key' is incorrect"]}, 400), Fault.CHANNEL),
        (Answer({"status": "invalid event", "errors": ["'payload.summary' is missing"]}, 400), Fault.MESSAGE),
        (Answer("", 429), Fault.NOW),
        (Answer("", 500), Fault.NOW),
    ],
)
def test_what_its_answers_mean(service: Service, now: datetime, answer: Answer, fault: Fault) -> None:
    service.script = lambda _: answer
    with pytest.raises(SendError) as caught:
        send(service, now, make_message())
    assert caught.value.fault == fault
    assert KEY not in str(caught.value)


def test_it_refuses_what_is_no_integration_key() -> None:
    assert check(PagerDuty(), {"events_url": EVENTS}, {"routing_key": KEY}) == {}
    assert list(check(PagerDuty(), {"events_url": EVENTS}, {"routing_key": "short"})) == ["routing_key"]
