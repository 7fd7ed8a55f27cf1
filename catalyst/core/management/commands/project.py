"""`manage.py project`, generated from operations."""

from catalyst.core.management.operation_command import OperationCommand


class Command(OperationCommand):
    help = "Show and change a project."
    group = "project"
