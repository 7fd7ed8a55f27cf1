"""A generic webhook: JSON with a version, signed as Standard Webhooks has it (docs/reference/webhook.md)."""

import base64
import binascii
import hashlib
import hmac
import json
import secrets as random
from collections.abc import Iterator
from typing import Any

from alerts.channels.kind import Field, Kind, Notice, Secrets, Settings, answer, origin_of, request, url_error
from catalyst.net import RESERVED_HEADERS

VERSION = 1
PREFIX = "whsec_"
MIN_KEY_BYTES, MAX_KEY_BYTES = 24, 64
MAX_HEADERS = 20
_OURS = {"content-type", "idempotency-key", "user-agent", "webhook-id", "webhook-timestamp", "webhook-signature"}
_NAME_CHARACTERS = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")


def new_secret() -> str:
    return PREFIX + base64.b64encode(random.token_bytes(32)).decode()


def payload(notice: Notice) -> dict[str, Any]:
    message = notice.message.model_dump(mode="json")
    return {"version": VERSION, "key": notice.key, "kind": notice.kind, **message}


def signature(secret: str, key: str, timestamp: str, body: bytes) -> str:
    signed = hmac.new(_key_of(secret), f"{key}.{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(signed.digest()).decode()}"


def _key_of(secret: str) -> bytes:
    """Raises ValueError."""
    if not secret.startswith(PREFIX):
        raise ValueError("no prefix")
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("no Base64") from error
    if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        raise ValueError("of another length")
    return key


class Webhook(Kind):
    key = "webhook"
    name = "Webhook"
    about = "Posts JSON to an address of yours, signed."
    fields = (
        Field("url", "URL", "Gets a POST with JSON. It is stored as a secret.", is_secret=True, max_characters=1_000),
        Field(
            "signing_secret",
            "Signing secret",
            f"{PREFIX} and {MIN_KEY_BYTES} to {MAX_KEY_BYTES} random bytes in Base64. "
            "The receiver needs the same to check signatures.",
            is_secret=True,
            max_characters=100,
        ),
        Field(
            "headers",
            "Headers",
            "Sent along and stored as a secret, one a line, as Name: value.",
            is_secret=True,
            is_required=False,
            is_long=True,
            max_characters=8_000,
        ),
    )

    def errors(self, settings: Settings, secrets: Secrets) -> Iterator[tuple[str, str]]:
        if text := url_error(secrets["url"]):
            yield "url", text
        try:
            _key_of(secrets["signing_secret"])
        except ValueError:
            size = f"{MIN_KEY_BYTES} to {MAX_KEY_BYTES}"
            yield "signing_secret", f"A signing secret is {PREFIX} and {size} random bytes in Base64."
        if text := _headers_error(secrets.get("headers", "")):
            yield "headers", text

    def address(self, settings: Settings, secrets: Secrets) -> str:
        return f"{origin_of(secrets['url'])}/…"

    def goes_to(self, settings: Settings, secrets: Secrets) -> str:
        return origin_of(secrets.get("url", ""))

    def send(self, settings: Settings, secrets: Secrets, notice: Notice) -> str:
        body = json.dumps(payload(notice), ensure_ascii=False).encode()
        timestamp = str(int(notice.now.timestamp()))
        own = {
            "Content-Type": "application/json",
            "Idempotency-Key": notice.key,
            "Webhook-Id": notice.key,
            "Webhook-Timestamp": timestamp,
            "Webhook-Signature": signature(secrets["signing_secret"], notice.key, timestamp, body),
        }
        response = request(
            "POST",
            secrets["url"],
            headers={**dict(_headers(secrets.get("headers", ""))), **own},
            content=body,
            secrets=secrets,
            now=notice.now,
        )
        return f"{response.status} {answer(response, secrets)}".strip()


def _headers(text: str) -> Iterator[tuple[str, str]]:
    for line in filter(str.strip, text.splitlines()):
        name, _, value = line.partition(":")
        yield name.strip(), value.strip()


def _headers_error(text: str) -> str:
    # The texts name no value, because values are secrets.
    headers = list(_headers(text))
    if len(headers) > MAX_HEADERS:
        return f"A webhook sends at most {MAX_HEADERS} headers."
    return next(filter(None, (_header_error(name, value) for name, value in headers)), "")


def _header_error(name: str, value: str) -> str:
    if not name or not _NAME_CHARACTERS.issuperset(name.lower()):
        return "The name of a header has characters that HTTP does not allow. Write a line as Name: value."
    if name.lower() in RESERVED_HEADERS | _OURS:
        return f"Catalyst sets the header {name} itself. Remove it."
    if not value or not (value.isascii() and value.isprintable()):
        return f"The header {name} has no value, or characters that HTTP does not allow."
    return ""
