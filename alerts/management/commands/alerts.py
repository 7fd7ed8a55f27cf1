"""`manage.py alerts`, generated from the operations."""

from catalyst.core.management.operation_command import OperationCommand


class Command(OperationCommand):
    help = "List, show, create, change and mute alerts, and read what happened to them."
    group = "alerts"
