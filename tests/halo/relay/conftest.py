"""Ground for tests of the relay: a scripted model server that the environment's endpoint leads to."""

from collections.abc import Iterator

import pytest

from catalyst.env import env
from tests.halo.relay.model_server import ModelServer, said_by_responses

KEY = "sk-secret-of-the-instance"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    """A model server that answers every call; its script may be replaced."""
    with ModelServer(lambda talk: talk.stream(said_by_responses("All is well."))).running() as running:
        monkeypatch.setattr(env, "judge_url", running.url)
        monkeypatch.setattr(env, "judge_api_key", KEY)
        yield running
