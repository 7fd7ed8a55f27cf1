"""Operations on channels."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import Field

from alerts import channel_settings, delivery, recipients
from alerts.channel_settings import Edited, Given
from alerts.channels.kind import SendError
from alerts.channels.kinds import KINDS
from alerts.delivery import ChannelTest
from alerts.models import Channel, Delivery, Recipient
from catalyst.core.operation_context import Context
from catalyst.operations import Effect, Id, Input, NewestInput, NotFound, Page, Scope, operation
from catalyst.pagination import newest_by_id

# Their names, their settings and what is secret in them.
_SETTINGS = "; ".join(f"{kind.key}: {', '.join(kind.setting_names)}" for kind in KINDS.values() if kind.setting_names)
_SECRETS = "; ".join(f"{kind.key}: {', '.join(kind.secret_names)}" for kind in KINDS.values() if kind.secret_names)


@dataclass(frozen=True, slots=True)
class RecipientRecord:
    id: str
    address: str
    gets_mail: bool
    state: str


@dataclass(frozen=True, slots=True)
class ChannelRecord:
    """Secrets are never part of it, only the names of those that are stored."""

    id: str
    name: str
    kind: str
    address: str
    enabled: bool
    disabled_reason: str
    disabled_at: datetime | None
    settings: dict[str, str]
    secrets: list[str]
    judge_outages: bool
    used_by: list[str]
    recipients: list[RecipientRecord]
    last_sent_at: datetime | None
    last_failed_at: datetime | None
    last_error: str
    created_by_name: str
    created_at: datetime

    @classmethod
    def of(
        cls, row: Channel, now: datetime, used_by: Sequence[str] | None = None, rows: Sequence[Recipient] | None = None
    ) -> "ChannelRecord":
        found = list(row.recipients.for_list()) if rows is None else rows
        return cls(
            id=str(row.pk),
            name=row.name,
            kind=row.kind,
            address=row.address,
            enabled=row.disabled_at is None,
            disabled_reason=row.disabled_reason,
            disabled_at=row.disabled_at,
            settings=dict(row.settings),
            secrets=sorted(channel_settings.stored_secrets(row)),
            judge_outages=row.judge_outages,
            used_by=channel_settings.names_of_users(row) if used_by is None else list(used_by),
            recipients=[RecipientRecord(str(each.pk), each.address, each.is_active, each.state(now)) for each in found],
            last_sent_at=row.last_sent_at,
            last_failed_at=row.last_failed_at,
            last_error=row.last_error,
            created_by_name=row.created_by_name,
            created_at=row.created_at,
        )


@dataclass(frozen=True, slots=True)
class ChannelList:
    channels: list[ChannelRecord]


@dataclass(frozen=True, slots=True)
class Changed:
    """`secrets_cleared`: labels of secrets that were deleted, because scheme, host or port of the address changed."""

    channel: ChannelRecord
    secrets_cleared: list[str]


@dataclass(frozen=True, slots=True)
class Deleted:
    name: str
    stopped: list[str]


@dataclass(frozen=True, slots=True)
class Choice:
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Choices:
    choices: list[Choice]


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    id: str
    channel: str
    kind: str
    key: str
    to: str
    title: str
    state: str
    attempts: int
    created_at: datetime
    ended_at: datetime | None
    next_attempt_at: datetime | None
    answer: str
    error: str

    @classmethod
    def of(cls, row: Delivery) -> "DeliveryRecord":
        return cls(
            id=str(row.pk),
            channel=str(row.channel_id),
            kind=row.kind,
            key=row.event_key,
            to=row.address,
            title=row.title,
            state=row.state,
            attempts=row.attempts,
            created_at=row.created_at,
            ended_at=row.ended_at,
            next_attempt_at=row.due_at if row.is_open else None,
            answer=row.answer,
            error=row.error,
        )


class ChannelInput(Input):
    channel: Id = Field(description="ID of the channel, as `list` shows it.")


class GivenInput(Input):
    name: str | None = Field(None, description="Unique in the project.")
    settings: dict[str, str] | None = Field(None, description=f"What is not secret. {_SETTINGS}.")
    secrets: dict[str, str] | None = Field(
        None, description=f"Never shown again. {_SECRETS}. --input keeps them out of the history of a shell."
    )
    judge_outages: bool | None = Field(None, description="Whether it is also told when a judge does not answer.")

    @property
    def given(self) -> Given:
        return Given(self.name, self.settings, self.secrets, self.judge_outages)


class CreateChannelInput(GivenInput):
    kind: str = Field(description=f"One of: {', '.join(KINDS)}.")


class EditChannelInput(ChannelInput, GivenInput):
    pass


class DeleteChannelInput(ChannelInput):
    stop_users: bool = Field(False, description="Delete it although alerts send to it.")


class ExcerptsInput(Input):
    shown: bool = Field(description="Whether messages quote labels with the judge's reasons.")


@dataclass(frozen=True, slots=True)
class ExcerptsRecord:
    shown: bool


class AskInput(ChannelInput):
    address: str = Field(description="An address of the channel.")


class DeliveriesInput(ChannelInput, NewestInput):
    pass


@operation("channels.list", Scope.ADMIN, Effect.READS)
def list_channels(context: Context, _arguments: Input) -> ChannelList:
    """List channels with their health."""
    rows = list(context.project.channels.for_list().prefetch_related("recipients"))
    users = channel_settings.users(rows)
    named = {row.pk: [name for name, _ in users[row.pk]] for row in rows}
    return ChannelList([ChannelRecord.of(row, context.now, named[row.pk], _recipients(row)) for row in rows])


@operation("channels.show", Scope.ADMIN, Effect.READS)
def show(context: Context, arguments: ChannelInput) -> ChannelRecord:
    """Show a channel with its health, and of one that mails the state of each address."""
    return ChannelRecord.of(channel_of(context, arguments), context.now)


@operation("channels.create", Scope.ADMIN, Effect.WRITES)
def create(context: Context, arguments: CreateChannelInput) -> ChannelRecord:
    """Make a channel. Each address of one that mails gets a link to confirm it."""
    row, _ = channel_settings.create(
        context.project, arguments.kind, arguments.given, by=context.actor, now=context.now
    )
    return ChannelRecord.of(row, context.now)


@operation("channels.edit", Scope.ADMIN, Effect.WRITES)
def edit(context: Context, arguments: EditChannelInput) -> Changed:
    """Change a channel. What is not given stays, but a new scheme, host or port deletes stored secrets."""
    row = channel_of(context, arguments)
    edited: Edited = channel_settings.edit(row, arguments.given, by=context.actor, now=context.now)
    return Changed(ChannelRecord.of(row, context.now), edited.cleared)


@operation("channels.test", Scope.ADMIN, Effect.WRITES)
def test(context: Context, arguments: ChannelInput) -> ChannelTest:
    """Send a real message, and show what the service answered."""
    return delivery.test(channel_of(context, arguments), context.now)


@operation("channels.enable", Scope.ADMIN, Effect.WRITES)
def enable(context: Context, arguments: ChannelInput) -> ChannelRecord:
    """Send messages again. Those that were dropped meanwhile are not sent."""
    row = channel_of(context, arguments)
    channel_settings.enable(row, by=context.actor, now=context.now)
    return ChannelRecord.of(row, context.now)


@operation("channels.disable", Scope.ADMIN, Effect.WRITES)
def disable(context: Context, arguments: ChannelInput) -> ChannelRecord:
    """Send nothing more. What waits is dropped."""
    row = channel_of(context, arguments)
    channel_settings.disable(row, by=context.actor, now=context.now)
    return ChannelRecord.of(row, context.now)


@operation("channels.delete", Scope.ADMIN, Effect.WRITES)
def delete(context: Context, arguments: DeleteChannelInput) -> Deleted:
    """Delete a channel. Refused with what sends to it, unless that is confirmed."""
    row = channel_of(context, arguments)
    stopped = channel_settings.delete(row, stops_users=arguments.stop_users, by=context.actor, now=context.now)
    return Deleted(row.name, stopped)


@operation("channels.ask", Scope.ADMIN, Effect.WRITES)
def ask(context: Context, arguments: AskInput) -> RecipientRecord:
    """Mail another link that confirms an address."""
    row = channel_of(context, arguments)
    recipient = row.recipients.select_related("channel").filter(address__iexact=arguments.address.strip()).first()
    if recipient is None:
        raise NotFound(f"The channel {row.name} has no such address.")
    recipients.ask_again(recipient, by=context.actor, now=context.now)
    return RecipientRecord(str(recipient.pk), recipient.address, recipient.is_active, recipient.state(context.now))


@operation("channels.excerpts", Scope.ADMIN, Effect.WRITES)
def excerpts(context: Context, arguments: ExcerptsInput) -> ExcerptsRecord:
    """Let the messages of the project quote labels with the judge's reasons, or not."""
    channel_settings.show_excerpts(context.project, shown=arguments.shown, by=context.actor)
    return ExcerptsRecord(arguments.shown)


@operation("channels.choices", Scope.ADMIN, Effect.READS)
def choices(context: Context, arguments: ChannelInput) -> Choices:
    """List the channels of Slack that a bot can post to."""
    row = channel_of(context, arguments)
    try:
        found = channel_settings.kind_of(row).choices(row.settings, channel_settings.stored_secrets(row))
    except SendError as error:
        raise NotFound(str(error)) from error
    return Choices([Choice(each, name) for each, name in found])


@operation("channels.deliveries", Scope.ADMIN, Effect.READS)
def deliveries(context: Context, arguments: DeliveriesInput) -> Page[DeliveryRecord]:
    """List the messages of a channel with what became of them, newest first."""
    row = channel_of(context, arguments)
    rows = newest_by_id(row.deliveries.all(), arguments.after, arguments.limit)
    return Page.of(rows, arguments.limit, DeliveryRecord.of, lambda each: each.pk)


def channel_of(context: Context, arguments: ChannelInput) -> Channel:
    """Raises NotFound."""
    row = context.project.channels.undeleted().filter(pk=arguments.channel).first()
    if row is None:
        raise NotFound(f"The project {context.project.slug} has no channel {arguments.channel}.")
    return row


def _recipients(row: Channel) -> list[Recipient]:
    # Prefetched.
    return sorted(row.recipients.all(), key=lambda each: each.address)
