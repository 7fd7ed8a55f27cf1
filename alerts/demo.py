"""The demo's alerts, which have lived through its week."""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from alerts import evaluation, operations
from alerts.choices import Comparison, Cooldown, Metric, Operator, Window
from alerts.models import Alert, AlertState
from alerts.operations import Definition
from alerts.readings import COMMITTED_AFTER
from catalyst.timerange import DAY, MINUTE, floor
from signals import demo
from signals.models import Signal

WEEK = timedelta(days=7)
SUPPORT, REVIEW, RESEARCH = "demo-support", "demo-code-review", "demo-research"
_COMMON: dict[str, Any] = {
    "comparison": Comparison.ABSOLUTE,
    "operator": Operator.GTE,
    "window": Window.SIX_HOURS,
    "min_label_count": 10,
    "cooldown_minutes": Cooldown.HOUR,
    "only_significant": True,
}
_YES: dict[str, Any] = {**_COMMON, "metric": Metric.TRUE_RATE}
_SHARE: dict[str, Any] = {**_COMMON, "metric": Metric.VALUE_SHARE}
# Agent, template of the signal, and the alert.
ALERTS = (
    (SUPPORT, "frustration", Definition(name="Users get frustrated", threshold=0.25, warning=0.2, **_YES)),
    (SUPPORT, "task_outcome", Definition(name="Tasks fail", string_label="failed", threshold=0.15, **_SHARE)),
    (SUPPORT, "laziness", Definition(name="It refuses to help", threshold=0.1, **_YES)),
    (REVIEW, "task_outcome", Definition(name="Reviews fail", string_label="failed", threshold=0.25, **_SHARE)),
    (RESEARCH, "jailbreak", Definition(name="Jailbreaks", threshold=0.1, **_YES | {"window": Window.DAY})),
)


def go_on(project_id: int, now: datetime) -> None:
    """Once the first week is judged, create the alerts and evaluate them over that week."""
    if Alert.objects.filter(project=project_id).exists() or not demo.has_judged_the_week(project_id):
        return
    # Workers see the alerts when they have caught up: they would evaluate the last day only.
    with transaction.atomic():
        demo.live_through(project_id)
        _create(project_id, now)
        start = floor(now, MINUTE) - WEEK
        AlertState.objects.filter(alert__project=project_id).update(evaluated_until=start)
        for day in range(1, WEEK // DAY + 1):
            evaluation.evaluate(start + day * DAY + COMMITTED_AFTER)


def _create(project_id: int, now: datetime) -> None:
    signals = Signal.objects.filter(project=project_id).unarchived().select_related("agent", "current_version")
    found = {(signal.agent.identity, signal.template): signal for signal in signals}
    for agent, template, definition in ALERTS:
        if signal := found.get((agent, template)):
            operations.create_alert(signal, definition, now)


def erase(project_id: int) -> None:
    """Delete all alerts of a project with their events."""
    Alert.objects.filter(project=project_id).delete()
