"""The ops app: what must see all other apps."""

import os

from django.apps import AppConfig
from django.core.checks import Tags, register

from catalyst.env import env
from catalyst.ops import checks, orphans


class OpsConfig(AppConfig):
    """The clock, up, down and whatever else runs the whole."""

    name = "catalyst.ops"
    label = "ops"

    def ready(self) -> None:
        """Register the checks; a process of `manage.py up` ties its life to it."""
        register(checks.check_queues, checks.TAG)
        register(checks.check_debug, checks.TAG)
        register(checks.check_postgresql, checks.TAG, Tags.database)
        if os.environ.pop("CATALYST_SUPERVISOR", None):
            orphans.follow(env.supervisor)
