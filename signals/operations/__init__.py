"""Writes on signals, with their rules.

Violated rules raise `django.core.exceptions.ValidationError` by field, with text for people.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from catalyst.agents.models import Agent
from catalyst.core.actor import SYSTEM, Actor
from catalyst.core.audit import record
from catalyst.core.models import Project
from catalyst.llms.amounts import Cap, budget_day
from catalyst.llms.endpoints import ConnectedModel
from catalyst.llms.models import Budget, ModelConnection
from signals.definitions.choices import Scope
from signals.definitions.definition import (
    Definition,
    checked_definition,
    checked_name,
    checked_quiet_minutes,
    version_columns,
)
from signals.judging import budget_checks
from signals.judging.judges import Judge, judge_of, model_for
from signals.models import Label, Signal, SignalTest, SignalVersion
from signals.models.label import LabelQuerySet
from signals.targets import quiet_times, requeue
from traces.ingest import settle_queue


class VersionConflict(ValidationError):
    """Version `current` went live after the edit began. Nothing was changed."""

    def __init__(self, current: SignalVersion, definition: Definition) -> None:
        super().__init__(f"Version {current.number} went live after this edit was begun.")
        self.current, self.definition = current, definition


class Renamed(ValidationError):
    """Somebody else renamed the signal to `current` after the edit began. Nothing was changed."""

    def __init__(self, current: str) -> None:
        super().__init__({"name": f"It was renamed to “{current}” after this edit was begun. Save again to rename it."})
        self.current = current


def create_signal(
    agent: Agent, *, name: str, scope: str, definition: Definition, by: Actor = SYSTEM, template: str = ""
) -> Signal:
    """Create a draft with its first version. Raises ValidationError if the agent has a signal of this name."""
    if scope not in Scope.values:
        raise ValidationError({"scope": "The scope is span, trace or session."})
    checked, connection = _checked(definition, agent.project_id, scope)
    with _checked_name_of(agent):
        signal = Signal.objects.create(
            project_id=agent.project_id,
            agent=agent,
            name=checked_name(name),
            scope=scope,
            template=template,
            **by.as_creator(),
        )
        _add_version(signal, checked, connection, by)
        record(by, "created", signal)
    return signal


def draft_version(definition: Definition, agent: Agent, scope: str, signal: Signal | None = None) -> SignalVersion:
    """Return an unsaved version, to test it."""
    checked, connection = _checked(definition, agent.project_id, scope, signal)
    of = signal or Signal(project_id=agent.project_id, agent=agent, scope=scope)
    return SignalVersion(signal=of, number=0, **version_columns(checked, connection))


def publish_version(
    signal: Signal,
    definition: Definition,
    by: Actor = SYSTEM,
    *,
    based_on: int | None = None,
    restores: int | None = None,
) -> SignalVersion:
    """Make `definition` current and queue waiting live work for it. Labels keep their version.

    Raises VersionConflict if `based_on` is no longer current. Returns the current version if the edit changes nothing.
    """
    checked, connection = _checked(definition, signal.project_id, signal.scope, signal)
    with transaction.atomic():
        requeue.take_signal_lock()
        signals = Signal.objects.select_for_update(of=("self",), no_key=True)  # lets judging go on meanwhile
        locked = signals.select_related("current_version").get(pk=signal.pk)
        current = locked.current_version
        if current is not None and (
            current.definition == checked or _changes_nothing(locked, checked, based_on, current)
        ):
            return current
        version = _add_version(locked, checked, connection, by)
        signal.current_version = version
        requeue.dequeue_superseded(locked, Label.objects.all())
        detail = f"version {version.number}"
        if restores is None:
            record(by, "saved a version of", signal, detail=detail)
        else:
            record(by, "restored", signal, detail=f"version {restores} as {detail}")
    return version


@dataclass(frozen=True, slots=True)
class Edit:
    """None leaves the name, the quiet time or the state unchanged. `quiet_minutes` 0: the instance's."""

    definition: Definition
    name: str | None = None
    based_on: int | None = None
    based_on_name: str | None = None
    activate_at: datetime | None = None
    quiet_minutes: int | None = None


@transaction.atomic
def edit_signal(signal: Signal, edit: Edit, now: datetime, by: Actor = SYSTEM) -> None:
    """Change all or nothing. Raises VersionConflict or Renamed."""
    publish_version(signal, edit.definition, by, based_on=edit.based_on)
    if edit.name is not None:
        rename(signal, edit.name, by, based_on=edit.based_on_name)
    if edit.quiet_minutes is not None:
        set_quiet_minutes(signal, edit.quiet_minutes, now, by)
    if edit.activate_at is not None:
        activate(signal, edit.activate_at, by)


def add_candidate(signal: Signal, definition: Definition, by: Actor = SYSTEM) -> SignalVersion:
    """Add a version that only runs with the purpose COMPARISON judge. Results exclude it."""
    checked, connection = _checked(definition, signal.project_id, signal.scope, signal)
    with transaction.atomic():
        locked = Signal.objects.select_for_update(no_key=True).get(pk=signal.pk)
        version = _add_version(locked, checked, connection, by, is_candidate=True)
        record(by, "added a candidate to", signal, detail=f"version {version.number}")
    return version


def restore_version(signal: Signal, number: int, by: Actor = SYSTEM, *, based_on: int | None = None) -> SignalVersion:
    """Publish an earlier definition as a new version."""
    earlier = signal.versions.get(number=number)
    return publish_version(signal, earlier.definition, by, based_on=based_on, restores=number)


def duplicate(signal: Signal, agent: Agent, name: str, by: Actor = SYSTEM) -> Signal:
    if agent.project_id != signal.project_id:
        raise ValidationError({"agent": "The agent belongs to another project."})
    if signal.current_version is None:
        raise ValidationError("This signal asks nothing yet.")
    definition = signal.current_version.definition
    with transaction.atomic():
        copy = create_signal(
            agent, name=name, scope=signal.scope, definition=definition, by=by, template=signal.template
        )
        copy.quiet_minutes = signal.quiet_minutes
        copy.save(update_fields=["quiet_minutes"])
        record(by, "duplicated", signal, detail=f"as {copy.name} for {agent.audit_name}")
    return copy


@transaction.atomic
def rename(signal: Signal, name: str, by: Actor = SYSTEM, *, based_on: str | None = None) -> None:
    """Raises Renamed if this edit and somebody else changed the name `based_on` to different names.

    Raises ValidationError if another signal of the agent has the name.
    """
    name = checked_name(name)
    current = Signal.objects.select_for_update(no_key=True).values_list("name", flat=True).get(pk=signal.pk)
    if based_on not in (None, current) and name not in (based_on, current):
        raise Renamed(current)
    # An edit that leaves the name alone keeps somebody else's.
    signal.name = current if name == based_on else name
    with _checked_name_of(signal.agent):
        if Signal.objects.filter(pk=signal.pk).exclude(name=signal.name).update(name=signal.name):
            record(by, "renamed", signal)


@transaction.atomic
def set_quiet_minutes(signal: Signal, minutes: int | None, now: datetime, by: Actor = SYSTEM) -> None:
    """Judge a session after these minutes without activity, also sessions that wait now. None or 0: the instance's."""
    checked = checked_quiet_minutes(minutes, signal.scope)
    requeue.take_signal_lock()
    locked = Signal.objects.select_for_update(no_key=True).get(pk=signal.pk)
    signal.quiet_minutes = checked
    if checked == locked.quiet_minutes:
        return
    Signal.objects.filter(pk=signal.pk).update(quiet_minutes=checked)
    if locked.is_live:
        quiet_times.refresh(signal.agent)
        settle_queue.look_again(signal.project_id, signal.agent_id, now)
    record(by, "changed", signal, detail=f"quiet time to {f'{checked} min' if checked else 'the default'}")


def activate(signal: Signal, now: datetime, by: Actor = SYSTEM) -> None:
    if signal.archived_at is not None:
        raise ValidationError("An archived signal can't be activated. Unarchive it first.")
    # An active signal keeps its `activated_at`.
    changed = Signal.objects.filter(pk=signal.pk, archived_at=None).exclude(state=Signal.State.ACTIVE)
    with transaction.atomic():
        requeue.take_signal_lock()
        if changed.update(state=Signal.State.ACTIVE, activated_at=now, disabled_at=None):
            quiet_times.refresh(signal.agent)
            record(by, "activated", signal)
    signal.refresh_from_db(fields=["state", "activated_at", "disabled_at"])


def disable(signal: Signal, now: datetime, by: Actor = SYSTEM) -> None:
    """Stop judging live traffic and dequeue its waiting labels."""
    with transaction.atomic():
        if _stop(signal, now):
            record(by, "disabled", signal)


def _stop(signal: Signal, now: datetime) -> bool:
    """Return whether the signal was active."""
    requeue.take_signal_lock()
    active = Signal.objects.filter(pk=signal.pk, state=Signal.State.ACTIVE)
    was_active = active.update(state=Signal.State.DISABLED, disabled_at=now) > 0
    if was_active:
        quiet_times.refresh(signal.agent)
    signal.refresh_from_db(fields=["state", "disabled_at"])
    requeue.dequeue_superseded(signal, Label.objects.all())
    return was_active


def archive(signal: Signal, now: datetime, by: Actor = SYSTEM) -> None:
    """Disable and hide the signal."""
    with transaction.atomic():
        _stop(signal, now)
        if Signal.objects.filter(pk=signal.pk, archived_at=None).update(archived_at=now):
            record(by, "archived", signal)
    signal.refresh_from_db(fields=["archived_at"])


def move_signals(source: Agent, into: Agent) -> None:
    """Give the signals of an agent to the one that it is merged with, in the caller's transaction.

    Signals whose name the other agent has get a number.
    """
    requeue.take_signal_lock()
    for signal in Signal.objects.for_agent(source).unarchived().order_by("pk"):
        both = Signal.objects.filter(agent__in=[source, into]).exclude(pk=signal.pk).unarchived()
        if (name := both.free_name(signal.name)) != signal.name:
            Signal.objects.filter(pk=signal.pk).update(name=name)
    Signal.objects.filter(agent=source).update(agent=into)
    SignalTest.objects.filter(agent=source).update(agent=into)
    quiet_times.refresh(into)


def unarchive(signal: Signal, by: Actor = SYSTEM) -> None:
    """Put the signal back on the list. Its name gets a number if another signal of the agent has it by now."""
    with _checked_name_of(signal.agent):
        name = Signal.objects.for_agent(signal.agent).unarchived().exclude(pk=signal.pk).free_name(signal.name)
        archived = Signal.objects.filter(pk=signal.pk).exclude(archived_at=None)
        if archived.update(archived_at=None, name=name):
            record(by, "unarchived", signal, detail=f"as {name}" if name != signal.name else "")
    signal.refresh_from_db(fields=["archived_at", "name"])


@contextmanager
def _checked_name_of(agent: Agent) -> Iterator[None]:
    """A transaction in which a name that is taken is an error of the field."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        if "signals_signal_name_of_agent" not in str(error):
            raise
        raise ValidationError({"name": f"{agent} already has a signal with this name"}) from error


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
    """Return the changed signals, and the refused ones with the reason."""
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
    """Limit judging per UTC day. An empty cap removes the limit."""
    if signal.current_version:
        _check_cap(cap, [model_for(signal.current_version)], now)
    _cap(signal.project, signal, cap, now)
    record(by, "set the limit of" if cap.text else "removed the limit of", signal, detail=cap.text)


@transaction.atomic
def cap_project(project: Project, cap: Cap, now: datetime, by: Actor = SYSTEM) -> None:
    """Limit all signals of a project together."""
    live = Signal.objects.for_project(project).live().select_related("current_version__connection")
    versions = [signal.current_version for signal in live if signal.current_version]
    _check_cap(cap, sorted({model_for(version) for version in versions}, key=str), now)
    _cap(project, None, cap, now)
    record(by, "set the limit of" if cap.text else "removed the limit of", project, detail=cap.text)


def _cap(project: Project, signal: Signal | None, cap: Cap, now: datetime) -> None:
    limits = {"daily_usd": cap.usd, "daily_calls": cap.calls, "allowed_calls": 0}
    day = budget_day(now)
    Budget.objects.update_or_create(
        project=project,
        subject_id=signal.pk if signal else None,
        defaults=limits,
        create_defaults={**limits, "day": day},
    )


def _check_cap(cap: Cap, models: Iterable[ConnectedModel], now: datetime) -> None:
    if refused := [words for model in models if (words := budget_checks.cap_error(model, cap, now))]:
        raise ValidationError({"daily_usd": refused})


def retry_failed(signal: Signal, now: datetime, by: Actor = SYSTEM) -> int:
    """Queue the failed labels of the current version again. Return how many. Raises ValidationError if archived."""
    return retry_labels(signal, Label.objects.filter(version=signal.current_version_id), now, by)


@transaction.atomic
def retry_labels(signal: Signal, labels: LabelQuerySet, now: datetime, by: Actor = SYSTEM) -> int:
    """Queue the failed ones of these labels of a signal again. Return how many.

    Raises ValidationError if the signal is archived, or if no judge is connected, because each would fail again.
    """
    if signal.archived_at is not None:
        raise ValidationError(
            f"Failed labels of {signal.name} can't be retried: an archived signal judges nothing. Unarchive it first."
        )
    failed = labels.filter(signal=signal, status=Label.Status.FAILED)
    versions = SignalVersion.objects.filter(pk__in=failed.values("version")).select_related("connection")
    if judges := [judge_of(version) for version in versions]:
        _check_judges(signal, judges)
    count = labels.filter(signal=signal).retry(now)
    if count:
        record(by, "retried labels of", signal, detail=f"{count:,} failed")
    return count


def _check_judges(signal: Signal, judges: Iterable[Judge]) -> None:
    reasons = {judge.reason or "No model is connected." for judge in judges if judge.kind == "none"}
    if reasons and all(judge.kind == "none" for judge in judges):
        raise ValidationError(f"Failed labels of {signal.name} would fail again. {' '.join(sorted(reasons))}")


def _add_version(
    signal: Signal, checked: Definition, connection: ModelConnection | None, by: Actor, *, is_candidate: bool = False
) -> SignalVersion:
    latest = signal.versions.order_by("-number").values_list("number", flat=True).first() or 0
    columns = version_columns(checked, connection)
    version = signal.versions.create(number=latest + 1, is_candidate=is_candidate, **by.as_creator(), **columns)
    if is_candidate:
        return version
    signal.current_version = version
    signal.save(update_fields=["current_version"])
    return version


def _checked(
    definition: Definition, project_id: int, scope: str, signal: Signal | None = None
) -> tuple[Definition, ModelConnection | None]:
    connection = _connection_named(definition.connection, project_id)
    current = signal.current_version if signal else None
    is_same = current is not None and current.connection_id == (connection.pk if connection else None)
    kept_model = current.judge_model if current and is_same else ""
    return checked_definition(definition, scope, connection, kept_model), connection


def _connection_named(name: str, project_id: int) -> ModelConnection | None:
    if not name:
        return None
    connections = ModelConnection.objects.filter(project=project_id).undeleted()
    found = connections.filter(name=name).first()
    if found is None:
        known = ", ".join(connections.order_by("name").values_list("name", flat=True)) or "none yet"
        text = f"There is no model connection {name}. Choose another one. The project has: {known}."
        raise ValidationError({"connection": text})
    return found


def _changes_nothing(signal: Signal, checked: Definition, based_on: int | None, current: SignalVersion) -> bool:
    if based_on is None or based_on == current.number:
        return False
    # An edit that changes nothing is never a conflict.
    if any(began.definition == checked for began in signal.versions.filter(number=based_on)):
        return True
    raise VersionConflict(current, checked)
