"""Registry entries of alerts."""

from alerts import evaluation, operations, retention
from catalyst.registry import AgentRows, PeriodicTask, Retention
from catalyst.timerange import MINUTE

REGISTRATIONS = (
    PeriodicTask(
        name="alerts",
        order=45,
        interval=MINUTE,
        task="alerts.tasks.evaluate",
        has_work=evaluation.has_work,
        label="evaluating alerts",
        description="looks for alerts that fire or resolve",
        lack="No alert fires or resolves. Missed minutes of a day are caught up.",
    ),
    Retention(name="alert events", order=60, delete=retention.delete_expired_events),
    AgentRows(name="alerts", order=20, move=operations.move_alerts),
)
