"""`manage.py invitations`, generated from operations."""

from catalyst.core.management.operation_command import OperationCommand


class Command(OperationCommand):
    help = "List, create and revoke invitations."
    group = "invitations"
