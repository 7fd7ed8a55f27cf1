"""The ops app: the processes of Catalyst and their health."""

from django.apps import AppConfig
from django.core.checks import register

from catalyst import registry
from catalyst.ops import checks


class OpsConfig(AppConfig):
    name = "catalyst.ops"
    label = "ops"

    def ready(self) -> None:
        from catalyst.ops.registrations import REGISTRATIONS  # noqa: PLC0415

        registry.register(*REGISTRATIONS)
        register(checks.check_queues, checks.TAG)
        register(checks.check_debug, checks.TAG)
        register(checks.check_addresses, checks.TAG)
        register(checks.check_old_secret_keys, checks.TAG)
        register(checks.check_https, checks.TAG, deploy=True)
