"""`manage.py audit`, generated from operations."""

from catalyst.core.management.operation_command import OperationCommand


class Command(OperationCommand):
    help = "List who changed what."
    group = "audit"
