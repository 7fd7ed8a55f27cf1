"""JSON records of alerts, with the names and enums of the public command line client.

IDs are text, times ISO 8601 in UTC. Shares are from 0 to 1, changes in percent.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Any, ClassVar

from pydantic import ConfigDict

from alerts import sentences
from alerts.backtest import Backtest
from alerts.models import Alert, AlertEvent
from alerts.models.alert import RANKS, STATUSES
from catalyst import figures, timerange
from catalyst.operations import CAMEL
from signals.serializers import time

# Firings are counted over this range of a page.
FIRINGS_RANGE = "7d"


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert with its `status`, and how often it fired in 7 days."""

    alert: Alert
    status: str
    firings: int

    @property
    def place(self) -> str:
        """The `after` of the alerts behind this one."""
        return f"{RANKS[self.status]}_{self.alert.pk}"

    @property
    def status_text(self) -> str:
        return "Archived" if self.alert.archived_at else STATUSES[self.status]

    @property
    def now_text(self) -> str:
        """The value of the newest window. Empty: not known."""
        state, measure = self.alert.state, self.alert.measure
        if state.problem:
            return ""
        if state.value is None:
            # A change from zero is infinite, which no column holds.
            return sentences.FROM_ZERO if measure.compares and state.labelled else ""
        return sentences.value_text(measure, state.value)

    @property
    def threshold_text(self) -> str:
        return sentences.threshold_text(self.alert.measure, self.alert.threshold)

    @property
    def metric_text(self) -> str:
        return sentences.metric_text(self.alert.measure, self.alert.string_label)

    @property
    def spark(self) -> tuple[list[str], str] | None:
        """The line of the last day and that of the threshold. None without a value."""
        recent = self.alert.state.recent
        if all(value is None for value in recent):
            return None
        return figures.limited_sparkline(recent, self.alert.threshold)

    @property
    def is_partly_judged(self) -> bool:
        return self.alert.state.labelled < self.alert.state.requested


def rows(alerts: Iterable[Alert], now: datetime) -> list[AlertRow]:
    """Alerts with their firings, in one query."""
    alerts = list(alerts)
    firings = AlertEvent.objects.firings(alerts, timerange.named(FIRINGS_RANGE, now).start)
    return [AlertRow(alert, alert.status(now), firings.get(alert.pk, 0)) for alert in alerts]


@dataclass(frozen=True, slots=True)
class ChannelOfAlert:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    id: str
    kind: str
    name: str
    is_usable: bool


@dataclass(frozen=True, slots=True)
class AlertRecord:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL
    COLUMNS: ClassVar[Mapping[str, str]] = {
        "ID": "id",
        "NAME": "name",
        "STATUS": "status",
        "AGENT": "agent_name",
        "SIGNAL": "signal_name",
        "RULE": "sentence",
        "VALUE": "value",
        "LAST FIRED": "last_triggered_at",
        "7 DAYS": "recent_firing_count",
    }

    id: str
    signal_id: str | None
    signal_name: str | None
    project_id: str
    agent_id: str
    agent_name: str
    name: str
    metric: str
    comparison: str
    operator: str
    threshold: float
    warning: float | None
    window: str
    string_label: str | None
    min_label_count: int
    cooldown_minutes: int
    only_significant: bool
    notify_no_data: bool
    sentence: str
    """The rule in words."""
    enabled: bool
    muted_until: str | None
    channels: list[ChannelOfAlert]
    slack_channel_id: str | None
    slack_channel_name: str | None
    status: str
    value: float | None
    recent_firing_count: int
    """In the last 7 days."""
    last_triggered_at: str | None
    last_evaluated_at: str | None
    created_by: str | None
    created_by_name: str | None
    created_at: str | None
    updated_at: str | None
    """The last change of the rule."""
    archived_at: str | None

    @classmethod
    def of(cls, row: AlertRow) -> "AlertRecord":
        alert, state = row.alert, row.alert.state
        return cls(
            id=str(alert.pk),
            signal_id=_id(alert.signal_id),
            signal_name=alert.signal.name if alert.signal else None,
            project_id=str(alert.project_id),
            agent_id=str(alert.agent_id),
            agent_name=str(alert.agent),
            name=alert.name,
            metric=alert.metric,
            comparison=alert.comparison,
            operator=alert.operator,
            threshold=alert.threshold,
            warning=alert.warning,
            window=alert.window,
            string_label=alert.string_label or None,
            min_label_count=alert.min_label_count,
            cooldown_minutes=alert.cooldown_minutes,
            only_significant=alert.only_significant,
            notify_no_data=alert.notify_no_data,
            sentence=" ".join(alert.sentences),
            enabled=alert.enabled,
            muted_until=time(alert.muted_until),
            channels=_channels(alert),
            slack_channel_id=alert.slack_channel_id or None,
            slack_channel_name=alert.slack_channel_name or None,
            status=row.status,
            value=_finite(state.value),
            recent_firing_count=row.firings,
            last_triggered_at=time(state.fired_at),
            last_evaluated_at=time(state.evaluated_at),
            created_by=_id(alert.created_by_id),
            created_by_name=alert.created_by_name or None,
            created_at=time(alert.created_at),
            updated_at=time(alert.updated_at),
            archived_at=time(alert.archived_at),
        )


def _channels(alert: Alert) -> list[ChannelOfAlert]:
    found = sorted(alert.channels.all(), key=lambda channel: (channel.name, channel.pk))
    return [ChannelOfAlert(str(each.pk), each.kind, each.name, each.is_usable) for each in found]


@dataclass(frozen=True, slots=True)
class StateRecord:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    enabled: bool
    status: str
    muted_until: str | None
    value: float | None
    """Of the newest window. Null: not known, or a change from zero."""
    previous_value: float | None
    """Of the window before, if the alert compares them."""
    labelled_count: int
    requested_count: int
    """Labelled, or still waiting for the judge."""
    reason: str | None
    """Why there is no value."""
    evaluated_until: str | None
    """End of the newest window."""
    last_evaluated_at: str | None
    last_triggered_at: str | None
    last_warned_at: str | None
    recent_firing_count: int
    """In the last 7 days."""

    @classmethod
    def of(cls, row: AlertRow) -> "StateRecord":
        state = row.alert.state
        return cls(
            enabled=row.alert.enabled,
            status=row.status,
            muted_until=time(row.alert.muted_until),
            value=_finite(state.value),
            previous_value=_finite(state.before),
            labelled_count=state.labelled,
            requested_count=state.requested,
            reason=state.reason or None,
            evaluated_until=time(state.evaluated_until),
            last_evaluated_at=time(state.evaluated_at),
            last_triggered_at=time(state.fired_at),
            last_warned_at=time(state.warned_at),
            recent_firing_count=row.firings,
        )


@dataclass(frozen=True, slots=True)
class EventRecord:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL
    COLUMNS: ClassVar[Mapping[str, str]] = {
        "ID": "id",
        "KIND": "kind",
        "WINDOW END": "fired_at",
        "VALUE": "observed_value",
        "THRESHOLD": "threshold",
        "LABELS": "labelled_count",
        "REASON": "reason",
        "NOT SENT": "silenced_because",
    }

    id: str
    alert_id: str
    kind: str
    fired_at: str | None
    """End of the window that caused it."""
    created_at: str | None
    metric: str | None
    observed_value: float | None
    previous_value: float | None
    threshold: float | None
    window: str | None
    labelled_count: int
    requested_count: int
    signal_version_id: str | None
    rule: dict[str, Any]
    """The rule as it was."""
    reason: str | None
    silenced_because: str | None

    @classmethod
    def of(cls, event: AlertEvent) -> "EventRecord":
        return cls(
            id=str(event.pk),
            alert_id=str(event.alert_id),
            kind=event.kind,
            fired_at=time(event.window_end),
            created_at=time(event.created_at),
            metric=event.rule.get("metric"),
            observed_value=_finite(event.observed),
            previous_value=_finite(event.before),
            threshold=event.rule.get("threshold"),
            window=event.rule.get("window"),
            labelled_count=event.labelled,
            requested_count=event.requested,
            signal_version_id=_id(event.version_id),
            rule=event.rule,
            reason=event.reason or None,
            silenced_because=event.silenced or None,
        )


@dataclass(frozen=True, slots=True)
class FiringRecord:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    fired_at: str | None
    resolved_at: str | None
    peak_value: float | None


@dataclass(frozen=True, slots=True)
class ValueRecord:
    """Of some windows, the value that is nearest to firing. `at`: the end of its window."""

    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    at: str | None
    value: float | None


@dataclass(frozen=True, slots=True)
class BacktestRecord:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    sentence: str
    """The rule in words."""
    start: str | None
    end: str | None
    firing_count: int
    firings_per_day: float
    warning_count: int
    held_by_cooldown: int
    """Further firings without the cooldown."""
    held_by_minimum: int
    held_by_chance: int
    unknown_share: float
    """The part of the windows without a value, from 0 to 1."""
    suggested_threshold: float | None
    """Reached about once a week."""
    firings: list[FiringRecord]
    points: list[ValueRecord]

    @classmethod
    def of(cls, sentence: str, tested: Backtest, suggested: float | None) -> "BacktestRecord":
        return cls(
            sentence=sentence,
            start=time(tested.start),
            end=time(tested.end),
            firing_count=len(tested.firings),
            firings_per_day=round(tested.firings_per_day, 2),
            warning_count=tested.warnings,
            held_by_cooldown=tested.held_by_cooldown,
            held_by_minimum=tested.held_by_minimum,
            held_by_chance=tested.held_by_chance,
            unknown_share=round(tested.unknown, 4),
            suggested_threshold=_finite(suggested),
            firings=[FiringRecord(time(each.start), time(each.end), _finite(each.peak)) for each in tested.firings],
            points=[ValueRecord(time(each.end), _finite(each.value)) for each in tested.points],
        )


def _finite(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None


def _id(pk: int | None) -> str | None:
    return None if pk is None else str(pk)
