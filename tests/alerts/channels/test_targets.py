"""No kind connects to what is not public, however it is spelled: nothing reaches a server that listens there."""

from collections.abc import Iterator
from datetime import datetime

import pytest

from alerts.channels.kind import Fault, Kind, Notice, Secrets, SendError, Settings
from alerts.channels.kinds import KINDS
from catalyst.env import env
from catalyst.ip_ranges import AllowedTargets
from tests.factories import make_message
from tests.raw_server import RawServer, answer

SPELLINGS = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "017700000001",
    "0.0.0.0",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "10.0.0.5",
    "192.168.1.1",
    "172.16.0.1",
    "169.254.169.254",
    "[fe80::1]",
    "metadata.google.internal",
]
NAMES = {
    "loopback.example": "127.0.0.1",
    "loopback6.example": "::1",
    "mapped.example": "::ffff:127.0.0.1",
    "private.example": "10.0.0.5",
    "metadata.example": "169.254.169.254",
}


@pytest.fixture
def listener() -> Iterator[RawServer]:
    with RawServer(lambda exchange: exchange.send(answer(b"ok"))) as server:
        yield server


def to(kind: Kind, origin: str) -> tuple[Settings, Secrets]:
    """Settings and secrets of a channel that leads there."""
    by_kind: dict[str, tuple[Settings, Secrets]] = {
        "slack": ({}, {"url": f"{origin}/services/x"}),
        "slack_bot": ({"api_url": f"{origin}/api", "channel": "C1"}, {"token": "xoxb-1"}),
        "webhook": ({}, {"url": f"{origin}/in", "signing_secret": f"whsec_{'c2ln' * 8}"}),
        "pagerduty": ({"events_url": f"{origin}/v2/enqueue"}, {"routing_key": "a" * 32}),
    }
    return by_kind[kind.key]


BY_HTTP = [kind for key, kind in KINDS.items() if key not in {"email", "apprise"}]


def refused(kind: Kind, origin: str, now: datetime) -> SendError:
    settings, secrets = to(kind, origin)
    with pytest.raises(SendError) as caught:
        kind.send(settings, secrets, Notice("alert.fired", "key", make_message(), now))
    return caught.value


@pytest.mark.parametrize("kind", BY_HTTP, ids=lambda kind: kind.key)
@pytest.mark.parametrize("host", SPELLINGS)
def test_an_address_is_refused_before_a_connection_is_made(
    listener: RawServer, kind: Kind, host: str, now: datetime
) -> None:
    error = refused(kind, f"http://{host}:{listener.port}", now)
    assert error.fault == Fault.CHANNEL
    assert listener.connections == 0
    settings, secrets = to(kind, f"http://{host}:{listener.port}")
    assert dict(kind.errors(settings, secrets)), "the form says so already"


@pytest.mark.parametrize("kind", BY_HTTP, ids=lambda kind: kind.key)
@pytest.mark.parametrize("host", NAMES)
def test_a_name_that_leads_there_is_refused_before_a_connection_is_made(
    listener: RawServer, kind: Kind, host: str, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", (NAMES[host], listener.port))])
    error = refused(kind, f"http://{host}:{listener.port}", now)
    assert error.fault == Fault.CHANNEL
    assert f"{host} leads to" in str(error)
    assert NAMES[host] not in str(error)
    assert listener.connections == 0


@pytest.mark.parametrize("kind", BY_HTTP, ids=lambda kind: kind.key)
def test_a_name_that_changes_between_check_and_use_is_refused(
    listener: RawServer, kind: Kind, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Look-up, check and connection are one step: what is checked is what is connected to."""
    answers = iter([["93.184.215.14"], ["127.0.0.1"]])
    asked: list[str] = []

    def looked_up(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return [(2, 1, 6, "", (address, listener.port)) for address in next(answers)]

    monkeypatch.setattr("socket.getaddrinfo", looked_up)
    refused(kind, f"http://changing.example:{listener.port}", now)
    assert asked == ["changing.example"]
    assert listener.connections == 0


@pytest.mark.parametrize("kind", BY_HTTP, ids=lambda kind: kind.key)
@pytest.mark.parametrize("place", ["http://169.254.169.254/latest", "http://127.0.0.1:{port}/", "//10.0.0.5/"])
def test_a_redirect_is_not_followed(
    listener: RawServer, kind: Kind, place: str, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "allowed_private_targets", AllowedTargets.parse(["127.0.0.0/8"]))
    location = place.format(port=listener.port)
    listener.script = lambda exchange: exchange.send(answer(b"", "307 Temporary Redirect", Location=location))
    error = refused(kind, f"http://127.0.0.1:{listener.port}", now)
    assert error.fault == Fault.CHANNEL
    assert "which Catalyst does not follow" in str(error)
    assert listener.connections == 1
