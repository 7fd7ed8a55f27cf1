"""`manage.py members`, generated from operations."""

from catalyst.core.management.operation_command import OperationCommand


class Command(OperationCommand):
    help = "List members, change their roles, remove them."
    group = "members"
