"""A client for chat models at OpenAI-compatible endpoints. Independent of Django.

async with LLM("https://api.openai.com/v1", key, concurrency=64) as llm:
    reply = await llm.ask(messages, model="gpt-4.1-mini", schema=schema)
"""

import asyncio
import json
import math
import re
import time
import zlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from http import HTTPStatus
from typing import Any, Self, cast
from urllib.parse import unquote_to_bytes

import httpx
from pydantic import BaseModel, ValidationError, field_validator

from catalyst.net import USER_AGENT, NetError, proxy_for, ssl_context

type ChatMessage = dict[str, str]
type Json = dict[str, Any]

MAX_REPLY_BYTES = 1 << 20
GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS  # zlib tells them apart by their headers
MAX_RETRY_AFTER_SECONDS = 3600.0
MAX_COUNT = (1 << 31) - 1

TRANSIENT_STATUSES = {408, 409, 425, 429, *range(500, 600)}
REFUSED_OPTION_STATUSES = {400, 404, 422}
SUSPECT_STATUSES = {500}
STATUS_TEXTS = {
    401: "refused the API key",
    403: "does not allow this key to use the model",
    404: "does not know this model or address",
    429: "asks to slow down",
}

# Options that an endpoint and model turned out to refuse; learnt once per process.
_refused: dict[tuple[str, str], frozenset[str]] = {}


class LLMError(Exception):
    """A call got no reply. The text is for people.

    `permanent`: retrying can't help. `suspect`: the request may be at fault, as with a timeout or an internal error.
    `retry_after`: seconds that the server asked to wait.
    """

    def __init__(
        self, message: str, *, permanent: bool = False, suspect: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.suspect = suspect
        self.retry_after = retry_after


class InvalidReply(LLMError):
    """The server's answer is not a chat completion."""


@dataclass(frozen=True, slots=True)
class Reply:
    # Token counts are None if the server reports none.
    text: str
    model: str
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    latency_ms: int
    finish_reason: str = ""
    refusal: str = ""


class LLM:
    """One endpoint, with up to `concurrency` calls at once. `timeout`: seconds for one `ask`."""

    def __init__(
        self,
        base_url: str,
        api_key: str = "",
        *,
        concurrency: int = 1,
        timeout: float = 60,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.timeout = timeout
        self._key = api_key
        # Straight to httpx's transports: its client's redirects and cookies, of no use here, take a third of a call.
        # Each request makes a pool look at all of its connections, so each connection has a pool of its own.
        self._transports = [transport or self._transport() for _ in range(concurrency)]
        self._busy = [0] * len(self._transports)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for transport in self._transports:
            await transport.aclose()

    async def ask(self, messages: Sequence[ChatMessage], *, model: str, schema: Json | None = None) -> Reply:
        """Send messages; `schema` requests JSON of that shape. Raises LLMError.

        A server may ignore the schema, so the reply can be any text.
        """
        started = time.monotonic()
        try:
            async with asyncio.timeout(self.timeout):
                completion = await self._complete(messages, model, schema)
        except TimeoutError as error:
            raise LLMError(f"{self._host} did not answer within {self.timeout:g} seconds.", suspect=True) from error
        return completion.reply(model, latency_ms=round((time.monotonic() - started) * 1000))

    async def _complete(self, messages: Sequence[ChatMessage], model: str, schema: Json | None) -> "_Completion":
        # Start with every option, drop those that the server refuses, and remember them once a call succeeds.
        sent = _options(schema)
        refused = _refused.get((self.base_url, model), frozenset())
        for name in refused:
            sent.pop(name, None)
        while True:
            status, headers, body = await self._post({"model": model, "messages": list(messages), **sent})
            if status == HTTPStatus.OK:
                completion = self._parse(body)
                if refused:
                    _refused[self.base_url, model] = refused
                return completion
            if status not in REFUSED_OPTION_STATUSES or not sent:
                raise self._error(status, headers, body)
            name = _refused_option(sent, body)
            del sent[name]
            refused |= {name}

    async def _post(self, payload: Json) -> tuple[int, httpx.Headers, bytes]:
        number = min(range(len(self._transports)), key=self._busy.__getitem__)
        content = json.dumps(payload, ensure_ascii=False).encode(errors="replace")
        self._busy[number] += 1
        try:
            request = httpx.Request("POST", self._address, headers=self._headers, content=content)
            async with aclosing(await self._transports[number].handle_async_request(request)) as response:
                return response.status_code, response.headers, await self._body_of(response)
        except NetError as error:
            raise LLMError(str(error), permanent=error.permanent) from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise LLMError(f"{self.base_url} is not a web address.", permanent=True) from error
        except httpx.NetworkError as error:
            never_sent = isinstance(error, httpx.ConnectError)
            raise LLMError(
                f"{self._host} can't be reached: {self._plain(str(error))}", suspect=not never_sent
            ) from error
        except httpx.HTTPError as error:
            raise LLMError(f"{self._host} broke the connection: {self._plain(str(error))}", suspect=True) from error
        finally:
            self._busy[number] -= 1

    async def _body_of(self, response: httpx.Response) -> bytes:
        try:
            return await self._read(response)
        except LLMError:
            if response.status_code == HTTPStatus.OK:
                raise
            return b""  # the status says what is wrong

    async def _read(self, response: httpx.Response) -> bytes:
        # Raw, because httpx decompresses without a limit.
        body = bytearray()
        async for chunk in cast(httpx.AsyncByteStream, response.stream):
            body += chunk
            self._check_size(body)
        return self._decompress(bytes(body), response.headers.get("content-encoding", "").strip().lower())

    def _decompress(self, body: bytes, encoding: str) -> bytes:
        if encoding in ("", "identity"):
            return body
        if encoding not in ("gzip", "deflate"):
            raise self._broken(f"it answered in the encoding {encoding}, which was not asked for")
        stream = zlib.decompressobj(wbits=GZIP_OR_ZLIB)
        try:
            content = stream.decompress(body, MAX_REPLY_BYTES + 1)
        except zlib.error as error:
            raise self._broken(f"its answer is no valid {encoding}") from error
        self._check_size(content)
        if not stream.eof:
            raise self._broken(f"its answer is no whole {encoding}")
        return content

    def _broken(self, reason: str) -> LLMError:
        return LLMError(f"{self._host} broke the connection: {self._plain(reason)}.", suspect=True)

    def _check_size(self, body: bytes | bytearray) -> None:
        if len(body) > MAX_REPLY_BYTES:
            raise InvalidReply(f"{self._host} sent more than {MAX_REPLY_BYTES >> 20} MiB for one answer.")

    def _parse(self, body: bytes) -> "_Completion":
        try:
            return _Completion.model_validate_json(body)
        except ValidationError as error:
            raise InvalidReply(
                f"{self._host} sent no chat completion: {self._plain(body.decode(errors='replace'))}"
            ) from error

    def _error(self, status: int, headers: Mapping[str, str], body: bytes) -> LLMError:
        transient = status in TRANSIENT_STATUSES
        problem = STATUS_TEXTS.get(status, "has trouble" if transient else "refused the request")
        return LLMError(
            f"{self._host} {problem} ({status}): {self._plain(_message_of(body))}",
            permanent=not transient,
            suspect=status in SUSPECT_STATUSES,
            retry_after=_retry_after(headers) if transient else None,
        )

    def _transport(self) -> httpx.AsyncHTTPTransport:
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
        return httpx.AsyncHTTPTransport(verify=ssl_context(), limits=limits, proxy=proxy_for(self.base_url))

    @cached_property
    def _address(self) -> httpx.URL:
        address = httpx.URL(f"{self.base_url}/chat/completions")
        if not address.host:
            raise httpx.UnsupportedProtocol("An address without a host.")
        return address

    @cached_property
    def _headers(self) -> httpx.Headers:
        headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        if userinfo := self._address.userinfo:
            headers["Authorization"] = f"Basic {b64encode(unquote_to_bytes(userinfo)).decode()}"
        elif self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        return httpx.Headers(headers)

    @property
    def _host(self) -> str:
        return self.base_url.partition("://")[2].partition("/")[0] or self.base_url

    def _plain(self, text: str) -> str:
        # A server may echo our key.
        return plain(text.replace(self._key, "…") if self._key else text, 200) or "no further words."


def _options(schema: Json | None) -> Json:
    options: Json = {"temperature": 0}
    if schema is not None:
        answer = {"name": "answer", "strict": True, "schema": schema}
        options["response_format"] = {"type": "json_schema", "json_schema": answer}
    return options


def _refused_option(sent: Json, body: bytes) -> str:
    # Servers do not always name the option, so the last one is dropped.
    return "temperature" if "temperature" in sent and b"temperature" in body else next(reversed(sent))


def plain(text: str, limit: int) -> str:
    """Reduce untrusted text to one printable line of up to `limit` characters."""
    text = text[: limit * 4].encode(errors="replace").decode()
    text = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", text).split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _message_of(body: bytes) -> str:
    # Known shapes: {"error": {"message": …}}, {"error": …}, {"message": …}, {"detail": …}.
    try:
        data: Any = json.loads(body)
        for key in ("error", "message", "detail"):
            if isinstance(data, dict) and key in data:
                data = data[key]
        return data if isinstance(data, str) else json.dumps(data)
    except (ValueError, RecursionError):
        return body.decode(errors="replace")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    # The header holds seconds or a date.
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            then = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (then.replace(tzinfo=then.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return None if math.isnan(seconds) else min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None

    @field_validator("content", mode="before")
    @classmethod
    def _join_parts(cls, content: Any) -> Any:
        if not isinstance(content, list):
            return content
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Completion(BaseModel):
    choices: list[_Choice]
    model: str | None = None
    usage: Any = None

    @field_validator("choices")
    @classmethod
    def _not_empty(cls, choices: list[_Choice]) -> list[_Choice]:
        if not choices:
            raise ValueError("no choices")
        return choices

    def reply(self, asked_model: str, *, latency_ms: int) -> Reply:
        choice = self.choices[0]
        return Reply(
            text=choice.message.content or "",
            model=plain(self.model or asked_model, 200),
            input_tokens=_count(self.usage, "prompt_tokens"),
            output_tokens=_count(self.usage, "completion_tokens"),
            cached_tokens=_count(self.usage, "prompt_tokens_details", "cached_tokens"),
            latency_ms=latency_ms,
            finish_reason=choice.finish_reason or "",
            refusal=choice.message.refusal or "",
        )


def _count(usage: Any, *path: str) -> int | None:
    for key in path:
        usage = usage.get(key) if isinstance(usage, dict) else None
    is_count = isinstance(usage, int) and not isinstance(usage, bool) and 0 <= usage <= MAX_COUNT
    return usage if is_count else None
