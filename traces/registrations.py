"""Registry entries of traces."""

from datetime import datetime, timedelta

from catalyst.registry import AgentRows, DemoData, Maintenance, PeriodicTask, Probe, Retention, Section, Tab
from traces import demo, probes, retention
from traces.ingest import moves, settle_queue, settled_minutes
from traces.span_store import span_store


def _prepare_days(now: datetime) -> None:
    span_store().prepare(now)


def _drop_expired_days(now: datetime) -> int:
    return len(retention.expire_spans(now))


REGISTRATIONS = (
    PeriodicTask(
        name="moves",
        order=50,
        interval=timedelta(seconds=10),
        task="traces.tasks.move_spans",
        has_work=moves.has_work,
        label="merging agents",
        description="gives stored spans to the agent that they belong to after a merge or a split",
        lack="Traces stay with the agent that they had before.",
    ),
    # Before the rest of maintenance: what was queued while the clock of the machine was ahead waits no longer.
    Maintenance(name="future settle times", order=10, run=settle_queue.clamp_future_times),
    Maintenance(name="days", order=20, run=_prepare_days, at_start=True),
    Retention(name="days", order=10, delete=_drop_expired_days),
    Retention(name="traces", order=20, delete=retention.delete_expired_traces),
    Retention(name="hours", order=30, delete=retention.delete_expired_hours),
    Retention(name="minutes", order=32, delete=retention.delete_expired_minutes),
    AgentRows(name="minutes", order=5, move=settled_minutes.give),
    Retention(name="agent identities", order=35, delete=retention.delete_expired_identities),
    Probe(
        name="days",
        order=30,
        collect=probes.days,
        judge=probes.check_days,
        metrics=probes.day_metrics,
        decides_readiness=True,
    ),
    Probe(
        name="astray spans",
        order=35,
        collect=probes.astray_spans,
        judge=probes.check_astray,
        metrics=probes.astray_metrics,
    ),
    Probe(
        name="clocks",
        order=36,
        collect=probes.skewed_senders,
        judge=probes.check_clocks,
        metrics=probes.clock_metrics,
    ),
    Probe(
        name="settle queue",
        order=40,
        collect=probes.settle_queue,
        judge=probes.check_settling,
        metrics=probes.settle_metrics,
    ),
    Probe(
        name="project disk",
        order=120,
        collect=probes.project_disk,
        judge=probes.check_project_disk,
        metrics=probes.project_disk_metrics,
    ),
    Section(
        name="Agents",
        order=10,
        url_name="traces:agent-list",
        icon="agent",
        key="a",
        folders=("agents",),
        rows=lambda project: project.agents.all(),
    ),
    Section(
        name="Traces",
        order=20,
        url_name="traces:trace-list",
        icon="traces",
        key="t",
        folders=("traces", "sessions"),
    ),
    Tab(page="agent", order=10, name="overview", label="Overview", url_name="traces:agent-detail"),
    Tab(page="agent", order=20, name="sessions", label="Sessions", url_name="traces:agent-sessions"),
    Tab(page="agent", order=30, name="traces", label="Traces", url_name="traces:agent-traces"),
    DemoData(name="traces", order=20, erase=demo.erase),
)
