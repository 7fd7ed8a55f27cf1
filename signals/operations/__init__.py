"""What people do with signals. Every rule about a signal's definition is here, whoever asks: page, admin or machine.

What is not allowed raises `django.core.exceptions.ValidationError` by field, with words for people.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.core.exceptions import ValidationError
from django.db import transaction

from catalyst.agents.models import Agent
from catalyst.core.actor import SYSTEM, Actor
from catalyst.core.audit import record
from catalyst.core.models import Project
from catalyst.llms.amounts import Cap, budget_day
from catalyst.llms.models import Budget
from signals.definitions.choices import Scope
from signals.definitions.definition import Definition, checked_definition, checked_name, version_columns
from signals.judging import budget_checks
from signals.judging.judges import model_for
from signals.models import Label, Signal, SignalVersion
from signals.targets import requeue


class VersionConflict(ValidationError):
    """The edit that would ask `question` began before version `current` went live. Nothing was changed."""

    def __init__(self, current: SignalVersion, question: Definition) -> None:
        super().__init__(f"Version {current.number} went live after this edit was begun.")
        self.current, self.question = current, question


class Renamed(ValidationError):
    """The edit that would change the name began before somebody else changed it to `current`. Nothing was changed."""

    def __init__(self, current: str) -> None:
        super().__init__({"name": f"It was renamed to “{current}” after this edit was begun. Save again to rename it."})
        self.current = current


def create_signal(
    agent: Agent, *, name: str, scope: str, question: Definition, by: Actor = SYSTEM, template: str = ""
) -> Signal:
    """Make a draft with its first version, in the agent's project."""
    if scope not in Scope.values:
        raise ValidationError({"scope": "The scope is span, trace or session."})
    checked = checked_definition(question, scope)
    with transaction.atomic():
        signal = Signal.objects.create(
            project_id=agent.project_id,
            agent=agent,
            name=checked_name(name),
            scope=scope,
            template=template,
            **by.as_creator(),
        )
        _add_version(signal, checked, by)
        record(by, "created", signal)
    return signal


def draft_version(question: Definition, agent: Agent, scope: str, signal: Signal | None = None) -> SignalVersion:
    """The question as a version that is not stored, of this signal or of a new one, to try it."""
    checked = checked_definition(question, scope, _judge_model_of(signal))
    of = signal or Signal(project_id=agent.project_id, agent=agent, scope=scope)
    return SignalVersion(signal=of, number=0, **version_columns(checked))


def publish_version(
    signal: Signal,
    question: Definition,
    by: Actor = SYSTEM,
    *,
    based_on: int | None = None,
    restores: int | None = None,
) -> SignalVersion:
    """Make the question the signal's current version; an unchanged one stays the version it is.

    An active signal asks it of the live work that waits for the version before, where the new one samples it. Labels
    keep the version that made them. `based_on` is the number of the version that the edit began from: if another one
    is current by now, and the edit changes anything, this raises `VersionConflict`. `restores` is for the audit log.
    """
    checked = checked_definition(question, signal.scope, _judge_model_of(signal))
    with transaction.atomic():
        requeue.take_signal_lock()
        signals = Signal.objects.select_for_update(of=("self",), no_key=True)  # lets judging go on meanwhile
        locked = signals.select_related("current_version").get(pk=signal.pk)
        current = locked.current_version
        if current is not None and (
            current.definition == checked or _changes_nothing(locked, checked, based_on, current)
        ):
            return current
        version = _add_version(locked, checked, by)
        signal.current_version = version
        requeue.dequeue_superseded(locked, Label.objects.all())
        detail = f"version {version.number}"
        if restores is None:
            record(by, "published", signal, detail=detail)
        else:
            record(by, "restored", signal, detail=f"version {restores} as {detail}")
    return version


@dataclass(frozen=True, slots=True)
class Edit:
    """A changed definition. Without a name, the name stays; without `activate_at`, the state does.

    `based_on` as in `publish_version`, `based_on_name` as in `rename`.
    """

    question: Definition
    name: str | None = None
    based_on: int | None = None
    based_on_name: str | None = None
    activate_at: datetime | None = None


@transaction.atomic
def edit_signal(signal: Signal, edit: Edit, by: Actor = SYSTEM) -> None:
    """Publish a version, rename and activate, all or nothing. Raises VersionConflict and Renamed."""
    publish_version(signal, edit.question, by, based_on=edit.based_on)
    if edit.name is not None:
        rename(signal, edit.name, by, based_on=edit.based_on_name)
    if edit.activate_at is not None:
        activate(signal, edit.activate_at, by)


def add_candidate(signal: Signal, question: Definition, by: Actor = SYSTEM) -> SignalVersion:
    """Add a version that does not become current: runs with the purpose `duel` judge it, and results leave it out.

    To publish it, publish its definition: that makes a new version.
    """
    checked = checked_definition(question, signal.scope, _judge_model_of(signal))
    with transaction.atomic():
        locked = Signal.objects.select_for_update(no_key=True).get(pk=signal.pk)
        version = _add_version(locked, checked, by, is_candidate=True)
        record(by, "added a candidate to", signal, detail=f"version {version.number}")
    return version


def restore_version(signal: Signal, number: int, by: Actor = SYSTEM, *, based_on: int | None = None) -> SignalVersion:
    """Ask again what an earlier version asked, as a new version. `based_on` as in `publish_version`."""
    earlier = signal.versions.get(number=number)
    return publish_version(signal, earlier.definition, by, based_on=based_on, restores=number)


def duplicate(signal: Signal, agent: Agent, name: str, by: Actor = SYSTEM) -> Signal:
    """Make a draft for an agent of the same project that asks what the signal asks now."""
    if agent.project_id != signal.project_id:
        raise ValidationError({"agent": "The agent belongs to another project."})
    if signal.current_version is None:
        raise ValidationError("This signal asks nothing yet.")
    question = signal.current_version.definition
    with transaction.atomic():
        copy = create_signal(agent, name=name, scope=signal.scope, question=question, by=by, template=signal.template)
        record(by, "duplicated", signal, detail=f"as {copy.name} for {agent}")
    return copy


@transaction.atomic
def rename(signal: Signal, name: str, by: Actor = SYSTEM, *, based_on: str | None = None) -> None:
    """Change the name; nothing else depends on it.

    `based_on` is the name that the edit began from: if another one is current by now, an edit that leaves the name
    alone leaves that, and one that changes it raises `Renamed`.
    """
    name = checked_name(name)
    current = Signal.objects.select_for_update(no_key=True).values_list("name", flat=True).get(pk=signal.pk)
    if based_on not in (None, current) and name not in (based_on, current):
        raise Renamed(current)
    signal.name = current if name == based_on else name
    if Signal.objects.filter(pk=signal.pk).exclude(name=signal.name).update(name=signal.name):
        record(by, "renamed", signal)


def activate(signal: Signal, now: datetime, by: Actor = SYSTEM) -> None:
    """Judge what arrives from now on. An active signal stays active since when it was."""
    if signal.archived_at is not None:
        raise ValidationError("An archived signal can't be activated. Unarchive it first.")
    changed = Signal.objects.filter(pk=signal.pk, archived_at=None).exclude(state=Signal.State.ACTIVE)
    with transaction.atomic():
        if changed.update(state=Signal.State.ACTIVE, activated_at=now, disabled_at=None):
            record(by, "activated", signal)
    signal.refresh_from_db(fields=["state", "activated_at", "disabled_at"])


def disable(signal: Signal, now: datetime, by: Actor = SYSTEM) -> None:
    """Stop judging live traffic. What waits leaves the queue; labels stay."""
    with transaction.atomic():
        requeue.take_signal_lock()
        active = Signal.objects.filter(pk=signal.pk, state=Signal.State.ACTIVE)
        if active.update(state=Signal.State.DISABLED, disabled_at=now):
            record(by, "disabled", signal)
        signal.refresh_from_db(fields=["state", "disabled_at"])
        requeue.dequeue_superseded(signal, Label.objects.all())


def archive(signal: Signal, now: datetime, by: Actor = SYSTEM) -> None:
    """Stop it, hide it, keep its labels."""
    with transaction.atomic():
        disable(signal, now, by)
        if Signal.objects.filter(pk=signal.pk, archived_at=None).update(archived_at=now):
            record(by, "archived", signal)
    signal.refresh_from_db(fields=["archived_at"])


def unarchive(signal: Signal, by: Actor = SYSTEM) -> None:
    """Show it again, in the state it had."""
    with transaction.atomic():
        if Signal.objects.filter(pk=signal.pk).exclude(archived_at=None).update(archived_at=None):
            record(by, "unarchived", signal)
    signal.refresh_from_db(fields=["archived_at"])


class BulkAction(StrEnum):
    ACTIVATE = "activate"
    DISABLE = "disable"
    ARCHIVE = "archive"


_BULK_ACTIONS: Mapping[str, Callable[[Signal, datetime, Actor], None]] = {
    BulkAction.ACTIVATE: activate,
    BulkAction.DISABLE: disable,
    BulkAction.ARCHIVE: archive,
}


def change_several(
    signals: Iterable[Signal], action: str, now: datetime, by: Actor = SYSTEM
) -> tuple[list[Signal], list[tuple[Signal, str]]]:
    """Change each signal by itself. Returns those that were changed, and those that were refused with the reason."""
    changed, refused = [], []
    for signal in signals:
        try:
            _BULK_ACTIONS[action](signal, now, by)
        except ValidationError as error:
            refused.append((signal, " ".join(error.messages)))
        else:
            changed.append(signal)
    return changed, refused


@transaction.atomic
def cap_signal(signal: Signal, cap: Cap, now: datetime, by: Actor = SYSTEM) -> None:
    """Set what judging this signal may take on a UTC day; the empty cap is none."""
    if signal.current_version:
        _check_cap(cap, [model_for(signal.current_version)], now)
    _cap(signal.project, signal, cap, now)
    record(by, "capped", signal, detail=f"at {cap.text}" if cap.text else "no longer")


@transaction.atomic
def cap_project(project: Project, cap: Cap, now: datetime, by: Actor = SYSTEM) -> None:
    """The same for all signals of a project together."""
    live = Signal.objects.for_project(project).live().select_related("current_version")
    versions = [signal.current_version for signal in live if signal.current_version]
    _check_cap(cap, sorted({model_for(version) for version in versions}), now)
    _cap(project, None, cap, now)
    record(by, "capped", project, detail=f"judging at {cap.text}" if cap.text else "no longer")


def _cap(project: Project, signal: Signal | None, cap: Cap, now: datetime) -> None:
    limits = {"daily_usd": cap.usd, "daily_calls": cap.calls, "allowed_calls": 0}
    day = budget_day(now)
    Budget.objects.update_or_create(
        project=project,
        subject_id=signal.pk if signal else None,
        defaults=limits,
        create_defaults={**limits, "day": day},
    )


def _check_cap(cap: Cap, models: Iterable[str], now: datetime) -> None:
    if refused := [words for model in models if (words := budget_checks.cap_error(model, cap, now))]:
        raise ValidationError({"daily_usd": refused})


def retry_failed(signal: Signal, now: datetime) -> int:
    """Queue the failed labels of the current version again; returns how many."""
    return Label.objects.filter(version=signal.current_version_id).retry(now)


def _add_version(signal: Signal, checked: Definition, by: Actor, *, is_candidate: bool = False) -> SignalVersion:
    latest = signal.versions.order_by("-number").values_list("number", flat=True).first() or 0
    columns = version_columns(checked)
    version = signal.versions.create(number=latest + 1, is_candidate=is_candidate, **by.as_creator(), **columns)
    if is_candidate:
        return version
    signal.current_version = version
    signal.save(update_fields=["current_version"])
    return version


def _judge_model_of(signal: Signal | None) -> str:
    """The model that the current version names; empty without one."""
    return signal.current_version.judge_model if signal and signal.current_version else ""


def _changes_nothing(signal: Signal, checked: Definition, based_on: int | None, current: SignalVersion) -> bool:
    """Whether it equals the version that it began from. Raises VersionConflict if not, and that isn't current."""
    if based_on is None or based_on == current.number:
        return False
    if any(began.definition == checked for began in signal.versions.filter(number=based_on)):
        return True
    raise VersionConflict(current, checked)
