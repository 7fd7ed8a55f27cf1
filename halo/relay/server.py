"""The relay of one run.

async with Relay(model, Budget(tokens=200_000)) as relay:
    ...  # an engine asks relay.base_url with relay.token as its key
    relay.meter
"""

import asyncio
import hmac
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Self, cast

import httpx
import orjson
import uvicorn
from django.utils import timezone
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from catalyst.env import env
from catalyst.llm import Endpoint, LLMError, status_within
from catalyst.llms.endpoints import ConnectedModel, endpoint_of, wait_for_rate
from catalyst.net import NetError
from halo.relay import bodies
from halo.relay.answers import Answer, Receive, Refusal, Send
from halo.relay.bodies import Api, Json
from halo.relay.metering import FINISHING_SHARE, ZERO, AnswerReader, Budget, Meter, Usage, tokens_of

MAX_REQUEST_BYTES = 64 << 20
MAX_ANSWER_BYTES = 32 << 20
MAX_ERROR_BYTES = 64 << 10
# Models that think send nothing meanwhile.
IDLE_SECONDS = 180.0
CLOSING_SECONDS = 1.0
PREFIX = "/v1"
PATHS = {f"{PREFIX}{api.path}": api for api in Api}

# Options that an endpoint and model turned out to refuse; learned once per process.
_refused: dict[tuple[str, str], frozenset[str]] = {}


class Relay:
    """A server on loopback, for the `async with` block and whoever knows its token.

    It forwards calls to one model, with the key and the headers of its endpoint, which its clients never see. It names
    this model in each call. From 85 % of the budget on it leaves only the end of the run to ask for, and refuses calls
    beyond the budget with status 403. `on_change` is told of each new meter, within the event loop.

    Raises LLMError if the endpoint can't be asked, or if a budget of dollars can't hold without a known price.
    """

    def __init__(
        self,
        model: ConnectedModel,
        budget: Budget,
        *,
        on_change: Callable[[Meter], None] = lambda _: None,
        clock: Callable[[], datetime] = timezone.now,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self.token = secrets.token_urlsafe(32)
        self.base_url = ""
        self.meter = Meter()
        # Why the last call failed, in words for people, empty after one that did not.
        self.problem = ""
        # The budget that ended the run, as "200,000 tokens", empty before.
        self.exhausted = ""
        self.is_finishing = False
        self._model = model
        self._budget = budget
        self._on_change = on_change
        self._clock = clock
        self._idle_seconds = idle_seconds
        self._endpoint: Endpoint = endpoint_of(model.connection)
        self._calls_at_once = model.connection.concurrency if model.connection else env.judge_concurrency
        self._in_flight: list[_Reserved] = []
        self._exchanges: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        # The price list takes a second to load.
        price = await asyncio.to_thread(self._model.price, 1_000, 100, None, self._clock())
        if price is None and self._budget.dollars is not None:
            text = (
                f"{self._model.name} has no known price, so a budget of dollars can't hold. Set one of tokens instead."
            )
            raise LLMError(text, permanent=True)
        self._started_at = self._clock()
        self._slots = asyncio.Semaphore(self._calls_at_once)
        self._transport = self._endpoint.transport(self._calls_at_once, MAX_ANSWER_BYTES)
        config = uvicorn.Config(
            self._app,
            interface="asgi3",
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,
        )
        config.load()
        # Without uvicorn's server, which takes the signals of the process.
        self._state = state = ServerState()
        self._server = await asyncio.get_running_loop().create_server(
            lambda: HttpToolsProtocol(config, state, {}), "127.0.0.1", 0
        )
        port = self._server.sockets[0].getsockname()[1]
        self.base_url = f"http://127.0.0.1:{port}{PREFIX}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        exchanges = list(self._exchanges)
        for exchange in exchanges:
            exchange.cancel()
        await asyncio.gather(*exchanges, return_exceptions=True)
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=CLOSING_SECONDS)
        self._server.abort_clients()
        await self._transport.aclose()

    async def _app(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        answer = Answer(send)
        try:
            api = self._api_of(scope)
            body = await _body_of(receive)
            await self._unless_gone(self._exchange(api, body, answer), receive)
        except Refusal as refusal:
            await answer.refuse(refusal)

    def _api_of(self, scope: dict[str, Any]) -> Api:
        sent = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if not hmac.compare_digest(sent, f"Bearer {self.token}".encode()):
            raise Refusal(401, "invalid_token", "This is not the token of the run.")
        if scope["method"] != "POST" or scope["path"] not in PATHS:
            raise Refusal(404, "not_found", f"The relay knows {' and '.join(PATHS)}, by POST.")
        return PATHS[scope["path"]]

    async def _unless_gone(self, coroutine: Coroutine[Any, Any, None], receive: Receive) -> None:
        """Wait for an exchange, which ends when its client goes away or when the relay does."""
        exchange = asyncio.create_task(coroutine)
        self._exchanges.add(exchange)
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait({exchange, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not exchange.done():
                exchange.cancel()
            await asyncio.wait({exchange})
        finally:
            gone.cancel()
            self._exchanges.discard(exchange)
        if exchange.cancelled():
            raise Refusal(503, "ended", "The run has ended.")
        exchange.result()

    async def _exchange(self, api: Api, body: Json, answer: Answer) -> None:
        body = {**body, "model": self._model.name}
        async with self._slots:
            if self._model.connection:
                await wait_for_rate(self._model.connection, self._clock)
            async with self._admitted(api, body) as admitted:
                try:
                    async with asyncio.timeout(self._seconds_left()):
                        await self._forward(api, admitted, answer)
                except TimeoutError as error:
                    raise self._over_budget(f"{self._budget.minutes:g} minutes") from error

    @asynccontextmanager
    async def _admitted(self, api: Api, body: Json) -> AsyncIterator[Json]:
        """Reserve what a call may use. Yields the body to send, and raises Refusal beyond the budget."""
        output = bodies.output_limit(body)
        tokens = tokens_of(len(bodies.encoded(body))) + output
        dollars = self._model.price(tokens - output, output, None, self._clock()) or ZERO
        used, _ = self._used()
        after, limit = self._used(tokens, dollars)
        # What is left beyond the share is for the report: only a call that can end the run may cross the limit, once.
        if used >= 1 or (after > 1 and not bodies.can_finish(body)):
            raise self._over_budget(limit)
        if after >= FINISHING_SHARE:
            self.is_finishing = True
            body = bodies.finishing(api, body)
        reserved = _Reserved(tokens, dollars)
        self._in_flight.append(reserved)
        try:
            yield body
        finally:
            self._in_flight.remove(reserved)

    def _used(self, tokens: int = 0, dollars: Decimal = ZERO) -> tuple[float, str]:
        """The share of the budget that is used with these and with the calls in flight."""
        tokens += self.meter.total_tokens + sum(call.tokens for call in self._in_flight)
        dollars += sum((call.dollars for call in self._in_flight), ZERO)
        cost = None if self.meter.cost is None else self.meter.cost + dollars
        return self._budget.used(tokens, cost, self._minutes())

    def _minutes(self) -> float:
        return (self._clock() - self._started_at).total_seconds() / 60

    def _seconds_left(self) -> float | None:
        minutes = self._budget.minutes
        return None if minutes is None else max(0.0, minutes - self._minutes()) * 60

    def _over_budget(self, limit: str) -> Refusal:
        self.exhausted = self.exhausted or limit
        return Refusal(403, "budget_exhausted", f"The budget of {limit} is used up.")

    async def _forward(self, api: Api, body: Json, answer: Answer) -> None:
        """Send a call, without the options that the server refuses."""
        key = (self._endpoint.base_url, self._model.name)
        body = bodies.reporting_usage(api, body)
        for option in _refused.get(key, ()):
            body = bodies.without(body, option)
        dropped: frozenset[str] = frozenset()
        while True:
            content = bodies.encoded(body)
            async with self._sent(api, content) as response:
                if response.status_code == 200:
                    if dropped:
                        _refused[key] = _refused.get(key, frozenset()) | dropped
                    await self._pass_on(response, content, answer)
                    return
                error = await self._error_of(response)
            option = bodies.refused_option(body, response.status_code, error)
            if not option:
                raise self._refused_by_model(response.status_code, response.headers, error)
            body, dropped = bodies.without(body, option), dropped | {option}

    @asynccontextmanager
    async def _sent(self, api: Api, content: bytes) -> AsyncIterator[httpx.Response]:
        try:
            request = self._endpoint.request(content, api.path)
            async with aclosing(await self._in_time(self._transport.handle_async_request(request))) as response:
                yield response
        except (NetError, httpx.HTTPError, httpx.InvalidURL) as error:
            trouble = self._endpoint.trouble(error)
            raise self._failed(403 if trouble.permanent else 502, str(trouble)) from error
        except LLMError as error:
            raise self._failed(403, str(error)) from error

    async def _pass_on(self, response: httpx.Response, content: bytes, answer: Answer) -> None:
        if response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            raise self._failed(502, f"{self._endpoint.host} sent a compressed answer, which was not asked for.")
        reader = AnswerReader()
        try:
            if response.headers.get("content-type", "").strip().lower().startswith("text/event-stream"):
                await self._pass_stream(response, reader, answer)
            else:
                await self._pass_whole(response, reader, answer)
        finally:
            if not reader.is_no_answer:
                self._count(reader.usage(content))

    async def _pass_stream(self, response: httpx.Response, reader: AnswerReader, answer: Answer) -> None:
        await answer.begin("text/event-stream")
        async with aclosing(_lines(self._chunks(response))) as stream:
            async for lines in stream:
                reader.read_lines(lines)
                await answer.part(self._hide(lines))
        await answer.end()
        self.problem = ""
        if reader.error or not reader.has_ended:
            reason = reader.error or "it ended in the middle."
            self.problem = f"{self._endpoint.host} broke its answer off: {self._endpoint.plain(reason)}"

    async def _pass_whole(self, response: httpx.Response, reader: AnswerReader, answer: Answer) -> None:
        body = b"".join([chunk async for chunk in self._chunks(response)])
        reader.read(body)
        if reader.is_no_answer:
            # Some gateways answer 200 and tell of the error in the body.
            raise self._refused_by_model(status_within(body) or 502, response.headers, body)
        self.problem = ""
        await answer.whole(200, "application/json", self._hide(body))

    async def _chunks(self, response: httpx.Response) -> AsyncGenerator[bytes]:
        chunks = aiter(cast(httpx.AsyncByteStream, response.stream))
        received = 0
        while (chunk := await self._in_time(anext(chunks, None))) is not None:
            received += len(chunk)
            if received > MAX_ANSWER_BYTES:
                text = f"{self._endpoint.host} sent more than {MAX_ANSWER_BYTES >> 20} MiB for one answer."
                raise self._failed(502, text)
            yield chunk

    async def _error_of(self, response: httpx.Response) -> bytes:
        body = b""
        async with aclosing(self._chunks(response)) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > MAX_ERROR_BYTES:
                    break
        return body[:MAX_ERROR_BYTES]

    async def _in_time[T](self, awaitable: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._idle_seconds) as limit:
                return await awaitable
        except TimeoutError as error:
            if not limit.expired():
                raise
            text = f"{self._endpoint.host} sent nothing for {self._idle_seconds:g} seconds."
            raise self._failed(504, text) from error

    def _refused_by_model(self, status: int, headers: Mapping[str, str], body: bytes) -> Refusal:
        refusal = self._failed(_status_to_pass(status), str(self._endpoint.error(status, headers, body)))
        refusal.retry_after = self._endpoint.hide(headers.get("retry-after", ""))
        hidden = self._hide(body)
        if status >= 400 and _is_object(hidden):
            refusal.body = hidden  # engines look for codes in it
        return refusal

    def _failed(self, status: int, problem: str) -> Refusal:
        self.problem = problem
        self.meter = replace(self.meter, failed_calls=self.meter.failed_calls + 1)
        self._on_change(self.meter)
        return Refusal(status, "model_failed", problem)

    def _count(self, usage: Usage) -> None:
        cost = self._model.price(usage.input_tokens, usage.output_tokens, usage.cached_tokens, self._clock())
        self.meter = self.meter.plus(usage, cost)
        self._on_change(self.meter)

    def _hide(self, content: bytes) -> bytes:
        text = content.decode(errors="surrogateescape")
        return self._endpoint.hide(text).encode(errors="surrogateescape")


@dataclass(eq=False, frozen=True, slots=True)
class _Reserved:
    """What a call in flight may use."""

    tokens: int
    dollars: Decimal


def _status_to_pass(status: int) -> int:
    # Clients would follow a redirect, past the relay, and ask again and again after a server's error.
    if 300 <= status < 400:
        return 403
    return status if status >= 400 else 502


def _is_object(content: bytes) -> bool:
    try:
        return isinstance(orjson.loads(content), dict)
    except ValueError:
        return False


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """Whole lines as they come, so that no word is cut in two."""
    held: list[bytes] = []
    async for chunk in chunks:
        lines, end, rest = chunk.rpartition(b"\n")
        if end:
            yield b"".join([*held, lines, end])
            held = []
        if rest:
            held.append(rest)
    if held:
        yield b"".join(held)


async def _body_of(receive: Receive) -> Json:
    """Read the body of a request. Raises Refusal."""
    content = bytearray()
    while (message := await receive())["type"] == "http.request":
        content += message["body"]
        if len(content) > MAX_REQUEST_BYTES:
            raise Refusal(413, "too_large", f"A request has at most {MAX_REQUEST_BYTES >> 20} MiB.")
        if not message["more_body"]:
            break
    try:
        body = orjson.loads(content)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refusal(400, "no_json", "The body of a request is a JSON object.")
    return body


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
