"""`manage.py agents regroup`: gives spans of the agent (other) their own agents."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from catalyst.core.models import Project
from traces.ingest.regroup import regroup


class Command(BaseCommand):
    help = "Look after agents."

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="verb", required=True, metavar="COMMAND")
        text = "Give spans of the agent (other), and calls that count under (other), their own agents and names."
        regroup_parser = commands.add_parser("regroup", help=text, description=text)
        regroup_parser.add_argument("--project", required=True, help="Slug of the project.")

    def handle(self, *args: Any, **options: Any) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"There is no project {options['project']}.")
        total = 0
        for count in regroup(project, timezone.now()):
            total += count
            self.stdout.write(f"{total:,} spans regrouped", ending="\r" if self.stdout.isatty() else "\n")
        self.stdout.write(f"{total:,} spans have their own agents and names now.")
