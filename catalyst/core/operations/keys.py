"""Operations on API keys."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from catalyst.core import operations
from catalyst.core.models import MAX_ORIGIN_CHARACTERS, MAX_ORIGINS, ApiKey
from catalyst.core.operation_context import Context
from catalyst.operations import Effect, Id, Input, InvalidInput, NewestInput, NotFound, Page, Scope, operation
from catalyst.pagination import newest_by_id

MAX_NAME_CHARACTERS = 100
MAX_PER_SECOND = 1_000_000
MAX_DAYS = 3_650

Origins = Annotated[list[Annotated[str, Field(max_length=2 * MAX_ORIGIN_CHARACTERS)]], Field(max_length=MAX_ORIGINS)]
PerSecond = Annotated[int, Field(ge=1, le=MAX_PER_SECOND)]


@dataclass(frozen=True, slots=True)
class KeyRecord:
    # `key` is set only on creation.
    id: str
    name: str
    hint: str
    scopes: list[str]
    requests_per_second: int | None
    spans_per_second: int | None
    created_by_name: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    origins: list[str]
    key: str | None = None

    @classmethod
    def of(cls, row: ApiKey, key: str | None = None) -> "KeyRecord":
        return cls(
            id=str(row.pk),
            name=row.name,
            hint=row.hint,
            scopes=list(row.scopes),
            requests_per_second=row.requests_per_second,
            spans_per_second=row.spans_per_second,
            created_by_name=row.created_by_name,
            created_at=row.created_at,
            last_used_at=row.last_used_at,
            expires_at=row.expires_at,
            revoked_at=row.revoked_at,
            origins=list(row.origins),
            key=key,
        )


class CreateKeyInput(Input):
    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS)] = Field(description="What it is for.")
    scopes: Annotated[list[ApiKey.Scope], Field(min_length=1)] = Field(description="ingest, read or write.")
    days: Annotated[int, Field(ge=1, le=MAX_DAYS)] | None = Field(None, description="Expires after (default: never).")
    origins: Origins | None = Field(
        None, description="Web pages that may send with it, such as https://app.example.com."
    )


class KeyInput(Input):
    key: Id = Field(description="ID of the key, as `list` shows it.")


class LimitKeyInput(KeyInput):
    requests: PerSecond | None = Field(None, description="Requests per second (default: the limit of the instance).")
    spans: PerSecond | None = Field(None, description="Spans per second (default: the limit of the instance).")


class KeyOriginsInput(KeyInput):
    origins: Origins | None = Field(None, description="Such as https://app.example.com (default: none).")


@operation("keys.list", Scope.READ, Effect.READS)
def list_keys(context: Context, arguments: NewestInput) -> Page[KeyRecord]:
    """List API keys, newest first, revoked ones too."""
    keys = newest_by_id(context.project.api_keys.all(), arguments.after, arguments.limit)
    return Page.of(keys, arguments.limit, KeyRecord.of, lambda key: key.pk)


@operation("keys.create", Scope.KEYS, Effect.WRITES)
def create_key(context: Context, arguments: CreateKeyInput) -> KeyRecord:
    """Create an API key. The key is shown this once."""
    name = arguments.name.strip()
    if not name:
        raise InvalidInput({"name": "This is required."})
    expires_at = context.now + timedelta(days=arguments.days) if arguments.days else None
    scopes = [scope.value for scope in dict.fromkeys(arguments.scopes)]
    row, key = operations.create_key(
        context.project,
        name=name,
        scopes=scopes,
        expires_at=expires_at,
        origins=arguments.origins or (),
        by=context.actor,
    )
    return KeyRecord.of(row, key)


@operation("keys.revoke", Scope.KEYS, Effect.WRITES)
def revoke_key(context: Context, arguments: KeyInput) -> KeyRecord:
    """Revoke an API key, at once and for good."""
    operations.revoke_key(_key_of(context, arguments), by=context.actor, now=context.now)
    return KeyRecord.of(_key_of(context, arguments))


@operation("keys.limit", Scope.KEYS, Effect.WRITES)
def limit_key(context: Context, arguments: LimitKeyInput) -> KeyRecord:
    """Set how many requests and spans an API key may send per second."""
    operations.limit_key(
        _key_of(context, arguments), requests=arguments.requests, spans=arguments.spans, by=context.actor
    )
    return KeyRecord.of(_key_of(context, arguments))


@operation("keys.origins", Scope.KEYS, Effect.WRITES)
def set_key_origins(context: Context, arguments: KeyOriginsInput) -> KeyRecord:
    """Set the origins of the web pages that may send with an API key for ingest alone."""
    operations.set_key_origins(_key_of(context, arguments), origins=arguments.origins or (), by=context.actor)
    return KeyRecord.of(_key_of(context, arguments))


def _key_of(context: Context, arguments: KeyInput) -> ApiKey:
    row = context.project.api_keys.filter(pk=arguments.key).first()
    if row is None:
        raise NotFound(f"The project {context.project.slug} has no API key {arguments.key}.")
    return row
