"""Which API an endpoint speaks."""

import asyncio
from itertools import count

import pytest

from catalyst.llm import LLMError
from catalyst.llms.endpoints import ConnectedModel
from halo.relay import Api, probe
from tests.halo.relay.conftest import KEY
from tests.halo.relay.model_server import ModelServer, Talk, chat_completion, said_by_chat, said_by_responses

MODELS = count()


def probed(*, model: str = "") -> Api:
    """The API of the environment's endpoint, for a model that nobody asked about before."""
    return asyncio.run(probe(ConnectedModel(model or f"probed-{next(MODELS)}")))


def chat_only(talk: Talk, status: int = 404) -> None:
    """What most servers are."""
    if talk.asked.path.endswith("/responses"):
        talk.error(status, f"No such path. {KEY}")
    else:
        talk.stream(said_by_chat("ok"))


def test_it_prefers_responses_and_remembers(server: ModelServer) -> None:
    assert [probed(model="known"), probed(model="known")] == [Api.RESPONSES] * 2
    assert [asked.path for asked in server.asked] == ["/v1/responses"]
    assert server.asked[0].body["stream"] is True


@pytest.mark.parametrize("status", [400, 403, 404, 405, 422])
def test_it_finds_a_server_of_chats_and_remembers(server: ModelServer, status: int) -> None:
    server.script = lambda talk: chat_only(talk, status)
    assert [probed(model=f"chat-{status}"), probed(model=f"chat-{status}")] == [Api.CHAT_COMPLETIONS] * 2
    assert len(server.asked) == 2


def test_passing_trouble_decides_nothing_for_good(server: ModelServer) -> None:
    server.script = lambda talk: chat_only(talk, 503)
    assert probed(model="troubled") == Api.CHAT_COMPLETIONS
    server.script = lambda talk: talk.stream(said_by_responses("ok"))
    assert probed(model="troubled") == Api.RESPONSES


def test_an_answer_of_another_kind_does_not_count(server: ModelServer) -> None:
    def script(talk: Talk) -> None:
        if talk.asked.path.endswith("/responses"):
            talk.json(b"<html>Welcome</html>", Content_Type="text/html")
        else:
            talk.stream(said_by_chat("ok"))

    server.script = script
    assert probed() == Api.CHAT_COMPLETIONS
    server.script = lambda talk: talk.json(chat_completion("ok"))
    with pytest.raises(LLMError, match="neither"):
        probed()


def test_it_says_if_neither_answers(server: ModelServer) -> None:
    server.script = lambda talk: talk.error(404, f"Nothing here, {KEY}.")
    with pytest.raises(LLMError) as caught:
        probed()
    host = server.url.removeprefix("http://").removesuffix("/v1")
    refusal = f"{host} does not know this model or address (404): Nothing here, …."
    assert str(caught.value) == (f"{host} answers neither the Responses API nor chat completions. {refusal} {refusal}")
    assert caught.value.permanent


@pytest.mark.parametrize("status", [401, 402, 429])
def test_trouble_with_the_key_is_said_at_once(server: ModelServer, status: int) -> None:
    server.script = lambda talk: talk.error(status, "No.")
    with pytest.raises(LLMError, match=f"\\({status}\\): No"):
        probed()
    assert len(server.asked) == 1
