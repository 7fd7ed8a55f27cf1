"""Operations on signals: read, define, activate, disable, archive."""

from dataclasses import dataclass
from typing import Literal

from django.core.exceptions import ValidationError
from django.db import transaction
from pydantic import Field

from catalyst import timerange
from catalyst.core.operation_context import Context
from catalyst.llms.amounts import Account
from catalyst.llms.budgets import spent_today
from catalyst.operations import Conflict, Effect, InvalidInput, Scope, operation
from signals import operations
from signals.definitions import choices
from signals.definitions.definition import Definition, with_changes
from signals.definitions.templates import TEMPLATES
from signals.filters import SignalFilter
from signals.models import Signal
from signals.operations import Overtaken, Renamed
from signals.operations.inputs import (
    DefinitionInput,
    RangeInput,
    SignalInput,
    VersionNumber,
    agent_of,
    named_range,
    signal_of,
    version_numbered,
    version_of,
)
from signals.results import summaries
from signals.serializers import SignalDetail, SignalRecord


class ListInput(RangeInput):
    agent: str | None = Field(None, description="Identity of an agent: only its signals.")
    state: choices.State | None = None
    scope: choices.Scope | None = None
    search: str = Field("", description="Part of the name.")
    sort: Literal["name", "volume", "waiting", "failed", "cost", "last"] = "name"
    include_archived: bool = False


@dataclass(frozen=True, slots=True)
class SignalList:
    signals: list[SignalRecord]


@operation("signals.list", Scope.READ, Effect.READS)
def list_signals(context: Context, given: ListInput) -> SignalList:
    """List signals with their labels in a range of time."""
    wanted = SignalFilter(
        text=given.search.strip(),
        state=given.state or "",
        scope=given.scope or "",
        agent=agent_of(context, given.agent).pk if given.agent is not None else None,
    )
    signals = Signal.objects.for_project(context.project).matching(wanted)
    shown = signals if given.include_archived else signals.unarchived()
    listed = summaries.listed(list(shown.for_list()), named_range(given, context.now), context.now)
    return SignalList([SignalRecord.of(summary) for summary in summaries.ordered(listed, given.sort)])


class ShowInput(SignalInput, RangeInput):
    pass


@operation("signals.show", Scope.READ, Effect.READS)
def show(context: Context, given: ShowInput) -> SignalDetail:
    """Show a signal: what it asks, its labels and costs, and what keeps it from judging."""
    return _detail(context, signal_of(context, given), given.range)


class CreateInput(DefinitionInput):
    agent: str = Field(description="Identity of the agent whose traffic is evaluated.")
    name: str | None = Field(None, description="Required without a template.")
    template: str | None = Field(None, description=f"Start from one of: {', '.join(TEMPLATES)}.")
    activate: bool = Field(False, description="Evaluate new traffic at once.")


@operation("signals.create", Scope.WRITE, Effect.WRITES)
def create(context: Context, given: CreateInput) -> SignalDetail:
    """Create a draft from a template or from a name, scope and prompt."""
    agent = agent_of(context, given.agent)
    name, scope, before = _start_of(given)
    question = with_changes(before, given.changes)
    with transaction.atomic():
        signal = operations.create_signal(
            agent, name=name, scope=scope, question=question, by=context.actor, template=given.template or ""
        )
        if given.activate:
            operations.activate(signal, context.now, context.actor)
    return _detail(context, signal)


def _start_of(given: CreateInput) -> tuple[str, str, Definition]:
    """Name, scope and definition that a new signal begins from."""
    if given.template is None:
        return _from_scratch(given)
    template = TEMPLATES.get(given.template)
    if template is None:
        raise InvalidInput({"template": f"There is no template {given.template}. Use one of: {', '.join(TEMPLATES)}."})
    before = Definition(template.type, template.prompt, 100, template.labels, template.sentiments)
    name = template.name if given.name is None else given.name
    return name, given.scope or template.scope, before


def _from_scratch(given: CreateInput) -> tuple[str, str, Definition]:
    required = {"name": given.name, "scope": given.scope, "prompt": given.prompt}
    missing = {field: "This is required without a template." for field, value in required.items() if not value}
    if missing:
        raise InvalidInput(missing)
    kind = choices.Type.STRING if given.labels else choices.Type.BINARY
    return given.name or "", given.scope or "", Definition(kind, "", 100)


class EditInput(SignalInput, DefinitionInput):
    name: str | None = Field(None, description="Rename the signal. This makes no version.")
    based_on: VersionNumber | None = Field(
        None, description="Version that the edit began from. Refused if another one is current (default: no check)."
    )


@operation("signals.edit", Scope.WRITE, Effect.WRITES)
def edit(context: Context, given: EditInput) -> SignalDetail:
    """Change a signal: a new version, where anything but the name changes."""
    signal = signal_of(context, given)
    question = changed_definition(signal, given)
    based_on = given.based_on or version_of(signal).number
    try:
        with transaction.atomic():
            operations.publish_version(signal, question, context.actor, based_on=based_on)
            if given.name is not None:
                operations.rename(signal, given.name, context.actor)
    except Overtaken as error:
        raise Conflict(" ".join(error.messages)) from error
    return _detail(context, signal)


def changed_definition(signal: Signal, given: DefinitionInput) -> Definition:
    """The current definition after a partial edit."""
    if given.scope not in {None, signal.scope}:
        text = f"{signal.name} evaluates {signal.scope}s, which can't change. Create another signal."
        raise ValidationError({"scope": text})
    return with_changes(version_of(signal).definition, given.changes)


class RenameInput(SignalInput):
    name: str = Field(description="The new name.")
    based_on: str | None = Field(None, description="The name before. Refused if somebody else changed it.")


@operation("signals.rename", Scope.WRITE, Effect.WRITES)
def rename(context: Context, given: RenameInput) -> SignalDetail:
    """Rename a signal. Nothing else changes."""
    signal = signal_of(context, given)
    try:
        operations.rename(signal, given.name, context.actor, based_on=given.based_on)
    except Renamed as error:
        raise Conflict(" ".join(error.messages)) from error
    return _detail(context, signal)


class DuplicateInput(SignalInput):
    name: str | None = Field(None, description="Name of the copy (default: the same).")
    agent: str | None = Field(None, description="Identity of another agent (default: the same).")


@operation("signals.duplicate", Scope.WRITE, Effect.WRITES)
def duplicate(context: Context, given: DuplicateInput) -> SignalDetail:
    """Create a draft with the same definition, for this or another agent of the project."""
    signal = signal_of(context, given)
    agent = signal.agent if given.agent is None else agent_of(context, given.agent)
    name = signal.name if given.name is None else given.name
    return _detail(context, operations.duplicate(signal, agent, name, context.actor))


class RestoreInput(SignalInput):
    number: VersionNumber = Field(description="The version to restore.")
    based_on: VersionNumber | None = Field(None, description="Refused if another version than this one is current.")


@operation("signals.restore", Scope.WRITE, Effect.WRITES)
def restore(context: Context, given: RestoreInput) -> SignalDetail:
    """Make an earlier version current again, as a new version."""
    signal = signal_of(context, given)
    earlier = version_numbered(signal, given.number)
    try:
        operations.restore_version(signal, earlier.number, context.actor, based_on=given.based_on)
    except Overtaken as error:
        raise Conflict(" ".join(error.messages)) from error
    return _detail(context, signal)


@operation("signals.activate", Scope.WRITE, Effect.WRITES)
def activate(context: Context, given: SignalInput) -> SignalDetail:
    """Evaluate new traffic."""
    signal = signal_of(context, given)
    operations.activate(signal, context.now, context.actor)
    return _detail(context, signal)


@operation("signals.disable", Scope.WRITE, Effect.WRITES)
def disable(context: Context, given: SignalInput) -> SignalDetail:
    """Stop evaluating traffic. Queued labels are removed, others stay."""
    signal = signal_of(context, given)
    operations.disable(signal, context.now, context.actor)
    return _detail(context, signal)


@operation("signals.archive", Scope.WRITE, Effect.WRITES)
def archive(context: Context, given: SignalInput) -> SignalDetail:
    """Disable a signal and take it off the list. Its labels stay."""
    signal = signal_of(context, given)
    operations.archive(signal, context.now, context.actor)
    return _detail(context, signal)


@operation("signals.unarchive", Scope.WRITE, Effect.WRITES)
def unarchive(context: Context, given: SignalInput) -> SignalDetail:
    """Put a signal back on the list, in the state it had."""
    signal = signal_of(context, given)
    operations.unarchive(signal, context.actor)
    return _detail(context, signal)


def _detail(context: Context, signal: Signal, range_name: str = timerange.DEFAULT) -> SignalDetail:
    summary = summaries.listed([signal], timerange.named(range_name, context.now), context.now)[0]
    return SignalDetail.of(summary, spent_today(Account(context.project.pk, signal.pk), context.now))
