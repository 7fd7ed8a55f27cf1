"""Registry entries of llms."""

from catalyst.llms import probes
from catalyst.llms.models import JudgeHealth
from catalyst.registry import Maintenance, Probe, Tab

REGISTRATIONS = (
    Maintenance(name="future judge pauses", order=10, run=JudgeHealth.objects.clamp_future_times),
    Probe(
        name="judges",
        order=90,
        collect=probes.judges,
        judge=probes.check_judges,
        metrics=probes.judges_metrics,
    ),
    Tab(
        page="settings",
        order=40,
        name="connection-list",
        label="Models",
        url_name="llms:connection-list",
        owners_only=True,
    ),
)
