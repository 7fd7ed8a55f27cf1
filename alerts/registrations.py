"""Registry entries of alerts."""

from datetime import datetime, timedelta

from alerts import channel_use, delivery, demo, evaluation, operations, probes, recipients, retention
from alerts.models import Alert
from catalyst.core.models import Project
from catalyst.registry import (
    AccountPage,
    AgentRows,
    ChannelUse,
    DemoData,
    PeriodicTask,
    Probe,
    Retention,
    Section,
    Tab,
)
from catalyst.timerange import MINUTE


def _firing(project: Project) -> int:
    return Alert.objects.for_project(project).firing().count()


def _has_deliveries(now: datetime) -> bool:
    return delivery.has_work(now) or recipients.has_links(now)


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
    PeriodicTask(
        name="deliver",
        order=50,
        interval=timedelta(seconds=1),
        task="alerts.tasks.deliver",
        has_work=_has_deliveries,
        label="sending messages",
        description="sends messages to channels, and links that confirm addresses",
        lack="Messages wait. None is lost.",
    ),
    Retention(name="messages to channels", order=58, delete=retention.delete_expired_deliveries),
    Probe(
        name="alerts",
        order=95,
        collect=probes.evaluation,
        judge=probes.check_evaluation,
        metrics=probes.evaluation_metrics,
    ),
    Probe(
        name="deliveries",
        order=60,
        collect=probes.deliveries,
        judge=probes.check_deliveries,
        metrics=probes.delivery_metrics,
    ),
    Tab(
        page="settings",
        order=45,
        name="channel-list",
        label="Channels",
        url_name="alerts:channel-list",
        owners_only=True,
    ),
    ChannelUse(name="alerts", order=10, users=channel_use.users),
    AccountPage(
        name="mails",
        order=10,
        url_name="alerts:own-mails",
        label="Mails of channels",
        about="which messages Catalyst mails you",
    ),
)
