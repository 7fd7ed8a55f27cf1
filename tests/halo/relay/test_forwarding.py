"""What a relay forwards, and what it keeps to itself."""

import asyncio
import json
import threading
import time
from datetime import datetime
from decimal import Decimal

import httpx
import pytest

from catalyst.core.models import Project
from catalyst.env import env
from catalyst.ip_ranges import AllowedTargets
from catalyst.llm import LLMError
from catalyst.llms.endpoints import ConnectedModel
from halo.relay import Api, Budget, Relay
from halo.relay.server import MAX_ANSWER_BYTES
from tests.factories import make_connection
from tests.halo.relay.calls import MODEL, Engine, call_body, error_of, with_relay
from tests.halo.relay.conftest import KEY
from tests.halo.relay.model_server import ModelServer, Talk, chat_completion, event, said_by_chat, said_by_responses


def test_it_passes_a_stream_on_as_it_is(server: ModelServer) -> None:
    parts = said_by_responses("Für alle: \u2028 Grüße.")
    server.script = lambda talk: talk.stream(parts)
    answer = with_relay(lambda engine: engine.post())
    assert answer.content == b"".join(parts)
    assert answer.headers["content-type"] == "text/event-stream"
    (asked,) = server.asked
    assert asked.path == "/v1/responses"
    assert asked.body == call_body() | {"model": MODEL}


def test_it_sends_the_key_that_the_engine_never_sees(server: ModelServer) -> None:
    with_relay(lambda engine: engine.post())
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert server.asked[0].headers["accept-encoding"] == "identity"


def test_it_reaches_a_connection_with_its_headers(
    server: ModelServer, project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "allowed_private_targets", AllowedTargets.parse(["127.0.0.0/8"]))
    connection = make_connection(project, now=now, url=server.url, key="sk-of-the-team", headers={"X-Team": "support"})
    with_relay(lambda engine: engine.post(), model=ConnectedModel("m", connection))
    assert server.asked[0].headers["authorization"] == "Bearer sk-of-the-team"
    assert server.asked[0].headers["x-team"] == "support"


def test_it_reaches_no_private_address_for_a_connection(server: ModelServer, project: Project, now: datetime) -> None:
    connection = make_connection(project, now=now, url="https://models.invalid/v1")
    connection.base_url = server.url
    answer = with_relay(lambda engine: engine.post(), model=ConnectedModel("m", connection))
    assert (answer.status_code, server.asked) == (403, [])
    assert "an address that is not public" in error_of(answer)["message"]


def test_words_arrive_before_the_answer_ends(server: ModelServer) -> None:
    first, *rest = said_by_responses("One two three")

    def script(talk: Talk) -> None:
        talk.begin()
        talk.part(first)
        assert goes_on.wait(10)
        for part in rest:
            talk.part(part)
        talk.exchange.send(b"0\r\n\r\n")

    async def work(engine: Engine) -> bytes:
        headers = {"Authorization": f"Bearer {engine.relay.token}"}
        url = f"{engine.relay.base_url}/responses"
        async with engine.client.stream("POST", url, json=call_body(), headers=headers) as answer:
            chunks = answer.aiter_raw()
            received = await anext(chunks)
            assert received == first
            goes_on.set()
            return received + b"".join([chunk async for chunk in chunks])

    goes_on = threading.Event()
    server.script = script
    assert with_relay(work) == first + b"".join(rest)


@pytest.mark.parametrize("token", ["x", "wrong", KEY])
def test_it_knows_its_own_token_only(server: ModelServer, token: str) -> None:
    answer = with_relay(lambda engine: engine.post(token=token))
    assert (answer.status_code, error_of(answer)["code"], server.asked) == (401, "invalid_token", [])


def test_each_run_has_a_token_of_its_own(server: ModelServer) -> None:
    assert Relay(ConnectedModel(MODEL), Budget()).token != Relay(ConnectedModel(MODEL), Budget()).token


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/responses"), ("POST", "/models"), ("POST", "/embeddings"), ("POST", "/../responses"), ("GET", "/")],
)
def test_it_forwards_two_paths_only(server: ModelServer, method: str, path: str) -> None:
    async def work(engine: Engine) -> httpx.Response:
        headers = {"Authorization": f"Bearer {engine.relay.token}"}
        return await engine.client.request(method, f"{engine.relay.base_url}{path}", headers=headers)

    answer = with_relay(work)
    assert (answer.status_code, server.asked) == (404, [])


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b"null"])
def test_it_refuses_what_is_no_json_object(server: ModelServer, content: bytes) -> None:
    async def work(engine: Engine) -> httpx.Response:
        headers = {"Authorization": f"Bearer {engine.relay.token}"}
        return await engine.client.post(f"{engine.relay.base_url}/responses", content=content, headers=headers)

    answer = with_relay(work)
    assert (answer.status_code, error_of(answer)["code"], server.asked) == (400, "no_json", [])


def test_it_listens_on_loopback_and_ends_with_the_run(server: ModelServer) -> None:
    async def run() -> str:
        async with Relay(ConnectedModel(MODEL), Budget()) as relay:
            url = relay.base_url
        async with httpx.AsyncClient(trust_env=False) as client:
            with pytest.raises(httpx.ConnectError):
                await client.post(f"{url}/responses")
        return url

    assert asyncio.run(run()).startswith("http://127.0.0.1:")


@pytest.mark.parametrize("status", [400, 401, 402, 404, 408, 429, 500, 503])
def test_it_passes_an_error_on(server: ModelServer, status: int) -> None:
    body = {"error": {"message": f"Because of {KEY}.", "code": "context_length_exceeded"}}
    server.script = lambda talk: talk.json(body, status, Retry_After="7")

    async def work(engine: Engine) -> tuple[httpx.Response, str, int]:
        answer = await engine.post()
        return answer, engine.relay.problem, engine.relay.meter.failed_calls

    answer, problem, failed = with_relay(work)
    assert (answer.status_code, answer.headers["retry-after"], failed) == (status, "7", 1)
    assert error_of(answer) == {"message": "Because of ….", "code": "context_length_exceeded"}
    assert f"({status}): Because of …." in problem


def test_it_follows_no_redirect(server: ModelServer) -> None:
    elsewhere = f"{server.url}/elsewhere"
    server.script = lambda talk: talk.json({}, 307, Location=elsewhere)
    answer = with_relay(lambda engine: engine.post())
    assert (answer.status_code, len(server.asked)) == (403, 1)
    assert "which Catalyst does not follow" in error_of(answer)["message"]
    assert "location" not in answer.headers


def test_a_page_in_place_of_an_answer_is_an_error(server: ModelServer) -> None:
    server.script = lambda talk: talk.json(b"<html>Welcome</html>", Content_Type="text/html")
    answer = with_relay(lambda engine: engine.post(call_body(Api.CHAT_COMPLETIONS), Api.CHAT_COMPLETIONS))
    assert (answer.status_code, error_of(answer)["code"]) == (502, "model_failed")


def test_an_error_in_a_200_is_an_error(server: ModelServer) -> None:
    server.script = lambda talk: talk.json({"error": {"message": "Overloaded.", "code": 529}})

    async def work(engine: Engine) -> tuple[httpx.Response, int]:
        return await engine.post(call_body(stream=False)), engine.relay.meter.calls

    answer, calls = with_relay(work)
    assert (answer.status_code, error_of(answer)["message"], calls) == (529, "Overloaded.", 0)


def test_a_server_that_is_away_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env, "judge_url", "http://127.0.0.1:9/v1")
    answer = with_relay(lambda engine: engine.post())
    assert answer.status_code == 502
    assert error_of(answer)["message"].startswith("127.0.0.1:9 can't be reached")


def test_a_server_that_stalls_before_its_answer_is_left(server: ModelServer) -> None:
    server.script = lambda talk: talk.exchange.hang()
    answer = with_relay(lambda engine: engine.post(), idle_seconds=0.2)
    assert answer.status_code == 504
    assert error_of(answer)["message"].endswith("sent nothing for 0.2 seconds.")


def test_a_server_that_stalls_within_its_answer_is_left(server: ModelServer) -> None:
    first, second, *_ = said_by_responses("One two three")

    def script(talk: Talk) -> None:
        talk.begin()
        talk.part(first + second)
        talk.exchange.hang()

    async def work(engine: Engine) -> tuple[bytes, str, bool]:
        answer = await engine.post()
        return answer.content, engine.relay.problem, engine.relay.meter.is_estimated

    server.script = script
    content, problem, is_estimated = with_relay(work, idle_seconds=0.2)
    assert content.startswith(first + second)
    last = content.removeprefix(first + second).strip().splitlines()
    assert last[0] == b"event: error"
    assert json.loads(last[1].removeprefix(b"data: "))["error"]["message"] == problem
    assert problem.endswith("sent nothing for 0.2 seconds.")
    assert is_estimated


def test_a_stream_that_ends_in_the_middle_is_told_of(server: ModelServer) -> None:
    server.script = lambda talk: talk.stream([*said_by_responses("One two")[:-1], b"data: {broken\n\n", b"\xff\xfe"])

    async def work(engine: Engine) -> tuple[bytes, str, bool]:
        return (await engine.post()).content, engine.relay.problem, engine.relay.meter.is_estimated

    content, problem, is_estimated = with_relay(work)
    assert content.endswith(b"data: {broken\n\n\xff\xfe")
    assert problem.endswith("broke its answer off: it ended in the middle.")
    assert is_estimated


def test_an_error_within_a_stream_is_told_of(server: ModelServer) -> None:
    failed = {"type": "response.failed", "response": {"error": {"message": f"No quota for {KEY}."}}}
    server.script = lambda talk: talk.stream([*said_by_responses("One")[:-1], event(failed)])

    async def work(engine: Engine) -> tuple[str, str]:
        return (await engine.post()).text, engine.relay.problem

    text, problem = with_relay(work)
    assert problem.endswith("broke its answer off: No quota for ….")
    assert KEY not in text


@pytest.mark.parametrize("api", Api)
def test_no_answer_repeats_the_key(server: ModelServer, api: Api) -> None:
    said = (said_by_responses if api is Api.RESPONSES else said_by_chat)(f"Your key is {KEY}")
    server.script = lambda talk: talk.stream([b"".join(said)[:150], b"".join(said)[150:]])
    assert KEY not in with_relay(lambda engine: engine.post(None, api)).text
    server.script = lambda talk: talk.json(chat_completion(f"Your key is {KEY}"))
    assert KEY not in with_relay(lambda engine: engine.post(None, api)).text
    server.script = lambda talk: talk.json(f"nginx knows {KEY}".encode(), 500, Retry_After=KEY)
    answer = with_relay(lambda engine: engine.post(None, api))
    assert KEY not in answer.text + str(answer.headers)


def test_an_answer_without_end_is_cut(server: ModelServer) -> None:
    block = event({"type": "response.output_text.delta", "delta": "x" * 1_000_000})

    def script(talk: Talk) -> None:
        talk.stream(block for _ in range(MAX_ANSWER_BYTES // 1_000_000 + 2))

    async def work(engine: Engine) -> tuple[int, str]:
        answer = await engine.post()
        return len(answer.content), engine.relay.problem

    server.script = script
    length, problem = with_relay(work)
    assert length <= MAX_ANSWER_BYTES + 1_000
    assert "more than 32 MiB" in problem


def test_a_long_request_arrives_whole(server: ModelServer) -> None:
    body = call_body(text="x" * 3_000_000)
    assert with_relay(lambda engine: engine.post(body)).status_code == 200
    assert server.asked[0].body["input"] == body["input"]


def test_the_model_hears_when_the_engine_goes_away(server: ModelServer) -> None:
    """The connection to the model ends with the one of the engine."""
    ended = []

    def script(talk: Talk) -> None:
        talk.begin()
        try:
            while True:
                talk.part(event({"type": "response.output_text.delta", "delta": "and on "}))
                time.sleep(0.005)
        except OSError:
            ended.append(True)
            raise

    async def work(engine: Engine) -> int:
        headers = {"Authorization": f"Bearer {engine.relay.token}"}
        url = f"{engine.relay.base_url}/responses"
        async with engine.client.stream("POST", url, json=call_body(), headers=headers) as answer:
            await anext(answer.aiter_raw())
        async with asyncio.timeout(10):
            while not engine.relay.meter.calls or not ended:
                await asyncio.sleep(0.01)
        return engine.relay.meter.calls

    server.script = script
    assert with_relay(work) == 1


def test_calls_under_way_end_with_the_relay(server: ModelServer) -> None:
    server.script = lambda talk: talk.exchange.hang()

    async def run() -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            async with Relay(ConnectedModel(MODEL), Budget()) as relay:
                call = asyncio.create_task(Engine(relay, client).post())
                while not server.asked:
                    await asyncio.sleep(0.01)
            return await call

    answer = asyncio.run(run())
    assert (answer.status_code, error_of(answer)["message"]) == (503, "The run has ended.")


@pytest.mark.parametrize("status", [400, 422])
def test_it_drops_an_option_that_the_server_refuses_and_remembers(server: ModelServer, status: int) -> None:
    def strict(talk: Talk) -> None:
        for option in ("stream_options", "cache_control"):
            if option in json.dumps(talk.asked.body):
                talk.error(status, f"Unknown parameter: '{option}'.")
                return
        talk.stream(said_by_chat("Fine."))

    block = {"type": "text", "text": "cache_control is what I want", "cache_control": {"type": "ephemeral"}}
    body = call_body(Api.CHAT_COMPLETIONS, messages=[{"role": "system", "content": [block]}])

    async def work(engine: Engine) -> list[int]:
        return [(await engine.post(body, Api.CHAT_COMPLETIONS)).status_code for _ in range(2)]

    block["text"] = "Be brief."
    server.script = strict
    assert with_relay(work, model=ConnectedModel(f"strict-{status}")) == [200, 200]
    assert ["stream_options" in asked.body for asked in server.asked] == [True, False, False, False]
    assert server.asked[-1].body["messages"] == [{"role": "system", "content": [{"type": "text", "text": "Be brief."}]}]


def test_a_budget_of_dollars_needs_a_price(server: ModelServer) -> None:
    with pytest.raises(LLMError, match="has no known price"):
        with_relay(lambda engine: engine.post(), Budget(dollars=Decimal(1)), ConnectedModel("homegrown"))
