"""Writes on channels, with their rules and audit entries.

Violated rules raise `django.core.exceptions.ValidationError` by field, with text for people.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction

from alerts import recipients
from alerts.channels.kind import Kind, Secrets, Settings, check
from alerts.channels.kinds import KINDS
from alerts.channels.mail import Mail, addresses_of
from alerts.models import Channel, Delivery, MessageSettings, Recipient
from alerts.models.channel import MAX_NAME_CHARACTERS, ChannelQuerySet
from catalyst.core.actor import SYSTEM, Actor
from catalyst.core.audit import record
from catalyst.core.encrypted_fields import SecretUnreadable
from catalyst.core.models import Project
from catalyst.registry import ChannelUse, users_of

MAX_CHANNELS = 50


@dataclass(frozen=True, slots=True)
class Given:
    """What somebody entered. What is not given keeps its value; an empty secret that is given is deleted."""

    name: str | None = None
    settings: Settings | None = None
    secrets: Secrets | None = None
    judge_outages: bool | None = None


@dataclass(frozen=True, slots=True)
class Edited:
    """`cleared`: labels of stored secrets that were deleted, because they would have gone elsewhere."""

    new_recipients: list[Recipient]
    cleared: list[str]


@transaction.atomic
def create(project: Project, kind_key: str, given: Given, *, by: Actor, now: datetime) -> tuple[Channel, Edited]:
    Project.lock_names(project.pk)
    others = project.channels.undeleted()
    if others.count() >= MAX_CHANNELS:
        raise ValidationError(f"A project has at most {MAX_CHANNELS} channels. Delete one first.")
    kind = _kind(kind_key)
    defaults = {field.name: field.default for field in kind.fields if not field.is_secret}
    values = _Values.of(kind, given, given.name or kind.name, defaults, {})
    values.check(others)
    channel = Channel.objects.create(
        project=project, kind=kind.key, created_at=now, updated_at=now, **values.columns, **by.as_creator()
    )
    record(by, "created", channel, detail=f"{kind.name}, {channel.address}")
    return channel, Edited(_replace_recipients(channel, values, now), [])


@transaction.atomic
def edit(channel: Channel, given: Given, *, by: Actor, now: datetime) -> Edited:
    Project.lock_names(channel.project_id)
    locked = _locked(channel)
    kind = kind_of(locked)
    values = _Values.of(kind, given, given.name or locked.name, locked.settings, stored_secrets(locked))
    values.check(locked.project.channels.undeleted().exclude(pk=locked.pk))
    columns = values.columns
    changed = [name for name in columns if name != "secrets" and getattr(locked, name) != columns[name]]
    if not changed and not values.new_secrets and not values.cleared:
        return Edited([], [])
    _write(locked, columns, now)
    details = [_detail(name, columns) for name in changed if name != "address"] + [
        f"new {name}" for name in values.new_secrets
    ]
    if values.cleared:
        details.append("stored secrets cleared with the address")
    record(by, "changed", locked, detail=", ".join(details).replace("_", " "))
    new = _replace_recipients(locked, values, now)
    channel.copy_from(locked)
    return Edited(new, values.cleared)


def _detail(name: str, columns: Mapping[str, object]) -> str:
    value = columns[name]
    return f"{name} {'on' if value else 'off'}" if isinstance(value, bool) else name


@transaction.atomic
def show_excerpts(project: Project, *, shown: bool, by: Actor) -> None:
    """Let messages of the project quote labels with their reasons, or not."""
    MessageSettings.objects.update_or_create(project=project, defaults={"shows_excerpts": shown})
    record(by, "changed", project, detail="messages quote labels" if shown else "messages quote no labels")


@transaction.atomic
def enable(channel: Channel, *, by: Actor, now: datetime) -> bool:
    """Returns False if it was not disabled."""
    locked = _locked(channel)
    if locked.disabled_at is None:
        return False
    if text := kind_of(locked).unavailable:
        raise ValidationError(text)
    _write(locked, {"disabled_at": None, "disabled_reason": ""}, now)
    record(by, "enabled", locked)
    channel.copy_from(locked)
    return True


@transaction.atomic
def disable(channel: Channel, reason: str = "", *, by: Actor, now: datetime) -> bool:
    """Send nothing more. What waits is dropped. Returns False if it was disabled."""
    locked = _locked(channel)
    if locked.disabled_at is not None:
        return False
    text = reason or f"Disabled by {by.name}."
    text = text if text.endswith((".", "!", "?", "…")) else f"{text}."
    _write(locked, {"disabled_at": now, "disabled_reason": text[:500]}, now)
    drop_waiting(locked, f"The channel was disabled: {text}", now)
    record(by, "disabled", locked, detail=reason)
    channel.copy_from(locked)
    return True


@transaction.atomic
def disable_unchanged(channel: Channel, reason: str, *, now: datetime) -> bool:
    """Disable a channel that a service refused for good, unless somebody changed it meanwhile."""
    current = Channel.objects.undeleted().select_for_update(no_key=True).filter(pk=channel.pk).first()
    if current is None or current.updated_at != channel.updated_at:
        return False
    return disable(channel, reason, by=SYSTEM, now=now)


@transaction.atomic
def delete(channel: Channel, *, stops_users: bool, by: Actor, now: datetime) -> list[str]:
    """Return the names of what sent to it. Raises ValidationError with these names, unless `stops_users`."""
    locked = _locked(channel)
    stopping = names_of_users(locked)
    if stopping and not stops_users:
        raise ValidationError(
            f"{locked.name} is in use. These send to it: {', '.join(stopping)}. "
            "Choose another channel for them, or confirm that they send to one less."
        )
    _write(locked, {"secrets": "", "deleted_at": now}, now)
    drop_waiting(locked, "The channel was deleted.", now)
    locked.recipients.all().delete()
    record(by, "deleted", locked, detail=f"used by {', '.join(stopping)}" if stopping else "")
    channel.copy_from(locked)
    return stopping


def drop_waiting(channel: Channel, reason: str, now: datetime) -> None:
    dropped = Delivery.State.DROPPED
    Delivery.objects.open().filter(channel=channel).update(state=dropped, ended_at=now, error=reason[:500])


def kind_of(channel: Channel) -> Kind:
    return KINDS[channel.kind]


def stored_secrets(channel: Channel) -> dict[str, str]:
    """Empty if they can't be decrypted: then they are entered again."""
    try:
        return channel.reveal_secrets()
    except SecretUnreadable:
        return {}


def users(channels: Collection[Channel]) -> dict[int, list[tuple[str, str]]]:
    """Return what sends to each channel, by its id, as (name, path of the page)."""
    return users_of(ChannelUse, [channel.pk for channel in channels])


def names_of_users(channel: Channel) -> list[str]:
    return [name for name, _ in users([channel])[channel.pk]]


@dataclass(frozen=True, slots=True)
class _Values:
    """Everything that a channel would have."""

    kind: Kind
    name: str
    settings: dict[str, str]
    secrets: dict[str, str]
    new_secrets: list[str]
    # Names of those that were stored and are no more.
    gone: list[str]
    unknown: list[str]
    # None leaves it.
    judge_outages: bool | None

    @classmethod
    def of(cls, kind: Kind, given: Given, name: str, settings: Settings, secrets: Secrets) -> "_Values":
        given_settings, given_secrets = _stripped(given.settings), _stripped(given.secrets)
        merged = _merged(kind, settings, given_settings)
        kept = {**secrets, **given_secrets}
        goes_to = kind.goes_to(merged, kept)
        # What leads nowhere is refused anyway.
        if secrets and goes_to and goes_to != kind.goes_to(settings, secrets):
            kept = given_secrets
        gone = [each for each in secrets if each not in kept]
        new = [each for each, value in given_secrets.items() if value != secrets.get(each, "")]
        kept = {each: value for each, value in kept.items() if value}
        unknown = [
            *(f"setting {each}" for each in given_settings.keys() - set(kind.setting_names)),
            *(f"secret {each}" for each in given_secrets.keys() - set(kind.secret_names)),
        ]
        return cls(kind, " ".join(name.split()), merged, kept, new, gone, unknown, given.judge_outages)

    def check(self, others: ChannelQuerySet) -> None:
        """`others`: of the project. Raises ValidationError."""
        errors = self._errors([name.casefold() for name in others.values_list("name", flat=True)])
        if errors:
            raise ValidationError(errors)

    def _errors(self, other_names: Collection[str]) -> dict[str, str]:
        errors: dict[str, str] = {}
        if not 1 <= len(self.name) <= MAX_NAME_CHARACTERS or not self.name.isprintable():
            errors["name"] = f"A channel needs a name of at most {MAX_NAME_CHARACTERS} printable characters."
        elif self.name.casefold() in other_names:
            errors["name"] = "Another channel of this project has this name."
        if self.unknown:
            errors["kind"] = f"{self.kind.name} has no {min(self.unknown)}."
        errors |= check(self.kind, self.settings, self.secrets)
        for name in self.gone:
            if name in errors:
                errors[name] = "The address goes elsewhere now. Enter this again, as it would be sent there."
        return errors

    @property
    def cleared(self) -> list[str]:
        return [field.label for field in self.kind.fields if field.name in self.gone]

    @property
    def columns(self) -> dict[str, object]:
        settings = self.settings
        if isinstance(self.kind, Mail):
            settings = settings | {"addresses": "\n".join(addresses_of(settings))}
        stored = json.dumps(self.secrets) if self.secrets else ""
        address = self.kind.address(settings, self.secrets)[:300]
        columns: dict[str, object] = {"name": self.name, "settings": settings, "secrets": stored, "address": address}
        return columns if self.judge_outages is None else columns | {"judge_outages": self.judge_outages}


def _merged(kind: Kind, stored: Settings, given: Settings) -> dict[str, str]:
    fields = [field for field in kind.fields if not field.is_secret]
    return {field.name: given.get(field.name, stored.get(field.name, "")) or field.default for field in fields}


def _stripped(given: Mapping[str, str] | None) -> dict[str, str]:
    lines = {name: value.replace("\r\n", "\n").strip() for name, value in (given or {}).items()}
    return {name: "\n".join(line.strip() for line in value.split("\n")) for name, value in lines.items()}


def _replace_recipients(channel: Channel, values: _Values, now: datetime) -> list[Recipient]:
    if not isinstance(values.kind, Mail):
        return []
    return recipients.replace(channel, addresses_of(values.settings), now)


def _kind(key: str) -> Kind:
    kind = KINDS.get(key)
    if kind is None:
        raise ValidationError({"kind": f"There is no kind {key}. Use one of: {', '.join(KINDS)}."})
    if kind.unavailable:
        raise ValidationError({"kind": kind.unavailable})
    return kind


def _locked(channel: Channel) -> Channel:
    rows = Channel.objects.undeleted().select_related("project").select_for_update(of=("self",), no_key=True)
    locked = rows.filter(pk=channel.pk).first()
    if locked is None:
        raise ValidationError("This channel was deleted.")
    return locked


def _write(locked: Channel, columns: Mapping[str, object], now: datetime) -> None:
    for name, value in columns.items():
        setattr(locked, name, value)
    locked.updated_at = now
    locked.save(update_fields=[*columns, "updated_at"])
