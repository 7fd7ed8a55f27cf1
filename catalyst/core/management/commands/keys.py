"""`manage.py keys`, generated from operations."""

from catalyst.core.management.operation_command import OperationCommand


class Command(OperationCommand):
    help = "List, create, limit and revoke API keys, and set their origins."
    group = "keys"
