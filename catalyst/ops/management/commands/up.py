"""`manage.py up`."""

import signal
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from catalyst.ops.processes import supervisor
from catalyst.ops.processes.prepare import NotReady
from catalyst.postgres import PostgresError


class Command(BaseCommand):
    help = "Run PostgreSQL, web, workers and clock until Ctrl-C; see CATALYST_PORT, CATALYST_DATA and DATABASE_URL."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--parent", type=int, default=0, help="Stop when this parent process is gone.")

    def handle(self, *args: Any, **options: Any) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
        try:
            supervisor.run(self.report, parent=options["parent"])
        except KeyboardInterrupt:
            self.stdout.write("Stopped.")
        except (NotReady, PostgresError) as error:
            self.stderr.write(str(error))
            sys.exit(1)

    def report(self, line: str) -> None:
        # Flush, because stdout may be a pipe.
        self.stdout.write(line)
        self.stdout.flush()
