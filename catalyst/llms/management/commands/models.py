"""`manage.py models`, generated from operations."""

from catalyst.core.management.operation_command import OperationCommand


class Command(OperationCommand):
    help = "List, create, change, test, revoke and delete model connections."
    group = "models"
