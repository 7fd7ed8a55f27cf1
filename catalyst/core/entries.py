"""What core adds to the registry."""

from catalyst.core import key_use, login_limits, probes, sign_ins
from catalyst.registry import Maintenance, Probe

ENTRIES = (
    Maintenance(name="sign-ins", order=30, run=sign_ins.delete_expired),
    Maintenance(name="login limits", order=30, run=login_limits.delete_expired),
    Maintenance(name="key use", order=30, run=key_use.delete_expired),
    Probe(
        name="keys",
        order=130,
        collect=probes.key_uses,
        judge=probes.check_keys,
        metrics=probes.key_metrics,
        template="core/parts/key_use.html",
    ),
)
