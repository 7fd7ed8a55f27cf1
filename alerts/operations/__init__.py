"""Writes on alerts, with their rules and audit entries.

Violated rules raise `django.core.exceptions.ValidationError` by field, with text for people.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from math import isfinite
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from alerts import messages
from alerts.choices import OF_AGENTS, OF_SIGNALS, Comparison, Cooldown, Metric, Operator, Window
from alerts.models import Alert, AlertEvent, AlertState, Channel
from alerts.models.alert import LEVEL_FIELDS
from alerts.rules import EventKind, Level, Problem
from catalyst import formats
from catalyst.agents.models import Agent
from catalyst.core.actor import SYSTEM, Actor
from catalyst.core.audit import record
from catalyst.timerange import DAY, MINUTE, floor
from signals.definitions.choices import Type
from signals.definitions.definition import checked_name
from signals.models import Signal

MAX_ALERTS_OF_SIGNAL = 100
MAX_CHANNELS = 20
MAX_SLACK_CHARACTERS = 40
MAX_THRESHOLD = 10**9
MAX_MIN_LABELS = 10**6
MAX_MUTED = 366 * DAY
# Nothing falls by more, and a fall to nothing has no chance to be compared with.
LOWEST_CHANGE = -100
# Of a threshold below zero.
LOWEST: Mapping[str, str] = {
    Metric.RUNS: "A number of traces is 0 or more",
    Metric.P95_LATENCY: "A latency is in seconds, 0 or more",
    Metric.COST: "A cost is in US dollars, 0 or more",
    Metric.TOKENS: "A number of tokens is 0 or more",
}
# What an alert watches: the labels of a signal, or an agent's own numbers.
type Subject = Signal | Agent
# Codes of errors that have other words where a share is typed in percent.
SHARE, CHANGE = "share", "change"


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What an alert watches, and whom it tells. `channels`: ids."""

    name: str
    metric: str
    operator: str
    threshold: float
    window: str
    comparison: str = Comparison.PCT_CHANGE
    string_label: str = ""
    warning: float | None = None
    min_label_count: int = 0
    cooldown_minutes: int = Cooldown.NONE
    only_significant: bool = False
    notify_no_data: bool = False
    slack_channel_id: str = ""
    slack_channel_name: str = ""
    channels: Sequence[int] = ()

    @classmethod
    def of(cls, alert: Alert) -> "Definition":
        columns = {name: getattr(alert, name) for name in cls.__slots__ if name != "channels"}
        return cls(**columns, channels=[channel.pk for channel in alert.channels.all()])

    @property
    def columns(self) -> dict[str, Any]:
        """The columns of an `Alert`."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "channels"}


def create_alert(
    subject: Subject, definition: Definition, now: datetime, by: Actor = SYSTEM, *, enabled: bool = True
) -> Alert:
    """Create an alert on the labels of a signal, or on the numbers of an agent. It looks at them from now on."""
    if isinstance(subject, Signal) and subject.archived_at is not None:
        raise ValidationError("The signal is archived. Unarchive it first.")
    columns = checked_columns(definition, subject)
    about = _about(subject)
    with transaction.atomic(), _checked_name_of(about["agent"]):
        _check_room(subject)
        alert = Alert.objects.create(
            **columns, **about, enabled=enabled, created_at=now, updated_at=now, **by.as_creator()
        )
        alert.channels.set(definition.channels)
        _begin_anew(alert, now)
        record(by, "created", alert)
    return alert


def draft(subject: Subject, definition: Definition) -> Alert:
    """An alert that is not stored, for backtests."""
    return Alert(**definition.columns, **_about(subject))


def _about(subject: Subject) -> dict[str, Any]:
    if isinstance(subject, Agent):
        return {"project_id": subject.project_id, "agent": subject}
    return {"project_id": subject.project_id, "signal": subject, "agent": subject.agent}


def edit_alert(
    alert: Alert, definition: Definition, now: datetime, by: Actor = SYSTEM, *, enabled: bool | None = None
) -> None:
    """Replace the definition. A change of the rule begins anew, so that it fires again if it still breaches.

    `enabled`: None leaves it.
    """
    columns = checked_columns(definition, subject_of(alert))
    with transaction.atomic(), _checked_name_of(alert.agent):
        locked = _lock(alert)
        changed = [name for name, value in columns.items() if getattr(locked, name) != value]
        channels = {channel.pk for channel in locked.channels.all()}
        if channels != set(definition.channels):
            locked.channels.set(definition.channels)
            changed.append("channels")
        if any(name in LEVEL_FIELDS for name in changed):
            _end_firing(locked, "changed its rule", now, by)
        if changed:
            Alert.objects.filter(pk=alert.pk).update(**columns)
            record(by, "changed", alert, detail=", ".join(name.replace("_", " ") for name in changed))
        if any(name in LEVEL_FIELDS for name in changed):
            _begin_anew(alert, now)
        if enabled is not None:
            (enable if enabled else disable)(alert, now, by)
    alert.refresh_from_db()


def subject_of(alert: Alert) -> Subject:
    """What an alert watches."""
    return alert.signal or alert.agent


@transaction.atomic
def enable(alert: Alert, now: datetime, by: Actor = SYSTEM) -> None:
    """Evaluate the alert from now on."""
    if alert.archived_at is not None:
        raise ValidationError("An archived alert can't be enabled. Unarchive it first.")
    if Alert.objects.filter(pk=alert.pk, archived_at=None, enabled=False).update(enabled=True):
        _begin_anew(alert, now)
        record(by, "enabled", alert)
    alert.refresh_from_db()


@transaction.atomic
def disable(alert: Alert, now: datetime, by: Actor = SYSTEM) -> None:
    """Stop evaluating the alert. Its events stay. If it fires, the channels that were told are told that it ends."""
    if Alert.objects.filter(pk=alert.pk, enabled=True).update(enabled=False):
        _end_firing(alert, "disabled it", now, by)
        record(by, "disabled", alert)
    alert.refresh_from_db()


@transaction.atomic
def archive(alert: Alert, now: datetime, by: Actor = SYSTEM) -> None:
    """`disable` the alert, and take it off the list."""
    if Alert.objects.filter(pk=alert.pk, archived_at=None).update(archived_at=now):
        _end_firing(alert, "archived it", now, by)
        record(by, "archived", alert)
    alert.refresh_from_db()


def unarchive(alert: Alert, now: datetime, by: Actor = SYSTEM) -> None:
    """Put the alert back on the list. Its name gets a number if another alert of the agent has it by now."""
    with transaction.atomic(), _checked_name_of(alert.agent):
        if alert.archived_at is not None:
            _check_room(subject_of(alert))
        name = Alert.objects.filter(agent=alert.agent_id).unarchived().exclude(pk=alert.pk).free_name(alert.name)
        archived = Alert.objects.filter(pk=alert.pk).exclude(archived_at=None)
        if archived.update(archived_at=None, name=name):
            _begin_anew(alert, now)
            record(by, "unarchived", alert, detail=f"as {name}" if name != alert.name else "")
    alert.refresh_from_db()


@transaction.atomic
def mute(alert: Alert, until: datetime, now: datetime, by: Actor = SYSTEM) -> None:
    """Send no messages until then. Events are kept, and pages show them."""
    if not now < until <= now + MAX_MUTED:
        raise ValidationError({"until": f"Choose a time in the next {MAX_MUTED // DAY} days"})
    Alert.objects.filter(pk=alert.pk).update(muted_until=until)
    record(by, "muted", alert, detail=f"until {formats.at(until, now)}")
    alert.refresh_from_db()


@transaction.atomic
def unmute(alert: Alert, _now: datetime, by: Actor = SYSTEM) -> None:
    """Send messages again."""
    if Alert.objects.filter(pk=alert.pk).exclude(muted_until=None).update(muted_until=None):
        record(by, "unmuted", alert)
    alert.refresh_from_db()


class BulkAction(StrEnum):
    MUTE = "mute"
    UNMUTE = "unmute"
    ENABLE = "enable"
    DISABLE = "disable"
    ARCHIVE = "archive"


_BULK_ACTIONS: Mapping[str, Callable[[Alert, datetime, Actor], None]] = {
    BulkAction.UNMUTE: unmute,
    BulkAction.ENABLE: enable,
    BulkAction.DISABLE: disable,
    BulkAction.ARCHIVE: archive,
}


def change_several(
    alerts: Iterable[Alert], action: str, now: datetime, by: Actor = SYSTEM, *, until: datetime | None = None
) -> tuple[list[Alert], list[tuple[Alert, str]]]:
    """Return the changed alerts, and the refused ones with the reason. `until`: of a mute."""
    changed, refused = [], []
    for alert in alerts:
        try:
            if action == BulkAction.MUTE:
                mute(alert, until or now, now, by)
            else:
                _BULK_ACTIONS[action](alert, now, by)
        except ValidationError as error:
            refused.append((alert, " ".join(error.messages)))
        else:
            changed.append(alert)
    return changed, refused


def move_alerts(source: Agent, into: Agent) -> None:
    """Give the alerts of an agent to the one that it is merged with, in the caller's transaction.

    Alerts whose name the other agent has get a number.
    """
    for alert in Alert.objects.filter(agent=source).unarchived().order_by("pk"):
        both = Alert.objects.filter(agent__in=[source, into]).exclude(pk=alert.pk).unarchived()
        if (name := both.free_name(alert.name)) != alert.name:
            Alert.objects.filter(pk=alert.pk).update(name=name)
    Alert.objects.filter(agent=source).update(agent=into)


def checked_columns(definition: Definition, subject: Subject) -> dict[str, Any]:
    """Return the columns of a valid definition. Raises ValidationError with the errors of all fields."""
    errors: dict[str, list[ValidationError]] = {}
    checks: tuple[Callable[[Definition, Subject], object], ...] = (
        *(_check_name, _check_choices, _check_metric, _check_label, _check_threshold, _check_warning),
        *(_check_amounts, _check_chance, _check_slack, _check_channels),
    )
    for check in checks:
        try:
            check(definition, subject)
        except ValidationError as error:
            errors = error.error_dict | errors
    if errors:
        raise ValidationError(errors)
    return definition.columns | {"name": checked_name(definition.name)}


def _check_name(definition: Definition, _subject: Subject) -> None:
    checked_name(definition.name)


_CHOICES: Mapping[str, type[Metric | Comparison | Operator | Window | Cooldown]] = {
    "metric": Metric,
    "comparison": Comparison,
    "operator": Operator,
    "window": Window,
    "cooldown_minutes": Cooldown,
}


def _check_choices(definition: Definition, _subject: Subject) -> None:
    errors = {}
    for field, choices in _CHOICES.items():
        if getattr(definition, field) not in choices.values:
            errors[field] = f"Choose one of: {', '.join(map(str, choices.values))}"
    if errors:
        raise ValidationError(errors)


def _check_metric(definition: Definition, subject: Subject) -> None:
    if definition.metric not in Metric.values:
        return
    metric = Metric(definition.metric)
    if metric.is_of_agent != isinstance(subject, Agent):
        known = ", ".join(OF_AGENTS if isinstance(subject, Agent) else OF_SIGNALS)
        whose = "An agent's own numbers are" if isinstance(subject, Agent) else "Metrics of a signal are"
        raise ValidationError({"metric": f"{whose}: {known}"})
    if isinstance(subject, Signal):
        _check_type(metric, subject)


def _check_type(metric: Metric, signal: Signal) -> None:
    is_binary = _type_of(signal) == Type.BINARY
    if metric == Metric.TRUE_RATE and not is_binary:
        raise ValidationError(
            {"metric": f"{signal} has labels other than yes and no. Choose the share of one of them."}
        )
    if metric.takes_value and is_binary:
        raise ValidationError({"metric": f"{signal} only answers yes or no. Choose the share of yes."})


def _check_label(definition: Definition, subject: Subject) -> None:
    metric, label = definition.metric, definition.string_label
    if metric not in Metric.values or (isinstance(subject, Agent) and metric not in OF_AGENTS):
        return
    if not Metric(metric).takes_value:
        if label:
            raise ValidationError({"string_label": "This metric counts no single label. Leave it empty."})
        return
    labels = _labels_of(subject)
    if label not in labels:
        text = f"{subject} has no label {label}." if label else "Choose the label that is counted."
        raise ValidationError({"string_label": f"{text} It has: {', '.join(labels)}."})


def _labels_of(subject: Subject) -> Sequence[str]:
    version = subject.current_version if isinstance(subject, Signal) else None
    return version.labels if version else []


def _check_threshold(definition: Definition, _subject: Subject) -> None:
    _check_amount(definition, "threshold", definition.threshold)


def _check_warning(definition: Definition, _subject: Subject) -> None:
    warning = definition.warning
    if warning is None:
        return
    _check_amount(definition, "warning", warning)
    rises = definition.operator == Operator.GTE
    if not (warning < definition.threshold if rises else warning > definition.threshold):
        side = "below" if rises else "above"
        raise ValidationError({"warning": f"A warning comes first, so it is {side} the threshold"})


def _check_amount(definition: Definition, field: str, amount: float) -> None:
    if not isfinite(amount):
        raise ValidationError({field: "Enter a number"})
    if definition.comparison == Comparison.PCT_CHANGE:
        if amount <= LOWEST_CHANGE:
            text = f"A change is in percent and above {LOWEST_CHANGE}: 10 is 10% more, -50 is half"
            raise ValidationError({field: ValidationError(text, code=CHANGE)})
    elif definition.metric in Metric.values and Metric(definition.metric).is_share:
        if not 0 <= amount <= 1:
            raise ValidationError({field: ValidationError("A share is from 0 to 1: 0.3 is 30%", code=SHARE)})
    elif amount < 0:
        raise ValidationError({field: LOWEST.get(definition.metric, "A number of labels is 0 or more")})
    if amount > MAX_THRESHOLD:
        raise ValidationError({field: f"Enter {MAX_THRESHOLD:,} or less"})


def _check_amounts(definition: Definition, _subject: Subject) -> None:
    if not 0 <= definition.min_label_count <= MAX_MIN_LABELS:
        raise ValidationError({"min_label_count": f"Enter a whole number from 0 to {MAX_MIN_LABELS:,}"})


def _check_chance(definition: Definition, _subject: Subject) -> None:
    is_known = definition.metric in Metric.values
    if definition.only_significant and is_known and not Metric(definition.metric).has_chance:
        raise ValidationError({"only_significant": "Cost and tokens have no test of chance. Turn it off."})


def _check_slack(definition: Definition, _subject: Subject) -> None:
    pair = {"slack_channel_id": definition.slack_channel_id, "slack_channel_name": definition.slack_channel_name}
    if any(pair.values()) and not all(pair.values()):
        missing = next(field for field, value in pair.items() if not value)
        raise ValidationError({missing: "A Slack channel needs both its id and its name"})
    for field, value in pair.items():
        if len(value) > MAX_SLACK_CHARACTERS:
            raise ValidationError({field: f"Use at most {MAX_SLACK_CHARACTERS} characters"})


def _check_channels(definition: Definition, subject: Subject) -> None:
    wanted = set(definition.channels)
    if len(wanted) > MAX_CHANNELS:
        raise ValidationError({"channels": f"Choose up to {MAX_CHANNELS} channels"})
    known = set(
        Channel.objects.undeleted().filter(project=subject.project_id, pk__in=wanted).values_list("pk", flat=True)
    )
    if unknown := wanted - known:
        numbers = ", ".join(str(pk) for pk in sorted(unknown))
        raise ValidationError({"channels": f"The project has no channel {numbers}"})


def _type_of(signal: Signal) -> str:
    return signal.current_version.type if signal.current_version else ""


def _check_room(subject: Subject) -> None:
    # The lock keeps others from filling the last place.
    if isinstance(subject, Agent):
        Agent.objects.select_for_update(no_key=True).get(pk=subject.pk)
        alerts = Alert.objects.filter(agent=subject, signal=None)
    else:
        Signal.objects.select_for_update(no_key=True).get(pk=subject.pk)
        alerts = Alert.objects.filter(signal=subject)
    if alerts.unarchived().count() >= MAX_ALERTS_OF_SIGNAL:
        raise ValidationError(f"{subject} has {MAX_ALERTS_OF_SIGNAL} alerts, and can't have more. Archive one first.")


def _lock(alert: Alert) -> Alert:
    return Alert.objects.select_for_update(no_key=True).get(pk=alert.pk)


def _end_firing(alert: Alert, done: str, now: datetime, by: Actor) -> None:
    """Resolve an alert that fires or warns, with the numbers of its newest window. `done`: what somebody did."""
    alert = Alert.objects.select_related("project", "agent", "signal").get(pk=alert.pk)
    # Nothing fires or resolves meanwhile.
    state = AlertState.objects.select_for_update(no_key=True).get(alert=alert)
    starts = alert.events.unresolved() if state.level != Level.OK else []
    if not starts:
        return
    event = AlertEvent.objects.create(
        project_id=alert.project_id,
        alert=alert,
        kind=EventKind.RESOLVED,
        window_end=state.evaluated_until,
        created_at=now,
        version_id=starts[0].version_id,
        rule=alert.rule_as_it_is,
        observed=state.value,
        before=state.before,
        labelled=state.labelled,
        requested=state.requested,
        reason=f"{by.name} {done} while it was {'firing' if state.level == Level.FIRING else 'warning'}.",
        silenced=alert.silence(now),
    )
    messages.announce_end(event, starts, now)


def _begin_anew(alert: Alert, now: datetime) -> None:
    """Forget all windows before now. A cooldown goes on."""
    Alert.objects.filter(pk=alert.pk).update(updated_at=now)
    unknown: dict[str, Any] = {"value": None, "before": None, "labelled": 0, "requested": 0, "reason": "", "recent": []}
    calm = {"level": Level.OK, "calm_since": None, "problem": Problem.NONE, "problem_since": None, "announced": False}
    AlertState.objects.update_or_create(
        alert=alert, defaults={"evaluated_until": floor(now, MINUTE), **unknown, **calm}
    )


@contextmanager
def _checked_name_of(agent: Agent) -> Iterator[None]:
    """Makes a name that is taken an error of the field."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        if "alerts_alert_name_of_agent" not in str(error):
            raise
        raise ValidationError({"name": f"{agent} already has an alert with this name"}) from error
