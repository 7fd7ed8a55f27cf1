"""`manage.py down`."""

import os
import signal
import time
from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from catalyst.env import env
from catalyst.ops.processes import supervisor

MAX_WAIT_SECONDS = 60


class Command(BaseCommand):
    help = "Stop the Catalyst that runs on CATALYST_DATA and wait until all of it has ended."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        if not supervisor.is_running(env.data):
            self.stdout.write(f"Nothing runs on {env.data}.")
            return
        with suppress(ProcessLookupError):
            os.kill(supervisor.holder(env.data), signal.SIGTERM)
        deadline = time.monotonic() + MAX_WAIT_SECONDS
        while supervisor.is_running(env.data):
            if time.monotonic() > deadline:
                raise CommandError(f"It does not stop; see the processes that use {env.data / 'up.lock'}.")
            time.sleep(supervisor.LOOK_SECONDS)
        self.stdout.write("Stopped.")
