"""Writes on model connections, with their rules and audit entries.

Violated rules raise `django.core.exceptions.ValidationError` by field, with text for people.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qsl

from django.core.exceptions import ValidationError
from django.db import transaction

from catalyst import llm, net
from catalyst.core.actor import Actor
from catalyst.core.audit import record
from catalyst.core.encrypted_fields import SecretUnreadable
from catalyst.core.models import Project
from catalyst.llms.models import JudgeHealth, ModelConnection
from catalyst.llms.presets import PRESETS
from catalyst.net import RESERVED_HEADERS, NetError, Target
from catalyst.registry import ModelUse, entries, users_of

MAX_NAME_CHARACTERS = 100
MAX_URL_CHARACTERS = 500
MAX_KEY_CHARACTERS = 4_000
MAX_HEADERS = 20
MAX_HEADER_CHARACTERS = 4_000
MAX_MODELS = 50
MAX_MODEL_CHARACTERS = 200
MAX_PRICE_USD = Decimal(100_000)
MAX_CONCURRENCY = 64
MAX_REQUESTS_PER_MINUTE = 1_000_000
MAX_CONNECTIONS = 50
DEFAULT_CONCURRENCY = 8

# Everything else in a query may be a secret, which would be shown with the address.
ALLOWED_PARAMETERS = frozenset({"api-version"})
HEADER_CHARACTERS = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")


@dataclass(frozen=True, slots=True)
class Settings:
    """A connection without its secrets. `prices` maps a model to US dollars per million tokens, input and output."""

    name: str
    base_url: str
    default_model: str
    preset: str = "other"
    allowed_models: Sequence[str] = ()
    prices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    concurrency: int = DEFAULT_CONCURRENCY
    requests_per_minute: int | None = None

    @classmethod
    def of(cls, connection: ModelConnection) -> "Settings":
        return cls(**{name: getattr(connection, name) for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class Secrets:
    """None keeps what is stored, if the connection still goes to the same scheme, host and port."""

    key: str | None = None
    headers: Mapping[str, str] | None = None


@transaction.atomic
def create(project: Project, settings: Settings, secrets: Secrets, *, by: Actor, now: datetime) -> ModelConnection:
    Project.lock_names(project.pk)
    others = project.model_connections.undeleted()
    if others.count() >= MAX_CONNECTIONS:
        raise ValidationError(f"A project has at most {MAX_CONNECTIONS} model connections. Delete one first.")
    checked = _checked(settings, others.values_list("name", flat=True))
    stored = _checked_secrets(secrets)
    connection = ModelConnection.objects.create(
        project=project, updated_at=now, **_columns(checked), **_secret_columns(stored), **by.as_creator()
    )
    record(by, "created", connection, detail=checked.base_url)
    return connection


@transaction.atomic
def edit(connection: ModelConnection, settings: Settings, secrets: Secrets, *, by: Actor, now: datetime) -> bool:
    """Return True if the stored secrets were cleared, because scheme, host or port of the address changed."""
    Project.lock_names(connection.project_id)
    locked = _locked(connection)
    others = locked.project.model_connections.undeleted().exclude(pk=locked.pk)
    checked = _checked(settings, others.values_list("name", flat=True))
    given = _secret_columns(_checked_secrets(secrets))
    is_moved = origin(locked.base_url) != origin(checked.base_url)
    clears = is_moved and any(getattr(locked, name) and name not in given for name in ("key", "headers"))
    if is_moved:
        given = {"key": "", "headers": ""} | given
    columns = _columns(checked)
    changed = [name for name, value in columns.items() if getattr(locked, name) != value]
    if not changed and not given:
        return False
    if given.get("key") or given.get("headers"):
        given["revoked_at"] = None
    _write(locked, {**columns, **given}, now)
    details = [*changed, *(f"new {name}" for name in ("key", "headers") if given.get(name))]
    if clears:
        details.append("stored secrets cleared with the address")
    record(by, "changed", locked, detail=", ".join(details).replace("_", " "))
    connection.copy_from(locked)
    return clears


@transaction.atomic
def replace_secrets(connection: ModelConnection, secrets: Secrets, *, by: Actor, now: datetime) -> None:
    """Store a new key, new headers or both. A revoked connection is asked again."""
    given = _secret_columns(_checked_secrets(secrets))
    if not any(given.values()):
        raise ValidationError({"key": "Enter the new key, or revoke the stored one."})
    locked = _locked(connection)
    _write(locked, {**given, "revoked_at": None}, now)
    record(by, "replaced the key of", locked, detail=" and ".join(given))
    connection.copy_from(locked)


@transaction.atomic
def revoke(connection: ModelConnection, *, by: Actor, now: datetime) -> bool:
    """Delete key and headers. Nothing is asked until new ones are entered. Returns False if already revoked."""
    locked = _locked(connection)
    if locked.revoked_at is not None:
        return False
    _write(locked, {"key": "", "headers": "", "revoked_at": now}, now)
    record(by, "revoked the key of", locked)
    connection.copy_from(locked)
    return True


@transaction.atomic
def delete(connection: ModelConnection, *, stops_users: bool, by: Actor, now: datetime) -> list[str]:
    """Return the names of what stopped. Raises ValidationError with what would stop, unless `stops_users`."""
    locked = _locked(connection)
    stopping = names_of_users(locked)
    if stopping and not stops_users:
        raise ValidationError(
            f"{locked.name} is in use. Without it these stop: {', '.join(stopping)}. "
            "Choose another model for them, or confirm that they stop."
        )
    _write(locked, {"key": "", "headers": "", "deleted_at": now}, now)
    record(by, "deleted", locked, detail=f"stopped {', '.join(stopping)}" if stopping else "")
    connection.copy_from(locked)
    return stopping


def users(connections: Collection[ModelConnection]) -> dict[int, list[tuple[str, str]]]:
    """Return what stops without each connection, by its id, as (name, path of the page)."""
    return users_of(ModelUse, [connection.pk for connection in connections])


def names_of_users(connection: ModelConnection) -> list[str]:
    return [name for name, _ in users([connection])[connection.pk]]


def header_names(connection: ModelConnection) -> list[str]:
    """Return the names of stored headers. Empty if they can't be decrypted."""
    try:
        return list(connection.reveal_headers())
    except SecretUnreadable:
        return []


def origin(url: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port. None if the address is not one that users may enter."""
    try:
        target = Target.parse(url)
    except NetError:
        return None
    return target.scheme, target.host, target.port


def parse_prices(lines: Mapping[str, str]) -> dict[str, Sequence[str]]:
    """Parse `INPUT/OUTPUT` by model. Raises ValidationError."""
    prices: dict[str, Sequence[str]] = {}
    for model, text in lines.items():
        parts = [part.strip() for part in str(text).split("/")]
        if len(parts) != 2:
            raise ValidationError({"prices": f"The price of {model} needs the form 0.15/0.60: input and output."})
        prices[model] = parts
    return prices


def _locked(connection: ModelConnection) -> ModelConnection:
    # Versions that name the connection may be made meanwhile.
    rows = ModelConnection.objects.undeleted().select_related("project").select_for_update(of=("self",), no_key=True)
    locked = rows.filter(pk=connection.pk).first()
    if locked is None:
        raise ValidationError("This model connection was deleted.")
    return locked


def _write(locked: ModelConnection, columns: Mapping[str, Any], now: datetime) -> None:
    for name, value in columns.items():
        setattr(locked, name, value)
    locked.updated_at = now
    locked.save(update_fields=[*columns, "updated_at"])
    for entry in entries(ModelUse):
        entry.resume(locked.pk, now)
    # Trouble with the connection as it was says nothing about it as it is. Last, as workers lock health last.
    JudgeHealth.objects.filter(connection=locked).delete()


def _columns(checked: Settings) -> dict[str, Any]:
    columns = {name: getattr(checked, name) for name in Settings.__slots__}
    prices = {model: list(price) for model, price in checked.prices.items()}
    return columns | {"allowed_models": list(checked.allowed_models), "prices": prices}


def _secret_columns(secrets: Secrets) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    if secrets.key is not None:
        columns["key"] = secrets.key
    if secrets.headers is not None:
        columns["headers"] = json.dumps(dict(secrets.headers)) if secrets.headers else ""
    return columns


def _checked(settings: Settings, other_names: Iterable[str]) -> Settings:
    name = " ".join(settings.name.split())
    default_model = settings.default_model.strip()
    models = list(dict.fromkeys(filter(None, [default_model, *(model.strip() for model in settings.allowed_models)])))
    prices = {model.strip(): price for model, price in settings.prices.items()}
    checked = replace(
        settings,
        name=name,
        base_url=settings.base_url.strip().rstrip("/"),
        default_model=default_model,
        allowed_models=models,
        prices=prices,
    )
    errors = dict(_errors(checked, {other.casefold() for other in other_names}))
    if errors:
        raise ValidationError(errors)
    return replace(checked, prices={model: [_plain(each) for each in price] for model, price in prices.items()})


def _errors(checked: Settings, other_names: set[str]) -> Iterator[tuple[str, str]]:
    if not 1 <= len(checked.name) <= MAX_NAME_CHARACTERS or not checked.name.isprintable():
        yield "name", f"A connection needs a name of at most {MAX_NAME_CHARACTERS} printable characters."
    elif checked.name.casefold() in other_names:
        yield "name", "Another connection of this project has this name."
    if checked.preset not in PRESETS:
        yield "preset", f"There is no provider {checked.preset}. Use one of: {', '.join(PRESETS)}."
    if text := _url_error(checked.base_url):
        yield "base_url", text
    yield from _model_errors(checked)
    if not 1 <= checked.concurrency <= MAX_CONCURRENCY:
        yield "concurrency", f"The calls at once are a whole number from 1 to {MAX_CONCURRENCY}."
    limit = checked.requests_per_minute
    if limit is not None and not 1 <= limit <= MAX_REQUESTS_PER_MINUTE:
        text = f"The requests per minute are a whole number from 1 to {MAX_REQUESTS_PER_MINUTE:,}."
        yield "requests_per_minute", text


def _model_errors(checked: Settings) -> Iterator[tuple[str, str]]:
    if not checked.default_model:
        yield "default_model", "Enter the model to ask, as the provider spells it."
    if len(checked.allowed_models) > MAX_MODELS:
        yield "allowed_models", f"A connection allows at most {MAX_MODELS} models."
    wrong = [model for model in checked.allowed_models if len(model) > MAX_MODEL_CHARACTERS or not model.isprintable()]
    if wrong:
        yield "allowed_models", f"The name of a model has at most {MAX_MODEL_CHARACTERS} printable characters."
    unknown = [model for model in checked.prices if model not in checked.allowed_models]
    if unknown:
        yield "prices", f"The connection does not allow the model {unknown[0]}. Add it to the models first."
    elif not all(_is_price(price) for price in checked.prices.values()):
        yield "prices", "A price is two amounts of US dollars per million tokens: input and output."


def _is_price(price: Sequence[str]) -> bool:
    try:
        amounts = [Decimal(each) for each in price]
    except (InvalidOperation, ValueError, TypeError):
        return False
    return len(amounts) == 2 and all(each.is_finite() and 0 <= each <= MAX_PRICE_USD for each in amounts)


def _plain(amount: str) -> str:
    return f"{Decimal(amount).normalize():f}"


def _url_error(url: str) -> str:
    if len(url) > MAX_URL_CHARACTERS:
        return f"The address is longer than {MAX_URL_CHARACTERS} characters."
    try:
        net.check_url(url)
    except NetError as error:
        return str(error)
    address, _, query = url.partition("?")
    if "#" in url:
        return "The address contains a #. Remove it and what follows."
    if {name for name, _ in parse_qsl(query, keep_blank_values=True)} - ALLOWED_PARAMETERS:
        return "The address may have the parameter api-version only. Enter a key as key or header."
    if address.rstrip("/").endswith(llm.PATH):
        return f"Enter the base URL, without {llm.PATH} at its end."
    return ""


def _checked_secrets(secrets: Secrets) -> Secrets:
    key = None if secrets.key is None else secrets.key.strip()
    headers = _stripped(secrets.headers) if secrets.headers is not None else None
    texts = {"key": _key_error(key or ""), "headers": _headers_error(headers or {})}
    errors = {name: text for name, text in texts.items() if text}
    if errors:
        raise ValidationError(errors)
    return Secrets(key, headers)


def _stripped(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.strip(): value.strip() for name, value in headers.items()}


# These texts name no value, because values are secrets.
def _key_error(key: str) -> str:
    if len(key) <= MAX_KEY_CHARACTERS and key.isascii() and (not key or key.isprintable()):
        return ""
    return "This key has characters that no key has, or is too long. Copy it again."


def _headers_error(headers: Mapping[str, str]) -> str:
    if len(headers) > MAX_HEADERS:
        return f"A connection sends at most {MAX_HEADERS} headers."
    return next(filter(None, map(_header_error, headers.items())), "")


def _header_error(header: tuple[str, str]) -> str:
    name, value = header
    if not name or not HEADER_CHARACTERS.issuperset(name.lower()):
        return "The name of a header has characters that HTTP does not allow. Write a line as Name: value."
    if name.lower() in RESERVED_HEADERS | {"content-type"}:
        return f"Catalyst sets the header {name} itself. Remove it."
    if len(value) > MAX_HEADER_CHARACTERS or not (value.isascii() and value.isprintable()):
        return f"The value of the header {name} has characters that HTTP does not allow, or is too long."
    return ""
