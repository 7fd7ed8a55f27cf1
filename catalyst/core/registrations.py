"""Registry entries of core."""

from catalyst.core import audit, key_use, probes, sign_ins
from catalyst.core.token_buckets import database_buckets
from catalyst.registry import Maintenance, Probe, Retention, Section, Tab

REGISTRATIONS = (
    Maintenance(name="sign-ins", order=30, run=sign_ins.delete_expired),
    Maintenance(name="token buckets", order=30, run=database_buckets.delete_expired),
    Maintenance(name="key use", order=30, run=key_use.delete_expired),
    Retention(name="sign-ins in the audit log", order=60, delete=audit.delete_expired),
    Probe(
        name="keys",
        order=130,
        collect=probes.usage_of_keys,
        judge=probes.check_keys,
        metrics=probes.key_metrics,
        template="core/parts/key_use.html",
    ),
    Section(name="Settings", order=90, url_name="core:settings", icon="settings", key="x", folders=("settings",)),
    Tab(page="settings", order=10, name="settings", label="General", url_name="core:settings"),
    Tab(page="settings", order=20, name="member-list", label="Members", url_name="core:member-list"),
    Tab(page="settings", order=30, name="key-list", label="API keys", url_name="core:key-list"),
    Tab(page="settings", order=90, name="audit-list", label="Audit log", url_name="core:audit-list", owners_only=True),
)
