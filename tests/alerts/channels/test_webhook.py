"""The generic webhook: its schema, its signature, and the check that the documentation shows."""

import re
from datetime import datetime

import pytest

from alerts.channels.kind import Fault, Notice, SendError, check
from alerts.channels.webhook import Webhook, new_secret
from tests.alerts.service import Answer, Service
from tests.factories import make_message
from tests.processes import ROOT

SECRET = new_secret()
PAGE = (ROOT / "docs" / "reference" / "webhook.md").read_text()


def secrets(service: Service, **about: str) -> dict[str, str]:
    return {"url": f"{service.url}/in?token=hidden-1234", "signing_secret": SECRET, **about}


def send(service: Service, now: datetime, **about: str) -> str:
    return Webhook().send({}, secrets(service, **about), Notice("alert.fired", "alert-7-fired", make_message(), now))


def test_it_sends_what_is_documented(service: Service, now: datetime) -> None:
    service.script = lambda _: Answer("thanks", 201)
    assert send(service, now, headers="X-Team: search") == "201 thanks"
    (asked,) = service.asked
    assert (asked.method, asked.path) == ("POST", "/in?token=hidden-1234")
    assert asked.headers["x-team"] == "search"
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["idempotency-key"] == asked.headers["webhook-id"] == "alert-7-fired"
    body = asked.json
    assert (body["version"], body["key"], body["kind"]) == (1, "alert-7-fired", "alert.fired")
    assert (body["severity"], body["project"], body["sent_for"]) == ("critical", "Default", "2026-11-20T12:00:00Z")
    assert body["facts"] == [{"name": "Sample", "value": "480 of 512 judged"}]
    assert body["curve"]["points"] == [0.1, 0.2, None, 0.4]
    documented = set(
        re.findall(r"^\| `(\w+)` \|", PAGE.partition("## The body")[2].partition("\n## ")[0], re.MULTILINE)
    )
    assert documented == body.keys()


def test_the_documented_check_accepts_it_and_nothing_else(service: Service, now: datetime) -> None:
    send(service, now)
    (asked,) = service.asked
    code = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert code
    names: dict[str, object] = {}
    exec(code[1], names)
    is_genuine = names["is_genuine"]
    assert callable(is_genuine)
    at = now.timestamp()
    assert is_genuine(SECRET, asked.headers, asked.body, at)
    assert not is_genuine(SECRET, asked.headers, asked.body + b" ", at)
    assert not is_genuine(new_secret(), asked.headers, asked.body, at)
    assert not is_genuine(SECRET, asked.headers, asked.body, at + 600)
    assert not is_genuine(SECRET, asked.headers | {"webhook-timestamp": str(int(at) + 1)}, asked.body, at)
    assert not is_genuine(SECRET, asked.headers | {"webhook-id": "other"}, asked.body, at)


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (401, Fault.CHANNEL),
        (404, Fault.CHANNEL),
        (410, Fault.CHANNEL),
        (400, Fault.MESSAGE),
        (413, Fault.MESSAGE),
        (408, Fault.NOW),
        (429, Fault.NOW),
        (500, Fault.NOW),
        (503, Fault.NOW),
    ],
)
def test_what_a_status_means(service: Service, now: datetime, status: int, fault: Fault) -> None:
    service.script = lambda asked: Answer(f"No. {asked.path} {asked.headers['x-key']}", status)
    with pytest.raises(SendError) as caught:
        send(service, now, headers="X-Key: another-hidden-word")
    assert caught.value.fault == fault
    assert str(caught.value).startswith(f"127.0.0.1 answered {status}: No.")
    assert "hidden" not in str(caught.value)


def test_a_date_to_come_back_is_understood(service: Service, now: datetime) -> None:
    service.script = lambda _: Answer("", 503, {"Retry-After": "Fri, 20 Nov 2026 12:01:30 GMT"})
    with pytest.raises(SendError) as caught:
        send(service, now)
    assert caught.value.retry_after == 90


@pytest.mark.parametrize(
    ("field", "about"),
    [
        ("url", {"url": ""}),
        ("url", {"url": "hooks.invalid"}),
        ("url", {"url": "https://user:password@hooks.invalid/"}),
        ("signing_secret", {"signing_secret": ""}),
        ("signing_secret", {"signing_secret": "secret"}),
        ("signing_secret", {"signing_secret": "whsec_c2hvcnQ="}),
        ("headers", {"headers": "Host: elsewhere"}),
        ("headers", {"headers": "Webhook-Signature: v1,x"}),
        ("headers", {"headers": "no colon"}),
        ("headers", {"headers": "Bad name: x"}),
        ("headers", {"headers": "\n".join(f"X-{number}: y" for number in range(21))}),
    ],
)
def test_it_refuses_what_can_not_work(field: str, about: dict[str, str]) -> None:
    good = {"url": "https://hooks.invalid/in", "signing_secret": SECRET}
    assert check(Webhook(), {}, good) == {}
    assert list(check(Webhook(), {}, good | about)) == [field]


def test_its_address_has_no_secret() -> None:
    values = {"url": "https://hooks.invalid:8443/in/hidden?token=hidden", "signing_secret": SECRET}
    assert Webhook().address({}, values) == "https://hooks.invalid:8443/…"
