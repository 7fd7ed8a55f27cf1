"""Operations on model connections."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Annotated

from pydantic import Field
from pydantic.config import JsonDict

from catalyst.core.operation_context import Context
from catalyst.env import env
from catalyst.llms import connection_tests, connections
from catalyst.llms.connection_tests import ConnectionTest
from catalyst.llms.connections import Secrets, Settings
from catalyst.llms.endpoints import address
from catalyst.llms.models import ModelConnection
from catalyst.llms.presets import PRESETS
from catalyst.operations import Effect, Id, Input, NotFound, Scope, operation

ENVIRONMENT = "Environment"

KeyText = Annotated[str, Field(max_length=connections.MAX_KEY_CHARACTERS)]
# `--key-file -` keeps a key out of the history of the shell.
_KEY: JsonDict = {"contentMediaType": "text/plain"}


@dataclass(frozen=True, slots=True)
class ConnectionRecord:
    """Secrets are never part of it. The environment's connection has no id and can't be changed here."""

    id: str | None
    name: str
    provider: str
    base_url: str
    default_model: str
    models: list[str]
    prices: dict[str, str]
    concurrency: int
    requests_per_minute: int | None
    has_key: bool
    headers: list[str]
    used_by: list[str]
    created_by_name: str = ""
    created_at: datetime | None = None
    revoked_at: datetime | None = None

    @classmethod
    def of(cls, row: ModelConnection, used_by: Sequence[str] | None = None) -> "ConnectionRecord":
        return cls(
            id=str(row.pk),
            name=row.name,
            provider=PRESETS[row.preset].name,
            base_url=row.base_url,
            default_model=row.default_model,
            models=list(row.allowed_models),
            prices={model: "/".join(price) for model, price in row.prices.items()},
            concurrency=row.concurrency,
            requests_per_minute=row.requests_per_minute,
            has_key=bool(row.key),
            headers=connections.header_names(row),
            used_by=connections.names_of_users(row) if used_by is None else list(used_by),
            created_by_name=row.created_by_name,
            created_at=row.created_at,
            revoked_at=row.revoked_at,
        )


@dataclass(frozen=True, slots=True)
class ConnectionList:
    connections: list[ConnectionRecord]


@dataclass(frozen=True, slots=True)
class Changed:
    """`secrets_cleared`: scheme, host or port of the address changed, so stored secrets were deleted."""

    connection: ConnectionRecord
    secrets_cleared: bool


@dataclass(frozen=True, slots=True)
class Deleted:
    name: str
    stopped: list[str] = field(default_factory=list)


class ConnectionInput(Input):
    connection: Id = Field(description="ID of the connection, as `list` shows it.")


class SecretsInput(Input):
    key: KeyText | None = Field(None, description="The API key. Never shown again.", json_schema_extra=_KEY)
    headers: dict[str, str] | None = Field(
        None, description="Headers of each call. Their values are never shown again."
    )

    @property
    def secrets(self) -> Secrets:
        return Secrets(self.key, self.headers)


class SettingsInput(SecretsInput):
    name: str | None = Field(None, description="Unique in the project.")
    preset: str | None = Field(None, alias="provider", description=f"One of: {', '.join(PRESETS)}.")
    base_url: str | None = Field(
        None,
        description="Without /chat/completions (default: the provider's). A new scheme, host or port deletes "
        "the stored key and headers.",
    )
    default_model: str | None = Field(None, description="The model of signals that name none.")
    allowed_models: list[str] | None = Field(
        None, alias="models", description="Further models that signals may choose."
    )
    prices: dict[str, str] | None = Field(
        None, description="US dollars per million tokens, INPUT/OUTPUT, where the price list has none."
    )
    concurrency: int | None = Field(
        None, description=f"Calls at once, of each worker (default: {connections.DEFAULT_CONCURRENCY})."
    )
    requests_per_minute: int | None = Field(None, description="0: no limit.")

    def settings(self, before: Settings) -> Settings:
        """Raises ValidationError for unreadable prices."""
        names = ("name", "preset", "base_url", "default_model", "allowed_models", "concurrency")
        changes = {name: value for name in names if (value := getattr(self, name)) is not None}
        if self.prices is not None:
            changes["prices"] = connections.parse_prices(self.prices)
        if self.requests_per_minute is not None:
            changes["requests_per_minute"] = self.requests_per_minute or None
        return replace(before, **changes)


class EditConnectionInput(ConnectionInput, SettingsInput):
    pass


class ReplaceKeyInput(ConnectionInput, SecretsInput):
    pass


class DeleteConnectionInput(ConnectionInput):
    stop_users: bool = Field(False, description="Delete it although signals use it. These stop judging.")


class TestConnectionInput(ConnectionInput):
    model: str = Field("", description="One of its models (default: its default model).")


@operation("models.list", Scope.ADMIN, Effect.READS)
def list_connections(context: Context, _arguments: Input) -> ConnectionList:
    """List model connections. That of the environment comes first, if there is one."""
    rows = list(context.project.model_connections.for_list())
    users = connections.users(rows)
    records = [ConnectionRecord.of(row, [name for name, _ in users[row.pk]]) for row in rows]
    return ConnectionList([*environment(), *records])


@operation("models.create", Scope.ADMIN, Effect.WRITES)
def create(context: Context, arguments: SettingsInput) -> ConnectionRecord:
    """Connect models. Signals can choose them at once."""
    preset = PRESETS.get(arguments.preset or "other", PRESETS["other"])
    start = Settings(name=preset.name, base_url=preset.base_url, default_model=preset.model)
    row = connections.create(
        context.project, arguments.settings(start), arguments.secrets, by=context.actor, now=context.now
    )
    return ConnectionRecord.of(row)


@operation("models.edit", Scope.ADMIN, Effect.WRITES)
def edit(context: Context, arguments: EditConnectionInput) -> Changed:
    """Change a connection. What is not given stays, but a new scheme, host or port deletes stored secrets."""
    row = connection_of(context, arguments)
    settings = arguments.settings(Settings.of(row))
    cleared = connections.edit(row, settings, arguments.secrets, by=context.actor, now=context.now)
    return Changed(ConnectionRecord.of(row), cleared)


@operation("models.replace_key", Scope.ADMIN, Effect.WRITES)
def replace_key(context: Context, arguments: ReplaceKeyInput) -> ConnectionRecord:
    """Store a new key, new headers or both, in place of the stored ones."""
    row = connection_of(context, arguments)
    connections.replace_secrets(row, arguments.secrets, by=context.actor, now=context.now)
    return ConnectionRecord.of(row)


@operation("models.revoke", Scope.ADMIN, Effect.WRITES)
def revoke(context: Context, arguments: ConnectionInput) -> ConnectionRecord:
    """Delete the stored key and headers. Labels wait until new ones are stored."""
    row = connection_of(context, arguments)
    connections.revoke(row, by=context.actor, now=context.now)
    return ConnectionRecord.of(row)


@operation("models.delete", Scope.ADMIN, Effect.WRITES)
def delete(context: Context, arguments: DeleteConnectionInput) -> Deleted:
    """Delete a connection. Refused with what would stop, unless that is confirmed."""
    row = connection_of(context, arguments)
    stopped = connections.delete(row, stops_users=arguments.stop_users, by=context.actor, now=context.now)
    return Deleted(row.name, stopped)


@operation("models.test", Scope.ADMIN, Effect.WRITES)
def test(context: Context, arguments: TestConnectionInput) -> ConnectionTest:
    """Make one real call, and say how long it took and what the endpoint supports."""
    return connection_tests.run(connection_of(context, arguments), arguments.model, context.now)


def environment() -> Sequence[ConnectionRecord]:
    """Return the connection of the environment, if there is one."""
    if not address():
        return ()
    models = list(dict.fromkeys(filter(None, [env.judge_model, *env.judge_models])))
    return (
        ConnectionRecord(
            id=None,
            name=ENVIRONMENT,
            provider="",
            base_url=address(),
            default_model=env.judge_model,
            models=models,
            prices={},
            concurrency=env.judge_concurrency,
            requests_per_minute=None,
            has_key=bool(env.judge_api_key),
            headers=[],
            used_by=[],
        ),
    )


def connection_of(context: Context, arguments: ConnectionInput) -> ModelConnection:
    """Raises NotFound."""
    row = context.project.model_connections.undeleted().filter(pk=arguments.connection).first()
    if row is None:
        raise NotFound(f"The project {context.project.slug} has no model connection {arguments.connection}.")
    return row
