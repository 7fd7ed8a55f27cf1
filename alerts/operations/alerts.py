"""Operations on alerts."""

from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from alerts import backtest, operations
from alerts.choices import OF_AGENTS, OF_SIGNALS, Comparison, Cooldown, Metric, Operator, Window
from alerts.counts import of_alert
from alerts.models import Alert
from alerts.operations import BulkAction, Definition, Subject
from alerts.operations.records import AlertRecord, BacktestRecord, EventRecord, StateRecord, rows
from catalyst.core.operation_context import Context
from catalyst.operations import (
    CAMEL,
    Effect,
    Id,
    Input,
    InvalidInput,
    Limit,
    NotFound,
    Page,
    Scope,
    UtcTime,
    cursor_of,
    operation,
)
from catalyst.package import command
from signals.models import Signal
from signals.operations.inputs import SignalInput, signal_of
from traces.operations.inputs import agent_of

MAX_AT_ONCE = 100

State = Literal["firing", "warning", "invalid", "cooling_down", "delayed", "no_data", "ok", "disabled"]


class AlertInput(Input):
    alert: Id = Field(description="ID of the alert, as `list` shows it.")
    signal_id: Id | None = Field(
        None, description="Refused if the alert belongs to another signal (default: no check)."
    )


class PredicateInput(Input):
    """What an alert compares. Names and defaults are those of the public command line client."""

    metric: Metric = Field(description=f"Of a signal: {', '.join(OF_SIGNALS)}. Of an agent: {', '.join(OF_AGENTS)}.")
    operator: Operator = Field(description="Fire when the value is at least (gte) or at most (lte) the threshold.")
    threshold: float = Field(
        description="A count, a share from 0 to 1, seconds, dollars, or a change in percent: 10 is 10% more."
    )
    window: Window = Field(description="The time whose labels or traces are counted.")
    comparison: Comparison = Field(
        Comparison.PCT_CHANGE, description="The change against the window before, or the number itself."
    )
    string_label: str = Field("", description="The label that value_count and value_share count.")
    min_label_count: int = Field(
        0, description="Labels or traces that a window needs, and the one before if they are compared."
    )
    cooldown_minutes: Cooldown = Field(Cooldown.NONE, alias="cooldown", description="Minutes without a second firing.")


class DefinitionInput(PredicateInput):
    name: str = Field(description="Unique among the alerts of the agent.")
    slack_channel_id: str = Field("", description="Slack channel, with --slack-channel-name.")
    slack_channel_name: str = Field("", description="Name of the Slack channel.")
    warning: float | None = Field(None, description="A threshold that is reached earlier.")
    only_significant: bool = Field(False, description="Fire only if chance alone does not explain the value.")
    notify_no_data: bool = Field(False, description="Tell when there are too few labels or traces.")
    channels: list[Id] = Field([], description="IDs of the channels that are told.")

    def definition(self, before: Definition | None = None) -> Definition:
        """Fields that the public client does not know stay as they were `before`, unless they are given."""
        values = {name: getattr(self, name) for name in Definition.__slots__}
        if before is not None:
            values |= {name: getattr(before, name) for name in _OURS - self.model_fields_set}
        return Definition(**values)


_OURS = {"warning", "only_significant", "notify_no_data", "channels"}


class ListInput(Input):
    signal_id: Id | None = Field(None, description="Only alerts on this signal.")
    agent: str | None = Field(None, description="Identity of an agent: only its alerts.")
    state: State | None = None
    search: str = Field("", description="Part of the name of the alert or its signal.")
    include_archived: bool = False
    limit: Limit = 100
    after: str | None = Field(None, description="Continue a list: `next` of the page before.")


@operation("alerts.list", Scope.READ, Effect.READS)
def list_alerts(context: Context, arguments: ListInput) -> Page[AlertRecord]:
    """List alerts, firing ones first."""
    found = Alert.objects.for_project(context.project).named(arguments.search.strip())
    if not arguments.include_archived:
        found = found.unarchived()
    if arguments.signal_id is not None:
        found = found.filter(signal=_signal(context, arguments.signal_id))
    if arguments.agent is not None:
        found = found.filter(agent=agent_of(context, arguments.agent))
    if arguments.state is not None:
        found = found.in_status(arguments.state, context.now)
    listed = found.for_list(context.now)
    if arguments.after:
        listed = listed.after(*_place(context, arguments.after))
    shown = rows(listed[: arguments.limit + 1], context.now)
    return Page.of(shown, arguments.limit, AlertRecord.of, attrgetter("place"))


def _place(context: Context, after: str) -> tuple[int, str, int]:
    place = Alert.objects.for_project(context.project).place(after)
    if place is None:
        raise InvalidInput({"after": "This is not the `next` of a page."})
    return place


@operation("alerts.show", Scope.READ, Effect.READS)
def show(context: Context, arguments: AlertInput) -> AlertRecord:
    """Show an alert with its rule and state."""
    return _record(context, alert_of(context, arguments))


class CreateInput(DefinitionInput):
    # Not required, so that it is a flag, as in the public client.
    signal_id: Id | None = Field(None, description="ID of the signal, as `signals list` shows it.")
    agent: str | None = Field(None, description="Identity of an agent, for its own numbers. Without a signal.")
    enabled: bool = True


@operation("alerts.create", Scope.WRITE, Effect.WRITES)
def create(context: Context, arguments: CreateInput) -> AlertRecord:
    """Create an alert on the labels of a signal, or on an agent's own numbers."""
    subject = _subject(context, arguments.signal_id, arguments.agent)
    made = operations.create_alert(
        subject, arguments.definition(), context.now, context.actor, enabled=arguments.enabled
    )
    return _record(context, made)


class EditInput(AlertInput, DefinitionInput):
    enabled: bool | None = None


@operation("alerts.edit", Scope.WRITE, Effect.WRITES)
def edit(context: Context, arguments: EditInput) -> AlertRecord:
    """Replace an alert. What is not given gets its default, but channels, warning, chance and no data stay."""
    alert = alert_of(context, arguments)
    definition = arguments.definition(Definition.of(alert))
    operations.edit_alert(alert, definition, context.now, context.actor, enabled=arguments.enabled)
    return _record(context, alert)


@operation("alerts.archive", Scope.WRITE, Effect.WRITES)
def archive(context: Context, arguments: AlertInput) -> AlertRecord:
    """Stop an alert and take it off the list. Its events stay."""
    alert = alert_of(context, arguments)
    operations.archive(alert, context.now, context.actor)
    return _record(context, alert)


@operation("alerts.unarchive", Scope.WRITE, Effect.WRITES)
def unarchive(context: Context, arguments: AlertInput) -> AlertRecord:
    """Put an alert back on the list. It counts from now on."""
    alert = alert_of(context, arguments)
    operations.unarchive(alert, context.now, context.actor)
    return _record(context, alert)


@operation("alerts.enable", Scope.WRITE, Effect.WRITES)
def enable(context: Context, arguments: AlertInput) -> AlertRecord:
    """Evaluate an alert from now on."""
    alert = alert_of(context, arguments)
    operations.enable(alert, context.now, context.actor)
    return _record(context, alert)


@operation("alerts.disable", Scope.WRITE, Effect.WRITES)
def disable(context: Context, arguments: AlertInput) -> AlertRecord:
    """Stop evaluating an alert. Its events stay."""
    alert = alert_of(context, arguments)
    operations.disable(alert, context.now, context.actor)
    return _record(context, alert)


class MuteInput(AlertInput):
    until: UtcTime = Field(description="No messages until then, ISO 8601 such as 2026-11-20T08:00, in UTC by default.")


@operation("alerts.mute", Scope.WRITE, Effect.WRITES)
def mute(context: Context, arguments: MuteInput) -> AlertRecord:
    """Send no messages of an alert until a time. Its events are kept."""
    alert = alert_of(context, arguments)
    operations.mute(alert, arguments.until, context.now, context.actor)
    return _record(context, alert)


@operation("alerts.unmute", Scope.WRITE, Effect.WRITES)
def unmute(context: Context, arguments: AlertInput) -> AlertRecord:
    """Send messages of an alert again."""
    alert = alert_of(context, arguments)
    operations.unmute(alert, context.now, context.actor)
    return _record(context, alert)


class BulkInput(Input):
    alerts: Annotated[list[Id], Field(min_length=1, max_length=MAX_AT_ONCE)] = Field(
        description="IDs of the alerts, as `list` shows them."
    )
    action: BulkAction = Field(description="What to do with each of them.")
    until: UtcTime | None = Field(None, description="End of a mute.")


@dataclass(frozen=True, slots=True)
class Refusal:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    alert_id: str
    alert_name: str
    reason: str


@dataclass(frozen=True, slots=True)
class BulkResult:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    changed_ids: list[str]
    refused: list[Refusal]


@operation("alerts.bulk", Scope.WRITE, Effect.WRITES)
def change_several(context: Context, arguments: BulkInput) -> BulkResult:
    """Mute, unmute, enable, disable or archive several alerts. An unknown one refuses all of them."""
    if arguments.action == BulkAction.MUTE and arguments.until is None:
        raise InvalidInput({"until": "A mute needs its end."})
    wanted = dict.fromkeys(arguments.alerts)
    found = list(Alert.objects.for_project(context.project).unarchived().filter(pk__in=wanted).for_list(context.now))
    missing = wanted.keys() - {alert.pk for alert in found}
    if missing:
        numbers = ", ".join(str(pk) for pk in sorted(missing))
        raise NotFound(f"The project {context.project.slug} has no unarchived alert {numbers}. Nothing was changed.")
    changed, refused = operations.change_several(
        found, arguments.action, context.now, context.actor, until=arguments.until
    )
    return BulkResult(
        [str(alert.pk) for alert in changed],
        [Refusal(str(alert.pk), alert.name, reason) for alert, reason in refused],
    )


@operation("alerts.state", Scope.READ, Effect.READS)
def state(context: Context, arguments: AlertInput) -> StateRecord:
    """Show the state of an alert and the value of its newest window."""
    return StateRecord.of(rows([alert_of(context, arguments)], context.now)[0])


class EventsInput(AlertInput):
    kind: Literal["fired", "warned", "resolved", "no_data", "delayed", "invalid"] | None = None
    limit: Limit = 50
    after: str | None = Field(None, description="Continue a list: `next` of the page before.")


@operation("alerts.events", Scope.READ, Effect.READS)
def events(context: Context, arguments: EventsInput) -> Page[EventRecord]:
    """List what happened to an alert, newest first."""
    found = alert_of(context, arguments).events.newest()
    if arguments.kind is not None:
        found = found.filter(kind=arguments.kind)
    if last := cursor_of(arguments.after):
        found = found.after(last)
    listed = list(found[: arguments.limit + 1])
    return Page.of(listed, arguments.limit, EventRecord.of, attrgetter("place"))


class BacktestInput(PredicateInput):
    signal_id: Id | None = Field(None, description="ID of the signal, as `signals list` shows it.")
    agent: str | None = Field(None, description="Identity of an agent, for its own numbers. Without a signal.")
    warning: float | None = Field(None, description="A threshold that is reached earlier.")
    only_significant: bool = Field(False, description="Fire only if chance alone does not explain the value.")
    lookback_days: Annotated[int, Field(ge=1, le=backtest.MAX_DAYS)] = Field(
        7, description=f"Days to look back, 1 to {backtest.MAX_DAYS}."
    )

    @property
    def definition(self) -> Definition:
        values = {name: getattr(self, name) for name in type(self).model_fields if name in Definition.__slots__}
        return Definition(name="Backtest", **values)


@operation("alerts.backtest", Scope.READ, Effect.READS)
def test(context: Context, arguments: BacktestInput) -> BacktestRecord:
    """Show when a rule would have fired in past days. Creates nothing."""
    subject = _subject(context, arguments.signal_id, arguments.agent)
    operations.checked_columns(arguments.definition, subject)
    alert = operations.draft(subject, arguments.definition)
    watch = of_alert(alert)
    tested = backtest.run(watch, alert.rule, arguments.lookback_days, context.now)
    suggested = backtest.suggest(watch, alert.rule, arguments.lookback_days, context.now)
    return BacktestRecord.of(" ".join(alert.sentences), tested, suggested)


def alert_of(context: Context, arguments: AlertInput) -> Alert:
    """Raises NotFound."""
    found = Alert.objects.for_project(context.project).for_list(context.now).filter(pk=arguments.alert)
    if arguments.signal_id is not None:
        found = found.filter(signal=arguments.signal_id)
    alert = found.first()
    if alert is None:
        of_signal = "" if arguments.signal_id is None else f" on signal {arguments.signal_id}"
        text = f"The project {context.project.slug} has no alert {arguments.alert}{of_signal}."
        raise NotFound(f"{text} See {command('alerts list')}.")
    return alert


def _subject(context: Context, signal: int | None, agent: str | None) -> Subject:
    if signal is not None and agent is not None:
        raise InvalidInput({"agent": "Give a signal or an agent, not both."})
    if agent is not None:
        return agent_of(context, agent)
    if signal is None:
        raise InvalidInput({"signal_id": "This is required, or --agent for an agent's own numbers."})
    return _signal(context, signal)


def _signal(context: Context, pk: int) -> Signal:
    return signal_of(context, SignalInput(signal=pk))


def _record(context: Context, alert: Alert) -> AlertRecord:
    return AlertRecord.of(rows([alert_of(context, AlertInput(alert=alert.pk))], context.now)[0])
