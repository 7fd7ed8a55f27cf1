"""Services and a mail server for the tests of channels."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from catalyst.env import env
from catalyst.ip_ranges import AllowedTargets
from catalyst.mail import mailers
from tests.alerts.mail_server import MailServer
from tests.alerts.service import Service


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service that the operator opened."""
    with Service() as service:
        monkeypatch.setattr(env, "allowed_private_targets", AllowedTargets.parse(["127.0.0.0/8"]))
        yield service


@pytest.fixture
def mail_server(settings: Settings) -> Iterator[MailServer]:
    """A mail server that the operator set up."""
    with MailServer() as server:
        settings.MAILERS = mailers(server.url)
        settings.SENDS_MAIL = True
        settings.DEFAULT_FROM_EMAIL = "Catalyst <catalyst@example.com>"
        settings.PUBLIC_URL = "https://catalyst.example"
        yield server
