"""Registry entries of signals."""

from datetime import timedelta

from catalyst.registry import AgentRows, DemoData, Maintenance, ModelUse, PeriodicTask, Probe, Retention, Section, Tab
from catalyst.timerange import MINUTE
from signals import connection_use, demo, operations, probes, retention
from signals.judging import claims, outages
from signals.models import Label, SignalTestItem
from signals.runs import backfill
from signals.targets import settling

SECOND = timedelta(seconds=1)

REGISTRATIONS = (
    PeriodicTask(
        name="settle",
        order=10,
        interval=SECOND,
        task="signals.tasks.settle",
        has_work=settling.has_work,
        label="finding what to judge",
        description="gives new traffic to the signals, which choose what is judged",
        lack="Signals label nothing new.",
    ),
    PeriodicTask(
        name="runs",
        order=20,
        interval=SECOND,
        task="signals.tasks.work_on_runs",
        has_work=backfill.has_work,
        label="backfills",
        description="finds the past traffic that a backfill judges",
        lack="Backfills don't go on.",
    ),
    PeriodicTask(
        name="judge",
        order=30,
        interval=SECOND,
        task="signals.tasks.judge",
        queue="judge",
        has_work=claims.has_work,
        label="judging",
        description="judges each queued label, with a model or the offline rules",
        lack="Labels stay pending.",
    ),
    PeriodicTask(
        name="fold",
        order=40,
        interval=10 * SECOND,
        task="signals.tasks.fold",
        label="counting labels",
        description="adds labels up for charts and lists",
        lack="No label is lost, but pages that count labels get slower.",
    ),
    PeriodicTask(
        name="outages",
        order=42,
        interval=MINUTE,
        task="signals.tasks.tell_of_outages",
        has_work=outages.has_work,
        label="telling of judges",
        description="tells channels that opted in of judges that do not answer, and that answer again",
        lack="Nobody is told that a judge does not answer. Pages show it.",
    ),
    Maintenance(name="future labels", order=10, run=Label.objects.clamp_future_times),
    Maintenance(name="future test items", order=10, run=SignalTestItem.objects.clamp_future_times),
    Retention(name="labels", order=40, delete=retention.delete_expired_labels),
    Retention(name="exchanges", order=50, delete=retention.delete_expired_exchanges),
    Retention(name="signal tests", order=55, delete=retention.delete_expired_tests),
    Probe(
        name="judging",
        order=50,
        collect=probes.judging,
        judge=probes.check_judging,
        metrics=probes.judging_metrics,
    ),
    Probe(
        name="signals",
        order=100,
        collect=probes.signal_uses,
        judge=probes.check_signals,
        metrics=probes.signal_metrics,
    ),
    Section(
        name="Signals",
        order=30,
        url_name="signals:signal-list",
        icon="signals",
        key="s",
        folders=("signals",),
        rows=lambda project: project.signals.unarchived(),
    ),
    Tab(page="agent", order=40, name="signals", label="Signals", url_name="signals:agent-signals"),
    Tab(page="signal", order=10, name="results", label="Results", url_name="signals:signal-detail"),
    Tab(page="signal", order=20, name="versions", label="Versions", url_name="signals:version-list"),
    Tab(page="signal", order=30, name="runs", label="Backfills", url_name="signals:run-list"),
    Tab(page="signal", order=40, name="coverage", label="Coverage", url_name="signals:coverage-show"),
    Tab(page="settings", order=50, name="budget-show", label="Budget", url_name="signals:budget-show"),
    AgentRows(name="signals", order=10, move=operations.move_signals),
    ModelUse(name="signals", order=10, users=connection_use.users, resume=connection_use.resume),
    DemoData(name="signals", order=10, erase=demo.erase),
)
