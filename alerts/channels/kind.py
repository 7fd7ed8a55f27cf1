"""What a kind of channel is, and how those that speak HTTP read answers."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import ClassVar

from catalyst import net
from catalyst.llm import plain
from catalyst.net import NetError, Response, Target
from catalyst.notifications import Message

type Settings = Mapping[str, str]
type Secrets = Mapping[str, str]

# For each request, in total.
TIMEOUT_SECONDS = 10.0
MAX_RETRY_AFTER_SECONDS = 3_600.0
MAX_ANSWER_CHARACTERS = 200
# Shorter texts are not hidden in answers: they would hide words.
MIN_HIDDEN_CHARACTERS = 6


class Fault(StrEnum):
    """What is wrong if a message was not delivered."""

    NOW = "now"  # it may work later
    MESSAGE = "message"  # this message never works, another one may
    CHANNEL = "channel"  # nothing works before somebody changes the channel; of a mail, its address


class SendError(Exception):
    """Not delivered. The text is for people and has no secrets. `retry_after`: seconds that the service asks for."""

    def __init__(self, text: str, fault: Fault = Fault.NOW, *, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.fault = fault
        self.retry_after = retry_after

    @property
    def permanent(self) -> bool:
        return self.fault != Fault.NOW


@dataclass(frozen=True, slots=True)
class Notice:
    """A message on its way. The same `key` goes along if it is sent again.

    `to` and `stop_url` are of mails: the address, and the page that ends them.
    """

    kind: str
    key: str
    message: Message
    now: datetime
    to: str = ""
    stop_url: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """A setting or a secret. Everything is text."""

    name: str
    label: str
    help: str = ""
    is_secret: bool = False
    is_required: bool = True
    is_long: bool = False
    max_characters: int = 500
    default: str = ""


class Kind(ABC):
    key: ClassVar[str]
    name: ClassVar[str]
    about: ClassVar[str]
    fields: ClassVar[Sequence[Field]]

    @property
    def unavailable(self) -> str:
        """Why nobody can use it here. Empty if they can."""
        return ""

    def errors(self, settings: Settings, secrets: Secrets) -> Iterator[tuple[str, str]]:
        """Yield names of fields and what is wrong. All fields have allowed lengths, and required ones are there."""
        yield from ()

    @abstractmethod
    def address(self, settings: Settings, secrets: Secrets) -> str:
        """Where it leads, for people, without anything secret."""

    def goes_to(self, settings: Settings, secrets: Secrets) -> str:
        """The scheme, host and port that get the secrets. If it changes, those that were stored are deleted."""
        return ""

    def choices(self, settings: Settings, secrets: Secrets) -> Sequence[tuple[str, str]]:
        """Return id and name of the places that the service offers. Raises SendError."""
        return ()

    @property
    def choice_field(self) -> str:
        """The setting that takes one of `choices`. Empty: there are none."""
        return ""

    @abstractmethod
    def send(self, settings: Settings, secrets: Secrets, notice: Notice) -> str:
        """Return what the service answered. Raises SendError."""

    @property
    def secret_names(self) -> list[str]:
        return [field.name for field in self.fields if field.is_secret]

    @property
    def setting_names(self) -> list[str]:
        return [field.name for field in self.fields if not field.is_secret]


def check(kind: Kind, settings: Settings, secrets: Secrets) -> dict[str, str]:
    """Return what is wrong, by field."""
    errors = {}
    for field in kind.fields:
        value = (secrets if field.is_secret else settings).get(field.name, "")
        if text := _error_of(field, value):
            errors[field.name] = text
    return errors or dict(kind.errors(settings, secrets))


def _error_of(field: Field, value: str) -> str:
    # The texts name no value, because it may be a secret.
    if field.is_required and not value:
        return "Enter a value."
    if len(value) > field.max_characters:
        return f"Use at most {field.max_characters:,} characters."
    if not value.replace("\n", "").isprintable():
        return "This has characters that can't be printed. Copy it again."
    return ""


def url_error(url: str) -> str:
    """Return why a URL can't be used. Empty if it can."""
    try:
        net.check_url(url)
    except NetError as error:
        return str(error)
    return ""


def origin_of(url: str) -> str:
    """`https://example.com:8443`. Empty for what is no URL."""
    try:
        target = Target.parse(url)
    except NetError:
        return ""
    host = f"[{target.host}]" if ":" in target.host else target.host
    port = "" if target.port == net.DEFAULT_PORTS[target.scheme] else f":{target.port}"
    return f"{target.scheme}://{host}{port}"


def request(
    method: str, url: str, *, headers: Mapping[str, str], content: bytes = b"", secrets: Secrets, now: datetime | None
) -> Response:
    """Return an answer that is no error. Raises SendError."""
    try:
        response = net.request(method, url, headers=headers, content=content, timeout=TIMEOUT_SECONDS)
    except NetError as error:
        raise SendError(str(error), Fault.CHANNEL if error.permanent else Fault.NOW) from error
    if 200 <= response.status < 300:
        return response
    said = answer(response, secrets)
    text = f"{Target.parse(url).host} answered {response.status}{f': {said}' if said else '.'}"
    raise SendError(text, _fault_of(response.status), retry_after=_retry_after(response.headers, now))


_OF_CHANNEL = {401, 403, 404, 405, 410}
_OF_NOW = {408, 425, 429}


def _fault_of(status: int) -> Fault:
    if status in _OF_NOW or status >= 500:
        return Fault.NOW
    return Fault.CHANNEL if status in _OF_CHANNEL else Fault.MESSAGE


def answer(response: Response, secrets: Secrets) -> str:
    """The beginning of an answer in one line. A service may repeat what it got, so secrets are hidden."""
    return without_secrets(response.content.decode("utf-8", "replace"), secrets.values())


def without_secrets(text: str, secrets: Collection[str]) -> str:
    for part in sorted({part for secret in secrets for part in _parts(secret)}, key=len, reverse=True):
        text = text.replace(part, "…")
    return plain(text, MAX_ANSWER_CHARACTERS)


def _parts(secret: str) -> Iterator[str]:
    # A URL or a header may come back in pieces.
    for piece in (secret, *secret.split(), *secret.replace("://", "/").replace("?", "/").split("/")):
        if len(piece) >= MIN_HIDDEN_CHARACTERS:
            yield piece


def _retry_after(headers: Mapping[str, str], now: datetime | None) -> float | None:
    # The header holds seconds or a date.
    text = headers.get("retry-after", "").strip()
    try:
        if text[:1].isdigit():
            seconds = float(text)
        else:
            then = parsedate_to_datetime(text)
            seconds = (then.replace(tzinfo=then.tzinfo or UTC) - (now or datetime.now(UTC))).total_seconds()
    except ValueError:
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)


def cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
