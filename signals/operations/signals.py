"""Operations on signals."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from django.core.exceptions import ValidationError
from django.db import transaction
from pydantic import ConfigDict, Field

from catalyst import timerange
from catalyst.agents.models import Agent
from catalyst.core.operation_context import Context
from catalyst.llms.amounts import Account
from catalyst.llms.budgets import spent_today
from catalyst.operations import (
    CAMEL,
    Conflict,
    Effect,
    Id,
    Input,
    InvalidInput,
    Limit,
    NotFound,
    Scope,
    operation,
)
from signals import operations
from signals.definitions import choices
from signals.definitions.definition import Definition, with_changes
from signals.definitions.templates import TEMPLATES, Template
from signals.filters import SignalFilter
from signals.models import Signal
from signals.operations import Renamed, VersionConflict
from signals.operations.inputs import (
    DefinitionInput,
    QuietMinutes,
    RangeInput,
    SignalInput,
    VersionNumber,
    named_range,
    signal_of,
    version_numbered,
    version_of,
)
from signals.results import summaries
from signals.serializers import SignalDetail, SignalRecord
from signals.targets.volume import has_sessions
from traces.operations.inputs import agent_of

MAX_SIGNALS_AT_ONCE = 100


class ListInput(RangeInput):
    agent: str | None = Field(None, description="Identity of an agent: only its signals.")
    state: choices.State | None = None
    scope: choices.Scope | None = None
    search: str = Field("", description="Part of the name.")
    sort: Literal["name", "volume", "waiting", "failed", "cost", "last"] = Field(
        "name", description="Order within a page. Pages go by name."
    )
    include_archived: bool = False
    limit: Limit = 100
    after: Id | None = Field(None, description="Continue a list: `next` of the page before.")


@dataclass(frozen=True, slots=True)
class SignalList:
    signals: list[SignalRecord]
    # `after` of the next page, None at the end.
    next: str | None


@operation("signals.list", Scope.READ, Effect.READS)
def list_signals(context: Context, arguments: ListInput) -> SignalList:
    """List signals with their labels in a range of time."""
    wanted = SignalFilter(
        text=arguments.search.strip(),
        state=arguments.state or "",
        scope=arguments.scope or "",
        agent=agent_of(context, arguments.agent).pk if arguments.agent is not None else None,
    )
    signals = Signal.objects.for_project(context.project).matching(wanted)
    shelf = signals if arguments.include_archived else signals.unarchived()
    if arguments.after is not None:
        shelf = shelf.after(signal_of(context, SignalInput(signal=arguments.after)))
    found = list(shelf.for_list()[: arguments.limit + 1])
    shown = found[: arguments.limit]
    listed = summaries.listed(shown, named_range(arguments, context.now), context.now)
    records = [SignalRecord.of(summary) for summary in summaries.ordered(listed, arguments.sort)]
    return SignalList(records, str(shown[-1].pk) if len(found) > arguments.limit else None)


class ShowInput(SignalInput, RangeInput):
    pass


@operation("signals.show", Scope.READ, Effect.READS)
def show(context: Context, arguments: ShowInput) -> SignalDetail:
    """Show a signal: what it asks, its labels and costs, and what keeps it from judging."""
    return _detail(context, signal_of(context, arguments), arguments.range)


class DraftInput(DefinitionInput):
    """What a signal that is not created yet asks."""

    agent: str = Field(description="Identity of the agent whose traffic is evaluated.")
    template: str | None = Field(None, description=f"Start from one of: {', '.join(TEMPLATES)}.")


class CreateInput(DraftInput):
    name: str | None = Field(None, description="Required without a template.")
    quiet_minutes: QuietMinutes = None
    activate: bool = Field(False, description="Evaluate new traffic at once.")


@operation("signals.create", Scope.WRITE, Effect.WRITES)
def create(context: Context, arguments: CreateInput) -> SignalDetail:
    """Create a draft from a template or from a name, scope and prompt."""
    agent = agent_of(context, arguments.agent)
    template = _template_of(arguments)
    if template is None:
        _check_given(arguments, "name", "scope", "prompt")
    name = template.name if template and arguments.name is None else arguments.name
    scope, definition = draft_definition(arguments, agent)
    with transaction.atomic():
        signal = operations.create_signal(
            agent,
            name=name or "",
            scope=scope,
            definition=definition,
            by=context.actor,
            template=arguments.template or "",
        )
        if arguments.quiet_minutes:
            operations.set_quiet_minutes(signal, arguments.quiet_minutes, context.now, context.actor)
        if arguments.activate:
            operations.activate(signal, context.now, context.actor)
    return _detail(context, signal)


def draft_definition(arguments: DraftInput, agent: Agent) -> tuple[str, Definition]:
    """Return scope and definition."""
    template = _template_of(arguments)
    if template is not None:
        before = Definition(template.type, template.prompt, 100, template.labels, template.sentiments)
        scope = template.scope_for(has_sessions=has_sessions(agent))
        return arguments.scope or scope, with_changes(before, arguments.changes)
    _check_given(arguments, "scope", "prompt")
    kind = choices.Type.STRING if arguments.labels else choices.Type.BINARY
    return arguments.scope or "", with_changes(Definition(kind, "", 100), arguments.changes)


def _template_of(arguments: DraftInput) -> Template | None:
    if arguments.template is None:
        return None
    if arguments.template not in TEMPLATES:
        raise InvalidInput(
            {"template": f"There is no template {arguments.template}. Use one of: {', '.join(TEMPLATES)}."}
        )
    return TEMPLATES[arguments.template]


def _check_given(arguments: DraftInput, *fields: str) -> None:
    missing = {field: "This is required without a template." for field in fields if not getattr(arguments, field)}
    if missing:
        raise InvalidInput(missing)


class EditInput(SignalInput, DefinitionInput):
    name: str | None = Field(None, description="Rename the signal. This makes no version.")
    quiet_minutes: QuietMinutes = None
    based_on: VersionNumber | None = Field(
        None, description="Version that the edit began from. Refused if another one is current (default: no check)."
    )
    activate: bool = Field(False, description="Evaluate new traffic from now on.")


@operation("signals.edit", Scope.WRITE, Effect.WRITES)
def edit(context: Context, arguments: EditInput) -> SignalDetail:
    """Change a signal: a new version, where anything but the name and the quiet time changes."""
    signal = signal_of(context, arguments)
    definition = changed_definition(signal, arguments)
    based_on = arguments.based_on or version_of(signal).number
    activate_at = context.now if arguments.activate else None
    change = operations.Edit(
        definition, arguments.name, based_on, activate_at=activate_at, quiet_minutes=arguments.quiet_minutes
    )
    try:
        operations.edit_signal(signal, change, context.now, context.actor)
    except VersionConflict as error:
        raise Conflict(" ".join(error.messages)) from error
    return _detail(context, signal)


def changed_definition(signal: Signal, arguments: DefinitionInput) -> Definition:
    """Apply a partial edit to the current definition."""
    if arguments.scope not in {None, signal.scope}:
        text = f"{signal.name} evaluates {signal.scope}s, which can't change. Create another signal."
        raise ValidationError({"scope": text})
    return with_changes(version_of(signal).definition, arguments.changes)


class RenameInput(SignalInput):
    name: str = Field(description="The new name.")
    based_on: str | None = Field(None, description="The name before. Refused if somebody else changed it.")


@operation("signals.rename", Scope.WRITE, Effect.WRITES)
def rename(context: Context, arguments: RenameInput) -> SignalDetail:
    """Rename a signal. Nothing else changes."""
    signal = signal_of(context, arguments)
    try:
        operations.rename(signal, arguments.name, context.actor, based_on=arguments.based_on)
    except Renamed as error:
        raise Conflict(" ".join(error.messages)) from error
    return _detail(context, signal)


class DuplicateInput(SignalInput):
    name: str | None = Field(None, description="Name of the copy (default: the same, with a number if it is taken).")
    agent: str | None = Field(None, description="Identity of another agent (default: the same).")


@operation("signals.duplicate", Scope.WRITE, Effect.WRITES)
def duplicate(context: Context, arguments: DuplicateInput) -> SignalDetail:
    """Create a draft with the same definition, for this or another agent of the project."""
    signal = signal_of(context, arguments)
    agent = signal.agent if arguments.agent is None else agent_of(context, arguments.agent)
    taken = Signal.objects.for_agent(agent).unarchived()
    name = taken.free_name(signal.name) if arguments.name is None else arguments.name
    return _detail(context, operations.duplicate(signal, agent, name, context.actor))


class RestoreInput(SignalInput):
    number: VersionNumber = Field(description="The version to restore.")
    based_on: VersionNumber | None = Field(None, description="Refused if another version than this one is current.")


@operation("signals.restore", Scope.WRITE, Effect.WRITES)
def restore(context: Context, arguments: RestoreInput) -> SignalDetail:
    """Make an earlier version current again, as a new version."""
    signal = signal_of(context, arguments)
    earlier = version_numbered(signal, arguments.number)
    try:
        operations.restore_version(signal, earlier.number, context.actor, based_on=arguments.based_on)
    except VersionConflict as error:
        raise Conflict(" ".join(error.messages)) from error
    return _detail(context, signal)


@operation("signals.activate", Scope.WRITE, Effect.WRITES)
def activate(context: Context, arguments: SignalInput) -> SignalDetail:
    """Evaluate new traffic."""
    signal = signal_of(context, arguments)
    operations.activate(signal, context.now, context.actor)
    return _detail(context, signal)


@operation("signals.disable", Scope.WRITE, Effect.WRITES)
def disable(context: Context, arguments: SignalInput) -> SignalDetail:
    """Stop evaluating traffic. Queued labels are removed, others stay."""
    signal = signal_of(context, arguments)
    operations.disable(signal, context.now, context.actor)
    return _detail(context, signal)


@operation("signals.archive", Scope.WRITE, Effect.WRITES)
def archive(context: Context, arguments: SignalInput) -> SignalDetail:
    """Disable a signal and take it off the list. Its labels stay."""
    signal = signal_of(context, arguments)
    operations.archive(signal, context.now, context.actor)
    return _detail(context, signal)


@operation("signals.unarchive", Scope.WRITE, Effect.WRITES)
def unarchive(context: Context, arguments: SignalInput) -> SignalDetail:
    """Put a signal back on the list, in the state it had."""
    signal = signal_of(context, arguments)
    operations.unarchive(signal, context.actor)
    return _detail(context, signal)


class BulkInput(Input):
    signals: Annotated[list[Id], Field(min_length=1, max_length=MAX_SIGNALS_AT_ONCE)] = Field(
        description="IDs of the signals, as `list` shows them."
    )
    action: operations.BulkAction = Field(description="What to do with each of them.")


@dataclass(frozen=True, slots=True)
class Refusal:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    signal_id: str
    signal_name: str
    reason: str


@dataclass(frozen=True, slots=True)
class BulkResult:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    changed_ids: list[str]
    refused: list[Refusal]


@operation("signals.bulk", Scope.WRITE, Effect.WRITES)
def change_several(context: Context, arguments: BulkInput) -> BulkResult:
    """Activate, disable or archive several signals. An unknown one refuses all of them."""
    wanted = dict.fromkeys(arguments.signals)
    found = list(Signal.objects.for_project(context.project).unarchived().filter(pk__in=wanted).for_list())
    missing = wanted.keys() - {signal.pk for signal in found}
    if missing:
        numbers = ", ".join(str(pk) for pk in sorted(missing))
        raise NotFound(f"The project {context.project.slug} has no unarchived signal {numbers}. Nothing was changed.")
    changed, refused = operations.change_several(found, arguments.action, context.now, context.actor)
    return BulkResult(
        [str(signal.pk) for signal in changed],
        [Refusal(str(signal.pk), signal.name, reason) for signal, reason in refused],
    )


def _detail(context: Context, signal: Signal, range_name: str = timerange.DEFAULT) -> SignalDetail:
    summary = summaries.listed([signal], timerange.named(range_name, context.now), context.now)[0]
    return SignalDetail.of(summary, spent_today(Account(context.project.pk, signal.pk), context.now))
