"""Registry entries of Halo."""

from datetime import timedelta

from catalyst.registry import (
    AgentRows,
    ChannelUse,
    DemoData,
    Maintenance,
    ModelUse,
    PeriodicTask,
    Preparation,
    Probe,
    Retention,
    Section,
    Tab,
)
from halo import demo, engine_environment, probes, retention
from halo.runs import moves, worker
from halo.schedules import firing, uses

REGISTRATIONS = (
    Preparation(name="halo-engine", order=10, run=engine_environment.prepare_in_background),
    PeriodicTask(
        name="reports",
        order=55,
        interval=timedelta(seconds=1),
        task="halo.tasks.work",
        queue="long",
        has_work=worker.has_work,
        label="reports",
        description="reads traces and writes reports",
        lack="Reports wait. None is lost.",
    ),
    PeriodicTask(
        name="schedules",
        order=54,
        interval=timedelta(seconds=5),
        task="halo.tasks.fire",
        has_work=firing.has_work,
        label="schedules of reports",
        description="starts scheduled reports, and tells channels what they brought",
        lack="Scheduled reports wait. Missed ones are caught up by one.",
    ),
    ModelUse(name="report schedules", order=20, users=uses.of_connections),
    ChannelUse(name="report schedules", order=20, users=uses.of_channels),
    Maintenance(name="folders of reports", order=40, run=retention.delete_leftovers),
    Probe(name="reports", order=61, collect=probes.reports, judge=probes.check_reports, metrics=probes.report_metrics),
    Retention(name="reports", order=70, delete=retention.delete_expired_reports),
    Retention(name="lists of findings", order=71, delete=retention.delete_expired_lists),
    AgentRows(name="reports", order=30, move=moves.move_reports),
    DemoData(name="halo", order=30, load=demo.load, erase=demo.erase),
    Section(
        name="Reports",
        order=50,
        url_name="halo:report-list",
        icon="reports",
        key="r",
        folders=("reports", "issues"),
    ),
    Tab(page="agent", order=50, name="analysis", label="Analysis", url_name="halo:agent-analysis"),
)
