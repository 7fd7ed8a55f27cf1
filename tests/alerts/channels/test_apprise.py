"""Apprise: off by default, and only what is hosted, without files, plugins or another host."""

from datetime import datetime

import pytest

from alerts.channels.apprise_services import SERVICES, Apprise
from alerts.channels.kind import Fault, Notice, SendError, check
from catalyst.env import env
from tests.factories import make_message

DISCORD = "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js"


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator allows it."""
    monkeypatch.setattr(env, "apprise", True)


def test_it_is_off_by_default(now: datetime) -> None:
    assert "CATALYST_APPRISE" in Apprise().unavailable
    with pytest.raises(SendError, match="CATALYST_APPRISE") as caught:
        Apprise().send({}, {"url": DISCORD}, Notice("alert.fired", "key", make_message(), now))
    assert caught.value.fault == Fault.CHANNEL


@pytest.mark.parametrize(
    "url",
    [
        DISCORD,
        "tgram://123456789:abcdefg_hijklmnop/12315544/",
        "opsgenie://aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee/?region=eu",
        "workflows://prod-161.westeurope.logic.azure.com:443/643e69f83c8944438d68119179a10a64/5e5e5e5e/",
    ],
)
def test_it_takes_hosted_services(allowed: None, url: str) -> None:
    assert check(Apprise(), {}, {"url": url}) == {}
    assert Apprise().address({}, {"url": url}) in SERVICES.values()


@pytest.mark.parametrize(
    "url",
    [
        "json://127.0.0.1/",
        "jsons://example.com/",
        "xml://example.com/",
        "form://example.com/",
        "mailto://user:password@example.com",
        "file:///etc/passwd",
        "config://example.com/",
        "syslog://",
        "exec:///bin/sh",
        "ntfy://10.0.0.5/topic",
        "matrix://user:password@10.0.0.5/",
        "discord://x",
        f"{DISCORD}?verify=no",
        f"{DISCORD}?redirect=yes",
        f"{DISCORD}?attach=/etc/passwd",
        f"{DISCORD}?plugin-path=/tmp",
        f"{DISCORD}/%2e%2e",
        f"{DISCORD} json://127.0.0.1/",
        f"{DISCORD}\njson://127.0.0.1/",
        "workflows://127.0.0.1/abc/def/",
        "workflows://logic.azure.com.evil.example/abc/def/",
        "workflows://evil.example@prod.logic.azure.com/abc/def/",
        "workflows://prod.logic.azure.com/abc/def/?template=/etc/passwd",
        "",
    ],
)
def test_it_refuses_everything_else(allowed: None, url: str) -> None:
    assert list(check(Apprise(), {}, {"url": url})) == ["url"]


def test_a_failure_says_what_apprise_said_without_secrets(allowed: None, now: datetime) -> None:
    """No test reaches Discord, so that this one fails."""
    with pytest.raises(SendError, match="Apprise could not send it") as caught:
        Apprise().send({}, {"url": DISCORD}, Notice("alert.fired", "key", make_message(), now))
    assert caught.value.fault == Fault.NOW
    assert "JHMHI8qBe7bk2ZwO5U711o3dV_js" not in str(caught.value)
