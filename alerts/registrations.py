"""Registry entries of alerts."""

from alerts import demo, evaluation, operations, retention
from alerts.models import Alert
from catalyst.core.models import Project
from catalyst.registry import AgentRows, DemoData, PeriodicTask, Retention, Section, Tab
from catalyst.timerange import MINUTE


def _firing(project: Project) -> int:
    return Alert.objects.for_project(project).firing().count()


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
    Section(
        name="Alerts",
        order=40,
        url_name="alerts:alert-list",
        icon="alerts",
        key="l",
        folders=("alerts",),
        urgent=_firing,
        urgency="firing",
    ),
    Tab(page="signal", order=15, name="alerts", label="Alerts", url_name="alerts:signal-alerts"),
    Tab(page="agent", order=45, name="alerts", label="Alerts", url_name="alerts:agent-alerts"),
    AgentRows(name="alerts", order=20, move=operations.move_alerts),
    # After the signals', which it reads.
    DemoData(name="alerts", order=20, go_on=demo.go_on, erase=demo.erase),
)
