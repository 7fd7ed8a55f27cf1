"""`manage.py demo`."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from catalyst.core.models import Project, User
from catalyst.ops.demo import loader
from catalyst.package import command


class Command(BaseCommand):
    help = "Fill the project Demo with a week of made-up traffic that ends now."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reset", action="store_true", help="Remove what the project holds and fill it again.")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        project = loader.find()
        if project and not options["reset"]:
            raise CommandError("There is a project Demo already. Renew it with --reset.")
        if project is None:
            project = loader.make(self.owner(), now)
        spans = loader.renew(project, now) if options["reset"] else loader.fill(project, now)
        self.stdout.write(f"The project Demo has {spans:,} new spans.")

    def owner(self) -> User:
        owner = User.objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
        if owner is None:
            raise CommandError(f"There is nobody who could own the project. Run {command('createsuperuser')} first.")
        if Project.objects.filter(slug=loader.SLUG).exists():
            raise CommandError(f"A project of your own has the name {loader.SLUG} in its address.")
        return owner
