"""`manage.py traces`, generated from the operations of traces."""

from catalyst.core.management.operation_command import OperationCommand


class Command(OperationCommand):
    help = "List and show traces, sessions and agents."
    group = "traces"
