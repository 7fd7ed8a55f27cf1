"""`manage.py web`."""

from typing import Any

from django.core.management.base import BaseCommand

from catalyst.ops.processes import web


class Command(BaseCommand):
    help = "Run the web server on CATALYST_HOST and CATALYST_PORT."

    def handle(self, *args: Any, **options: Any) -> None:
        web.serve()
