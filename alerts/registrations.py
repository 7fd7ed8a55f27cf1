"""Registry entries of alerts."""

from alerts import evaluation
from catalyst.registry import PeriodicTask
from catalyst.timerange import MINUTE

REGISTRATIONS = (
    PeriodicTask(
        name="alerts",
        order=45,
        interval=MINUTE,
        task="alerts.tasks.evaluate",
        has_work=evaluation.has_work,
        description="evaluates alerts",
    ),
)
