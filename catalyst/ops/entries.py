"""What ops adds to the registry."""

from datetime import timedelta

from catalyst import task_backend
from catalyst.ops import tasks
from catalyst.ops.models import Heartbeat
from catalyst.registry import Maintenance, PeriodicTask

ENTRIES = (
    PeriodicTask(
        name="minute",
        order=90,
        interval=timedelta(minutes=1),
        task="catalyst.ops.tasks.minute",
        about="makes days, deletes what expired",
    ),
    Maintenance(name="future tasks", order=10, run=task_backend.clamp_future_times),
    Maintenance(name="failed tasks", order=30, run=tasks.delete_old_failures),
    Maintenance(name="heartbeats", order=30, run=Heartbeat.objects.delete_expired),
    Maintenance(name="demo", order=90, run=tasks.continue_demo),
)
