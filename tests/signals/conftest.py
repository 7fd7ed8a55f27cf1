"""Ground for tests of signals: a browser, and a scripted judge that the product is connected to."""

from collections.abc import Callable, Iterator

import pytest
from django.test import Client

from catalyst.core.models import User
from catalyst.env import env
from tests.judge_server import JudgeServer, says


@pytest.fixture(autouse=True)
def _models(monkeypatch: pytest.MonkeyPatch) -> None:
    """The models beside the instance's that signals may name."""
    monkeypatch.setattr(env, "judge_models", ["judge-2", "gpt-4o", "small"])


@pytest.fixture
def browser(client_as: Callable[[User], Client], bob: User) -> Client:
    """Bob's browser."""
    return client_as(bob)


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """`connect(url)`: have a judge model named judge-1 at this address; it is given two seconds."""

    def connect(url: str) -> None:
        for name, value in (("url", url), ("model", "judge-1"), ("timeout_seconds", 2.0), ("concurrency", 8)):
            monkeypatch.setattr(env, f"judge_{name}", value)

    return connect


@pytest.fixture
def judge(connect: Callable[[str], None]) -> Iterator[JudgeServer]:
    """A connected judge that says yes; its script may be replaced."""
    with JudgeServer(lambda _: says("yes", "The user asks for it.")) as server:
        connect(server.url)
        yield server
