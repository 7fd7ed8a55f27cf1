"""Asking a chat model, against a real server on loopback."""

import asyncio
import gzip
import json
import threading
import traceback
import tracemalloc
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import count
from typing import Any, cast

import httpx
import pytest

from catalyst import __version__
from catalyst.llm import LLM, Endpoint, InvalidReply, LLMError, Reply, plain
from tests.judge_server import Answer, Asked, JudgeServer, completion, error, refusing_schemas, says

MESSAGES = [{"role": "system", "content": "Classify."}, {"role": "user", "content": "Hello"}]
SCHEMA = {"type": "object", "properties": {"label": {"enum": ["yes", "no"]}}}
MODELS = count()


def ask(url: str, *, key: str = "", timeout: float = 5, model: str = "", schema: dict[str, Any] | None = None) -> Reply:
    async def once() -> Reply:
        async with LLM(Endpoint(url, key), timeout=timeout) as llm:
            return await llm.ask(MESSAGES, model=model or f"model-{next(MODELS)}", schema=schema)

    return asyncio.run(once())


@pytest.fixture
def server() -> Iterator[JudgeServer]:
    with JudgeServer(lambda _: says("yes")) as running:
        yield running


# Its client takes a second to import, which every run of any test would pay.
@pytest.mark.slow
def test_it_speaks_the_shape_that_openais_own_client_reads(server: JudgeServer) -> None:
    import openai  # noqa: PLC0415

    client = openai.OpenAI(base_url=server.url, api_key="k", max_retries=0)
    answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hello"}])
    assert answer.choices[0].message.content == '{"reason": "Because it says so.", "label": "yes"}'
    assert answer.usage is not None
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 100

    server.script = lambda _: error(429, "Slow down.", retry_after="7")
    with pytest.raises(openai.RateLimitError, match=r"Slow down\.") as caught:
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hello"}])
    assert caught.value.response.headers["retry-after"] == "7"


def test_it_returns_the_text_and_what_it_cost(server: JudgeServer) -> None:
    reply = ask(server.url, key="secret", model="big", schema=SCHEMA)
    assert reply.text == '{"reason": "Because it says so.", "label": "yes"}'
    assert (reply.input_tokens, reply.output_tokens, reply.cached_tokens) == (120, 12, 100)
    assert (reply.model, reply.latency_ms >= 0) == ("scripted-judge-1", True)
    (asked,) = server.asked
    assert asked.headers["authorization"] == "Bearer secret"
    assert asked.headers["user-agent"] == f"catalyst/{__version__}"
    assert (asked.payload["model"], asked.payload["temperature"]) == ("big", 0)
    assert asked.payload["response_format"]["json_schema"]["schema"] == SCHEMA


def test_it_sends_no_authorization_without_a_key(server: JudgeServer) -> None:
    ask(server.url)
    assert "authorization" not in server.asked[0].headers


@pytest.mark.parametrize("status", [400, 404, 422])
def test_it_does_without_a_schema_where_the_server_refuses_one_and_remembers(server: JudgeServer, status: int) -> None:
    server.script = refusing_schemas(lambda _: says("no"), status)
    for _ in range(2):
        assert "no" in ask(server.url, model="plain", schema=SCHEMA).text
    assert ["response_format" in asked.payload for asked in server.asked] == [True, False, False]
    assert all(asked.payload["temperature"] == 0 for asked in server.asked)
    ask(server.url, model="another", schema=SCHEMA)
    assert "response_format" in server.asked[3].payload


def test_it_does_without_a_temperature_where_the_model_has_none(server: JudgeServer) -> None:
    def reasoning_model(asked: Asked) -> Answer:
        if "temperature" in asked.payload:
            return error(
                400, "Unsupported value: 'temperature' does not support 0 with this model.", param="temperature"
            )
        return says("yes")

    server.script = reasoning_model
    ask(server.url, model="thinker", schema=SCHEMA)
    assert ["temperature" in asked.payload for asked in server.asked] == [True, False]
    assert all("response_format" in asked.payload for asked in server.asked)


def test_it_learns_nothing_from_a_request_that_fails_without_options_too(server: JudgeServer) -> None:
    server.script = lambda _: error(400, "This model's maximum context length is 8192 tokens.")
    with pytest.raises(LLMError, match="maximum context length") as caught:
        ask(server.url, model="small", schema=SCHEMA)
    assert caught.value.permanent
    server.script = lambda _: says("yes")
    ask(server.url, model="small", schema=SCHEMA)
    assert "response_format" in server.asked[-1].payload


@pytest.mark.parametrize(
    ("status", "permanent", "suspect", "words"),
    [
        (401, False, False, "refused the API key"),
        (402, False, False, "wants to be paid first"),
        (403, True, False, "does not allow this key to use the model"),
        (404, True, False, "does not know this model or address"),
        (418, True, False, "refused the request"),
        (408, False, False, "has trouble"),
        (409, False, False, "has trouble"),
        (425, False, False, "has trouble"),
        (429, False, False, "asks to slow down"),
        (500, False, True, "has trouble"),
        (503, False, False, "has trouble"),
    ],
)
def test_it_tells_lasting_errors_from_passing_ones(
    server: JudgeServer, status: int, permanent: bool, suspect: bool, words: str
) -> None:
    server.script = lambda _: error(status, "Because.")
    with pytest.raises(LLMError) as caught:
        ask(server.url)
    assert (caught.value.permanent, caught.value.suspect) == (permanent, suspect)
    host = server.url.removeprefix("http://").removesuffix("/v1")
    assert str(caught.value) == f"{host} {words} ({status}): Because."


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (lambda: "7", 7),
        (lambda: "0.5", 0.5),
        (lambda: "-3", 0),
        (lambda: "99999999", 3600),
        (lambda: "nan", None),
        (lambda: "soon", None),
        (lambda: format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True), 90),
        (lambda: "Wed, 21 Oct 2015 07:28:00 GMT", 0),
    ],
)
def test_it_reads_when_to_come_back(server: JudgeServer, header: Callable[[], str], seconds: float | None) -> None:
    server.script = lambda _: error(429, retry_after=header())
    with pytest.raises(LLMError) as caught:
        ask(server.url)
    assert caught.value.retry_after == (None if seconds is None else pytest.approx(seconds, abs=2))


def test_it_never_repeats_the_key_in_an_error(server: JudgeServer) -> None:
    server.script = lambda _: error(401, "Incorrect API key provided: sk-topsecret.")
    with pytest.raises(LLMError, match=r"Incorrect API key provided: …\."):
        ask(server.url, key="sk-topsecret")


SECRET = 'sk-top/secret+7 %"é'
ENCODED = "sk-top%2Fsecret%2B7%20%25%22%C3%A9"


@pytest.mark.parametrize(
    "told",
    [
        SECRET,
        ENCODED,
        "sk-top/secret%2B7%20%25%22%C3%A9",
        "sk-top%2Fsecret%2B7+%25%22%C3%A9",
        repr(SECRET),
        repr(SECRET.encode()),
        json.dumps(SECRET),
        json.dumps(json.dumps(SECRET)),
        f"Basic {b64encode(f'me:{SECRET}'.encode()).decode()}",
        f"http://me:{ENCODED}@llm.example/v1",
    ],
)
@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_it_repeats_the_password_of_its_address_in_no_spelling(server: JudgeServer, status: int, told: str) -> None:
    server.script = lambda _: completion(told) if status == 200 else error(status, f"Who is {told}?")
    url = server.url.replace("://", f"://me:{ENCODED}@")
    try:
        said = ask(url).text
    except LLMError as refused:
        said = "".join(traceback.format_exception(refused))
    assert "top" not in said.replace("stop", "")
    assert "secret" not in said
    assert b64encode(b"me:sk-top").decode()[:10] not in said


@pytest.mark.parametrize(
    "url", ["http://me:sk-top-secret@127.0.0.1:1/v1", "me:sk-top-secret@", "ftp://x:sk-top-secret@h"]
)
def test_an_address_that_fails_is_named_without_its_password(url: str) -> None:
    with pytest.raises(LLMError) as refused:
        ask(url)
    assert "sk-top-secret" not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("key", ["schlüssel-1234", "sk-one\nsk-two", "sk-\x7f", "sk-\u2026"])
def test_a_key_that_no_server_can_get_is_one_lasting_error(server: JudgeServer, key: str) -> None:
    with pytest.raises(LLMError, match="has characters that no key has") as refused:
        ask(server.url, key=key)
    assert refused.value.permanent
    assert key not in "".join(traceback.format_exception(refused.value))
    assert server.asked == []


def test_white_space_around_a_key_does_not_count(server: JudgeServer) -> None:
    ask(server.url, key=" secret\r\n")
    assert server.asked[0].headers["authorization"] == "Bearer secret"


@pytest.mark.parametrize(("key", "told"), [("token", "8192 tokens"), ("none", "nonesuch"), ("a", "a word")])
def test_a_key_that_is_a_word_leaves_longer_words_whole(server: JudgeServer, key: str, told: str) -> None:
    server.script = lambda _: error(400, f"It has {told}.")
    with pytest.raises(LLMError, match=told if key != "a" else "… word"):
        ask(server.url, key=key)


def test_a_redirect_is_named_without_its_query(server: JudgeServer) -> None:
    server.script = lambda _: Answer(b"", 301, {"Location": "https://llm.example/v2?key=sk-1"})
    with pytest.raises(LLMError, match=r"redirects to https://llm\.example/v2 \(301\)") as refused:
        ask(server.url)
    assert refused.value.permanent
    assert "sk-1" not in str(refused.value)


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"error": {"code": 429, "message": "Slower."}}, 429, "Slower."),
        ({"error": {"code": "overloaded", "message": "Busy."}}, 502, "Busy."),
        ({"error": "Down."}, 502, "Down."),
        ([{"error": {"code": 503, "message": "Later."}}], 503, "Later."),
        ({"choices": [{"error": {"code": 502, "message": "Upstream."}, "message": {"content": ""}}]}, 502, "Upstream."),
        ({"error": {"code": 400, "message": "Too long."}}, 400, "Too long."),
    ],
)
def test_an_error_within_a_200_is_that_error(server: JudgeServer, body: object, status: int, told: str) -> None:
    server.script = lambda _: Answer(body)
    with pytest.raises(LLMError, match=rf"\({status}\): {told}") as refused:
        ask(server.url)
    assert not isinstance(refused.value, InvalidReply)
    assert refused.value.permanent == (status == 400)


def test_a_null_error_is_none(server: JudgeServer) -> None:
    server.script = lambda _: Answer({**cast(dict[str, Any], says("yes").body), "error": None})
    assert "yes" in ask(server.url).text


@pytest.mark.parametrize("status", [400, 405, 415, 500, 501, 503])
@pytest.mark.parametrize("told", ["response_format is not supported", "json_schema: not implemented"])
def test_an_option_may_be_refused_with_any_status(server: JudgeServer, status: int, told: str) -> None:
    server.script = lambda asked: error(status, told) if "response_format" in asked.payload else says("no")
    assert "no" in ask(server.url, schema=SCHEMA).text
    assert len(server.asked) == 2


def test_an_error_about_something_else_keeps_the_options(server: JudgeServer) -> None:
    server.script = lambda _: error(503, "No capacity.")
    with pytest.raises(LLMError, match="No capacity"):
        ask(server.url, schema=SCHEMA)
    assert len(server.asked) == 1


def test_it_asks_azure_as_azure_wants_it(server: JudgeServer) -> None:
    base = server.url.removesuffix("/v1")
    ask(f"{base}/openai/deployments/gpt-4o/?api-version=2024-10-21", key="azure-key")
    (asked,) = server.asked
    assert asked.path == "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
    assert asked.headers["api-key"] == "azure-key"
    ask(server.url, key="other-key")
    assert "api-key" not in server.asked[-1].headers


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>Sign in</html>", b"[]", b"{}", {"choices": []}, {"choices": [{}]}, b"\xff\xfe", b"[" * 100_000],
)
def test_it_refuses_what_is_not_a_chat_completion(server: JudgeServer, body: object) -> None:
    server.script = lambda _: Answer(body)
    with pytest.raises(InvalidReply, match="sent no chat completion"):
        ask(server.url)


def compressed(answer: Answer, pack: Callable[[bytes], bytes], encoding: str, status: int = 200) -> Answer:
    return Answer(pack(json.dumps(answer.body).encode()), status, {"Content-Encoding": encoding})


PACKED = pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("GZIP", gzip.compress)]
)


@PACKED
def test_it_reads_what_a_server_compresses_unasked(
    server: JudgeServer, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    server.script = lambda _: compressed(completion("Yes."), pack, encoding)
    assert ask(server.url).text == "Yes."


@PACKED
def test_it_unpacks_no_more_than_its_bound(server: JudgeServer, encoding: str, pack: Callable[[bytes], bytes]) -> None:
    bomb = compressed(completion("a" * 60_000_000), pack, encoding)
    server.script = lambda _: bomb
    tracemalloc.start()
    try:
        with pytest.raises(InvalidReply, match="more than 1 MiB"):
            ask(server.url)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8_000_000


@pytest.mark.parametrize(
    ("encoding", "body", "text"),
    [
        ("zstd", b"(\xb5/\xfd", "in the encoding zstd"),
        ("br", b"\x1b", "in the encoding br"),
        ("gzip, gzip", gzip.compress(gzip.compress(b"{}", mtime=0), mtime=0), "in the encoding gzip, gzip"),
        ("gzip", b"no gzip", "no valid gzip"),
        ("gzip", gzip.compress(b"{}", mtime=0)[:-4], "no whole gzip"),
    ],
)
def test_it_refuses_encodings_that_it_does_not_read(server: JudgeServer, encoding: str, body: bytes, text: str) -> None:
    server.script = lambda _: Answer(body, 200, {"Content-Encoding": encoding})
    with pytest.raises(LLMError, match=text) as caught:
        ask(server.url)
    assert caught.value.suspect


def test_an_error_that_is_packed_oddly_is_still_an_error(server: JudgeServer) -> None:
    server.script = lambda _: Answer(b"?", 503, {"Content-Encoding": "br"})
    with pytest.raises(LLMError, match="has trouble") as caught:
        ask(server.url)
    assert not caught.value.permanent


def test_it_reads_no_more_than_its_bound(server: JudgeServer) -> None:
    server.script = lambda _: completion("a" * 3_000_000)
    with pytest.raises(InvalidReply, match="more than 1 MiB"):
        ask(server.url)


@pytest.mark.parametrize("lie", [-5, 1 << 40, "many", None, True, {"a": 1}])
def test_it_takes_no_impossible_token_counts(server: JudgeServer, lie: object) -> None:
    answer = says("yes")
    assert isinstance(answer.body, dict)
    answer.body["usage"] = {"prompt_tokens": lie, "completion_tokens": lie, "prompt_tokens_details": lie}
    server.script = lambda _: answer
    reply = ask(server.url)
    assert (reply.input_tokens, reply.output_tokens, reply.cached_tokens) == (None, None, None)


def test_it_reads_content_given_in_parts_and_a_refusal(server: JudgeServer) -> None:
    answer = completion(None, refusal="I can't.")
    assert isinstance(answer.body, dict)
    answer.body["choices"][0]["message"]["content"] = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    server.script = lambda _: answer
    reply = ask(server.url)
    assert (reply.text, reply.refusal) == ("ab", "I can't.")


def test_it_gives_up_on_a_server_that_takes_too_long(server: JudgeServer) -> None:
    server.script = lambda _: Answer(says("yes").body, delay=30)
    with pytest.raises(LLMError, match=r"did not answer (within|in)") as caught:
        ask(server.url, timeout=0.1)
    assert (caught.value.permanent, caught.value.suspect) == (False, True)


def test_it_says_when_nobody_listens(server: JudgeServer) -> None:
    url = server.url
    server.__exit__()
    with pytest.raises(LLMError, match="can't be reached") as caught:
        ask(url)
    assert (caught.value.permanent, caught.value.suspect) == (False, False)


@pytest.mark.parametrize("url", ["api.openai.com/v1", "ftp://example.org", "http://"])
def test_it_says_when_the_address_is_none(url: str) -> None:
    with pytest.raises(LLMError, match="is not a web address") as caught:
        ask(url)
    assert caught.value.permanent


def test_it_goes_through_the_proxy_of_the_environment(server: JudgeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url.removeprefix("http://").removesuffix("/v1"))
    ask("http://judge.invalid/v1")
    assert server.asked[-1].path == "http://judge.invalid/v1/chat/completions"

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    ask(server.url)
    assert server.asked[-1].path == "/v1/chat/completions"


def test_it_signs_in_as_the_address_says(server: JudgeServer) -> None:
    ask(server.url.replace("://", "://me:p%40ss@"), key="secret")
    assert server.asked[0].headers["authorization"] == "Basic bWU6cEBzcw=="


def test_it_makes_many_calls_at_once(server: JudgeServer) -> None:
    together = 70

    async def all_at_once() -> list[Reply]:
        async with LLM(Endpoint(server.url), concurrency=together, timeout=20) as shared:
            return await asyncio.gather(*(shared.ask(MESSAGES, model="m") for _ in range(together)))

    gate = threading.Barrier(together)

    def when_all_are_here(_: Asked) -> Answer:
        gate.wait(15)
        return says("yes")

    server.script = when_all_are_here
    assert len(asyncio.run(all_at_once())) == together
    assert server.most_at_once == together


def test_it_takes_a_transport_for_tests_without_a_network() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=says("yes").body)

    async def once() -> Reply:
        async with LLM(Endpoint("https://example.org/v1"), transport=httpx.MockTransport(handler)) as llm:
            return await llm.ask(MESSAGES, model="m")

    assert asyncio.run(once()).finish_reason == "stop"


@pytest.mark.parametrize(
    ("text", "result"),
    [("a\x00b\n\tc", "a b c"), ("\ud800x", "?x"), ("a" * 11, "a" * 9 + "…"), ("  ", "")],
)
def test_it_makes_foreign_text_plain(text: str, result: str) -> None:
    assert plain(text, 10) == result
