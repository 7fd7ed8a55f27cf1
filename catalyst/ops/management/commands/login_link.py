"""`manage.py login_link`."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from catalyst.core import operations
from catalyst.core.actor import SYSTEM
from catalyst.core.models import User
from catalyst.env import env


class Command(BaseCommand):
    help = "Print a link that signs a person in once, within a day."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", nargs="?", default="owner")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"], is_active=True).first()
        if user is None:
            raise CommandError(f"There is no user {options['username']}.")
        self.stdout.write(env.base_url() + operations.make_login_link(user, by=SYSTEM, now=timezone.now()))
