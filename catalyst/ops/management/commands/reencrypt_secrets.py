"""`manage.py reencrypt_secrets`."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from catalyst.core.key_rotation import reencrypt_secrets


class Command(BaseCommand):
    help = "Encrypt what a key in CATALYST_OLD_SECRET_KEYS encrypted with CATALYST_SECRET_KEY. Can be repeated."

    def handle(self, *args: Any, **options: Any) -> None:
        rotation = reencrypt_secrets()
        self.stdout.write(f"{rotation.reencrypted} secrets encrypted with the newest key.")
        for secret in rotation.unreadable:
            self.stderr.write(f"Row {secret.pk}: {secret.error}")
        if rotation.unreadable:
            raise CommandError(f"{len(rotation.unreadable)} secrets can't be decrypted.")
        self.stdout.write("No secret needs CATALYST_OLD_SECRET_KEYS anymore.")
