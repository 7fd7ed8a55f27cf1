"""Ask a chat model over HTTP, at any OpenAI-compatible endpoint. Knows nothing of Django.

    async with LLM("https://api.openai.com/v1", key, concurrency=64) as llm:
        reply = await llm.ask(messages, model="gpt-4.1-mini", schema=schema)

What can go wrong is an `LLMError`, or its kind `InvalidReply`.
"""

import asyncio
import json
import math
import re
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import unquote_to_bytes

import httpx
from pydantic import BaseModel, ValidationError, field_validator

from catalyst.net import USER_AGENT, NetError, proxy_for, ssl_context

type ChatMessage = dict[str, str]
type Json = dict[str, Any]

MAX_REPLY_BYTES = 1 << 20
MAX_RETRY_AFTER_SECONDS = 3600.0
MAX_COUNT = (1 << 31) - 1

TRANSIENT = {408, 409, 425, 429, *range(500, 600)}
REFUSAL_OF_AN_OPTION = {400, 404, 422}
OWN_FAULT_POSSIBLE = {500}
WORDS = {
    401: "refused the API key",
    403: "does not allow this key to use the model",
    404: "does not know this model or address",
    429: "asks to slow down",
}

# Options that an endpoint and model turned out to refuse; learnt once per process.
_refused: dict[tuple[str, str], frozenset[str]] = {}


class LLMError(Exception):
    """A call gave no reply. The text is for people.

    `permanent`: repeating can't help. `suspect`: perhaps this one request is to blame rather than the server, as with
    an internal error or a timeout. `retry_after`: seconds that the server asked us to wait.
    """

    def __init__(
        self, message: str, *, permanent: bool = False, suspect: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.suspect = suspect
        self.retry_after = retry_after


class InvalidReply(LLMError):
    """The server answered, but not with a chat completion."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model said. Token counts are None where the server gives none."""

    text: str
    model: str
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    latency_ms: int
    finish_reason: str = ""
    refusal: str = ""


class LLM:
    """One endpoint, for up to `concurrency` calls at once. `timeout`: the longest that one `ask` takes, in seconds."""

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
        """Send the messages; with a schema, ask for JSON of that shape where the server can do it.

        The reply's text is whatever the model said: a server may ignore the schema. Raises LLMError.
        """
        started = time.monotonic()
        try:
            async with asyncio.timeout(self.timeout):
                completion = await self._complete(messages, model, schema)
        except TimeoutError as error:
            raise LLMError(f"{self._host} did not answer within {self.timeout:g} seconds.", suspect=True) from error
        return completion.reply(model, latency_ms=round((time.monotonic() - started) * 1000))

    async def _complete(self, messages: Sequence[ChatMessage], model: str, schema: Json | None) -> "_Completion":
        """Ask with every option; drop one that the server refuses, and remember that once it helped."""
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
            if status not in REFUSAL_OF_AN_OPTION or not sent:
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
                return response.status_code, response.headers, await self._read(response)
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

    async def _read(self, response: httpx.Response) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_REPLY_BYTES:
                raise InvalidReply(f"{self._host} sent more than {MAX_REPLY_BYTES >> 20} MiB for one answer.")
        return bytes(body)

    def _parse(self, body: bytes) -> "_Completion":
        try:
            return _Completion.model_validate_json(body)
        except ValidationError as error:
            raise InvalidReply(
                f"{self._host} sent no chat completion: {self._plain(body.decode(errors='replace'))}"
            ) from error

    def _error(self, status: int, headers: Mapping[str, str], body: bytes) -> LLMError:
        transient = status in TRANSIENT
        words = WORDS.get(status, "has trouble" if transient else "refused the request")
        return LLMError(
            f"{self._host} {words} ({status}): {self._plain(_message_of(body))}",
            permanent=not transient,
            suspect=status in OWN_FAULT_POSSIBLE,
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
        """Server text for an error message: one short line, without our key should it be echoed."""
        return plain(text.replace(self._key, "…") if self._key else text, 200) or "no further words."


def _options(schema: Json | None) -> Json:
    """What a call asks for beside its messages."""
    options: Json = {"temperature": 0}
    if schema is not None:
        answer = {"name": "answer", "strict": True, "schema": schema}
        options["response_format"] = {"type": "json_schema", "json_schema": answer}
    return options


def _refused_option(sent: Json, body: bytes) -> str:
    """The option that a server refused: the one that it names, else the last one."""
    return "temperature" if "temperature" in sent and b"temperature" in body else next(reversed(sent))


def plain(text: str, limit: int) -> str:
    """Foreign text as one line that any database column and page takes, cut to `limit` characters."""
    text = text[: limit * 4].encode(errors="replace").decode()
    text = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", text).split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _message_of(body: bytes) -> str:
    """The error text of the common shapes {"error": {"message": …}}, {"error": …}, {"message": …}, {"detail": …}."""
    try:
        found: Any = json.loads(body)
        for key in ("error", "message", "detail"):
            if isinstance(found, dict) and key in found:
                found = found[key]
        return found if isinstance(found, str) else json.dumps(found)
    except (ValueError, RecursionError):
        return body.decode(errors="replace")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by the Retry-After header, given as seconds or as a date."""
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
    """A token count as a server reports it, None where there is none or it can't be one."""
    for key in path:
        usage = usage.get(key) if isinstance(usage, dict) else None
    is_count = isinstance(usage, int) and not isinstance(usage, bool) and 0 <= usage <= MAX_COUNT
    return usage if is_count else None
