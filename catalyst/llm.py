"""A client for chat models at OpenAI-compatible endpoints. Independent of Django.

async with LLM(Endpoint("https://api.openai.com/v1", key), concurrency=64) as llm:
    reply = await llm.ask(messages, model="gpt-4.1-mini", schema=schema)
"""

import asyncio
import html
import json
import math
import re
import time
import zlib
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from http import HTTPStatus
from typing import Any, Self, cast
from urllib.parse import parse_qsl, quote, quote_plus, unquote, unquote_to_bytes

import httpx
from pydantic import BaseModel, ValidationError, field_validator

from catalyst.net import USER_AGENT, GuardedTransport, NetError, Policy, proxy_for, ssl_context

type ChatMessage = dict[str, str]
type Json = dict[str, Any]

PATH = "/chat/completions"
MAX_REPLY_BYTES = 1 << 20
GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS  # zlib tells them apart by their headers
MAX_RETRY_AFTER_SECONDS = 3600.0
MAX_COUNT = (1 << 31) - 1

ACCOUNT_STATUSES = {401, 402}
TRANSIENT_STATUSES = {*ACCOUNT_STATUSES, 408, 409, 425, 429, *range(500, 600)}
REFUSED_OPTION_STATUSES = {400, 404, 422}
SUSPECT_STATUSES = {500}
STATUS_TEXTS = {
    401: "refused the API key",
    402: "wants to be paid first",
    403: "does not allow this key to use the model",
    404: "does not know this model or address",
    429: "asks to slow down",
}

# What an error says of an option that the server refuses, whatever its status.
OPTION_WORDS = {
    "temperature": (b"temperature",),
    "response_format": (b"response_format", b"json_schema", b"response format", b"structured output", b"guided"),
}

SECRET_NAME = re.compile("key|token|secret|password|sig|auth|cookie", re.IGNORECASE)

# Options that an endpoint and model turned out to refuse; learnt once per process.
_refused: dict[tuple[str, str], frozenset[str]] = {}


class LLMError(Exception):
    """A call got no reply. The text is for people.

    `permanent`: retrying can't help. `suspect`: the request may be at fault, as with a timeout or an internal error.
    `account`: every request fails until a person gives another key or pays. `retry_after`: seconds that the server
    asked to wait.
    """

    def __init__(
        self,
        message: str,
        *,
        permanent: bool = False,
        suspect: bool = False,
        account: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.suspect = suspect
        self.account = account
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


class Endpoint:
    """An address where models answer. Its key and its headers are secrets, and sent with each request.

    Pass `guarded` for an address that a user chose: then only the targets that `catalyst.net` allows are reached.
    """

    def __init__(
        self, base_url: str, api_key: str = "", *, headers: Mapping[str, str] | None = None, guarded: bool = False
    ) -> None:
        self.base_url = base_url.strip().rstrip("/")
        # Files of settings, such as Docker's, keep the quotes around a value.
        self._key = api_key.strip().strip("\"'").strip()
        self._extra_headers = dict(headers or {})
        self._guarded = guarded
        self._secrets = _Secrets(self._key, self.base_url, self._extra_headers)

    @property
    def host(self) -> str:
        # Without user and password.
        authority = re.split("[/?#]", self.base_url.partition("://")[2])[0]
        return plain(authority.rpartition("@")[2], 200) or "The address of the model"

    def request(self, content: bytes, path: str = PATH) -> httpx.Request:
        """A request with JSON. Raises LLMError."""
        # What httpx says of such a header would show it.
        if not (self._key.isascii() and self._key.isprintable()):
            text = f"The API key for {self.host} has characters that no key has. Set it again, without them."
            raise LLMError(text, permanent=True)
        try:
            return httpx.Request("POST", self._address(path), headers=self._headers, content=content)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise self.trouble(error) from error

    def transport(self, connections: int = 1, max_bytes: int = MAX_REPLY_BYTES) -> httpx.AsyncBaseTransport:
        """`max_bytes`: of one answer, which only a guarded transport checks."""
        if self._guarded:
            return GuardedTransport(Policy(max_bytes=max_bytes), max_connections=connections)
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        return httpx.AsyncHTTPTransport(verify=ssl_context(), limits=limits, proxy=proxy_for(self.base_url))

    def hide(self, text: str) -> str:
        """The text without secrets, which servers may echo."""
        return self._secrets.hide(text)

    def plain(self, text: str) -> str:
        return plain(self.hide(text), 200) or "no further words."

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> LLMError:
        """What an answer that is no success says."""
        if 300 <= status < 400:
            return self._redirected(status, headers)
        transient = status in TRANSIENT_STATUSES
        problem = STATUS_TEXTS.get(status, "has trouble" if transient else "refused the request")
        return LLMError(
            f"{self.host} {problem} ({status}): {self.plain(_message_of(body))}",
            permanent=not transient,
            suspect=status in SUSPECT_STATUSES,
            account=status in ACCOUNT_STATUSES,
            retry_after=_retry_after(headers) if transient else None,
        )

    def trouble(self, error: NetError | httpx.HTTPError | httpx.InvalidURL) -> LLMError:
        """What an exchange that broke says."""
        if isinstance(error, NetError):
            return LLMError(str(error), permanent=error.permanent)
        if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
            return LLMError(f"{self.host} is not a web address.", permanent=True)
        if isinstance(error, httpx.NetworkError):
            never_sent = isinstance(error, httpx.ConnectError)
            return LLMError(f"{self.host} can't be reached: {self.plain(str(error))}", suspect=not never_sent)
        return LLMError(f"{self.host} broke the connection: {self.plain(str(error))}", suspect=True)

    def _redirected(self, status: int, headers: Mapping[str, str]) -> LLMError:
        # Only where to: its query may hold a key.
        target = headers.get("location", "").partition("?")[0]
        where = self.plain(unquote(unquote(target))) if target else "another address"
        text = f"{self.host} redirects to {where} ({status}), which Catalyst does not follow. Set that address instead."
        return LLMError(text, permanent=True)

    def _address(self, path: str) -> httpx.URL:
        # Azure's addresses have a query.
        base, has_query, query = self.base_url.partition("?")
        base = base.rstrip("/").removesuffix(PATH)
        address = httpx.URL(f"{base}{path}{has_query}{query}")
        if not address.host:
            raise httpx.UnsupportedProtocol("An address without a host.")
        return address

    @cached_property
    def _headers(self) -> httpx.Headers:
        address = self._address(PATH)
        headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        if userinfo := address.userinfo:
            headers["Authorization"] = f"Basic {b64encode(unquote_to_bytes(userinfo)).decode()}"
        elif self._key:
            headers["Authorization"] = f"Bearer {self._key}"
            if "api-version" in address.params:
                headers["api-key"] = self._key  # Azure
        merged = httpx.Headers(headers)
        merged.update(self._extra_headers)
        return merged


class LLM:
    """One endpoint, with up to `concurrency` calls at once. `timeout`: seconds for one `ask`."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        concurrency: int = 1,
        timeout: float = 60,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.timeout = timeout
        self._endpoint = endpoint
        # Straight to httpx's transports: its client's redirects and cookies, of no use here, take a third of a call.
        # Each request makes a pool look at all of its connections, so each connection has a pool of its own.
        self._transports = [transport or endpoint.transport() for _ in range(concurrency)]
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
            raise LLMError(
                f"{self._endpoint.host} did not answer within {self.timeout:g} seconds.", suspect=True
            ) from error
        reply = completion.reply(model, latency_ms=round((time.monotonic() - started) * 1000))
        hide = self._endpoint.hide  # a server may echo our key
        return replace(reply, text=hide(reply.text), model=plain(hide(reply.model), 200), refusal=hide(reply.refusal))

    def refused_options(self, model: str) -> frozenset[str]:
        """Return what earlier calls learned of this process: `temperature`, `response_format`."""
        return _refused.get((self._endpoint.base_url, model), frozenset())

    async def _complete(self, messages: Sequence[ChatMessage], model: str, schema: Json | None) -> "_Completion":
        # Start with every option, drop those that the server refuses, and remember them once a call succeeds.
        sent = _options(schema)
        refused = self.refused_options(model)
        for name in refused:
            sent.pop(name, None)
        while True:
            status, headers, body = await self._post({"model": model, "messages": list(messages), **sent})
            if status == HTTPStatus.OK:
                # Some gateways answer 200 and tell of the error in the body.
                status = status_within(body) or status
            if status == HTTPStatus.OK:
                break
            name = _refused_option(sent, status, body)
            if not name:
                raise self._endpoint.error(status, headers, body)
            del sent[name]
            refused |= {name}
        completion = self._parse(body)
        if refused:
            _refused[self._endpoint.base_url, model] = refused
        return completion

    async def _post(self, payload: Json) -> tuple[int, httpx.Headers, bytes]:
        content = json.dumps(payload, ensure_ascii=False).encode(errors="replace")
        request = self._endpoint.request(content)
        number = min(range(len(self._transports)), key=self._busy.__getitem__)
        self._busy[number] += 1
        try:
            async with aclosing(await self._transports[number].handle_async_request(request)) as response:
                return response.status_code, response.headers, await self._body_of(response)
        except (NetError, httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._endpoint.trouble(error) from error
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
        return LLMError(f"{self._endpoint.host} broke the connection: {self._endpoint.plain(reason)}.", suspect=True)

    def _check_size(self, body: bytes | bytearray) -> None:
        if len(body) > MAX_REPLY_BYTES:
            raise InvalidReply(f"{self._endpoint.host} sent more than {MAX_REPLY_BYTES >> 20} MiB for one answer.")

    def _parse(self, body: bytes) -> "_Completion":
        try:
            return _Completion.model_validate_json(body)
        except ValidationError as error:
            raise InvalidReply(
                f"{self._endpoint.host} sent no chat completion: {self._endpoint.plain(body.decode(errors='replace'))}"
            ) from error


def public_address(base_url: str) -> str:
    """The address without user, password and query."""
    scheme, separator, rest = base_url.strip().partition("://")
    authority, slash, path = rest.partition("?")[0].partition("#")[0].partition("/")
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path}".rstrip("/")


class _Secrets:
    """The key and the password of an endpoint, in the spellings in which servers and libraries repeat them."""

    # A key that is a common word may be part of other words.
    MIN_LENGTH = 12

    def __init__(self, key: str, base_url: str, headers: Mapping[str, str]) -> None:
        authority = re.split("[/?#]", base_url.partition("://")[2])[0]
        userinfo = authority.rpartition("@")[0]
        secrets = {key, userinfo, userinfo.partition(":")[2], *_query_values(base_url)}
        secrets |= set(_header_values(headers, self.MIN_LENGTH))
        secrets -= {""}
        secrets |= {unquote(secret) for secret in secrets}
        secrets |= {b64encode(secret.encode()).decode() for secret in secrets if ":" in secret}
        spellings = {spelling for secret in secrets for spelling in _spellings(secret)}
        ordered = sorted(spellings, key=lambda text: (-len(text), text))
        patterns = [
            f"(?i:{re.escape(text)})" if len(text) >= self.MIN_LENGTH else rf"(?<![\w-]){re.escape(text)}(?![\w-])"
            for text in ordered
        ]
        self._pattern = re.compile("|".join(patterns)) if patterns else None

    def hide(self, text: str) -> str:
        return self._pattern.sub("…", text) if self._pattern else text


def _spellings(secret: str) -> set[str]:
    encoded = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), html.escape(secret)}
    escaped = {repr(secret)[1:-1], repr(secret.encode())[2:-1]} | {text for each in encoded for text in _as_json(each)}
    return encoded | escaped | {text for each in escaped for text in _as_json(each)}


def _as_json(text: str) -> set[str]:
    return {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}


def _query_values(base_url: str) -> set[str]:
    # An address may carry its key as a parameter.
    values = parse_qsl(base_url.partition("?")[2])
    return {value for name, value in values if SECRET_NAME.search(name)}


def _header_values(headers: Mapping[str, str], min_length: int) -> Iterator[str]:
    # Short values of other headers are versions and the like, and may be words of an answer.
    for name, value in headers.items():
        if SECRET_NAME.search(name) or len(value) >= min_length:
            yield from (value, value.rpartition(" ")[2])


def _options(schema: Json | None) -> Json:
    options: Json = {"temperature": 0}
    if schema is not None:
        answer = {"name": "answer", "strict": True, "schema": schema}
        options["response_format"] = {"type": "json_schema", "json_schema": answer}
    return options


def _refused_option(sent: Json, status: int, body: bytes) -> str:
    """The option to leave out; empty if the error is about something else."""
    for name, words in OPTION_WORDS.items():
        if name in sent and any(word in body for word in words):
            return name
    # Servers do not always name the option, so the last one is dropped.
    return next(reversed(sent), "") if status in REFUSED_OPTION_STATUSES else ""


def status_within(body: bytes) -> int | None:
    """The status of an error in the body of a 200, or None if the body tells of none."""
    if b'"error"' not in body:
        return None
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    error = next((holder["error"] for holder in _holders(data) if holder.get("error")), None)
    if error is None:
        return None
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code < 600 else HTTPStatus.BAD_GATEWAY


def _holders(data: Any) -> Iterator[Json]:
    """The objects that may hold an error: the whole, of Gemini in a list of one, and the first choice."""
    whole = data[0] if isinstance(data, list) and data else data
    if isinstance(whole, dict):
        yield whole
        choices = whole.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            yield choices[0]


def plain(text: str, limit: int) -> str:
    """Reduce untrusted text to one printable line of up to `limit` characters."""
    text = text[: limit * 4].encode(errors="replace").decode()
    text = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", text).split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _message_of(body: bytes) -> str:
    # Known shapes: {"error": {"message": …}}, {"error": …}, {"message": …}, {"detail": …}, also within a choice.
    try:
        data: Any = json.loads(body)
    except (ValueError, RecursionError):
        return body.decode(errors="replace")
    data = next((holder for holder in _holders(data) if holder.get("error")), data)
    for key in ("error", "message", "detail"):
        if isinstance(data, dict) and key in data:
            data = data[key]
    return data if isinstance(data, str) else json.dumps(data)


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
        if isinstance(content, dict):
            return json.dumps(content)  # some servers parse it for us
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
            model=self.model or asked_model,
            input_tokens=token_count(self.usage, "prompt_tokens"),
            output_tokens=token_count(self.usage, "completion_tokens"),
            cached_tokens=token_count(self.usage, "prompt_tokens_details", "cached_tokens"),
            latency_ms=latency_ms,
            finish_reason=choice.finish_reason or "",
            refusal=choice.message.refusal or "",
        )


def token_count(usage: Any, *path: str) -> int | None:
    """Return a count that a server reports, or None."""
    for key in path:
        usage = usage.get(key) if isinstance(usage, dict) else None
    is_count = isinstance(usage, int) and not isinstance(usage, bool) and 0 <= usage <= MAX_COUNT
    return usage if is_count else None
