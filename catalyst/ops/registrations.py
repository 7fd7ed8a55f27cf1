"""Registry entries of ops."""

from datetime import timedelta

from catalyst import task_backend
from catalyst.ops import tasks
from catalyst.ops.models import Heartbeat
from catalyst.ops.monitoring import probes
from catalyst.registry import Maintenance, PeriodicTask, Probe

REGISTRATIONS = (
    PeriodicTask(
        name="minute",
        order=90,
        interval=timedelta(minutes=1),
        task="catalyst.ops.tasks.minute",
        label="housekeeping",
        description="makes tables for the spans of the next days, deletes what expired",
        lack="Expired traces stay, and the disk fills.",
    ),
    Maintenance(name="future tasks", order=10, run=task_backend.clamp_future_times),
    Maintenance(name="failed tasks", order=30, run=tasks.delete_old_failures),
    Maintenance(name="heartbeats", order=30, run=Heartbeat.objects.delete_expired),
    Maintenance(name="demo", order=90, run=tasks.continue_demo),
    Probe(
        name="database",
        order=10,
        collect=probes.server,
        judge=probes.check_server,
        metrics=probes.server_metrics,
    ),
    Probe(
        name="migrations",
        order=20,
        collect=probes.missing_migrations,
        judge=probes.check_migrations,
        decides_readiness=True,
    ),
    Probe(
        name="writes",
        order=25,
        collect=probes.write_error,
        judge=probes.check_write,
        decides_readiness=True,
    ),
    Probe(
        name="tasks",
        order=60,
        collect=probes.waiting_tasks,
        judge=probes.check_tasks,
        metrics=probes.task_metrics,
    ),
    Probe(
        name="periodic runs",
        order=70,
        collect=probes.periodic_runs,
        judge=probes.check_periodic_runs,
        metrics=probes.periodic_metrics,
    ),
    Probe(
        name="processes",
        order=80,
        collect=probes.heartbeats,
        judge=probes.check_processes,
        metrics=probes.process_metrics,
    ),
    Probe(
        name="data folder",
        order=110,
        collect=probes.data_folder,
        judge=probes.check_data_folder,
        metrics=probes.data_folder_metrics,
    ),
)
