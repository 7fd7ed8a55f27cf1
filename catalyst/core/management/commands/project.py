"""`manage.py project`, generated from operations."""

from catalyst.core.management.operation_command import OperationCommand


class Command(OperationCommand):
    help = "List, create, show and change projects."
    group = "project"
