"""`manage.py signals`, generated from the operations."""

from catalyst.core.management.operation_command import OperationCommand


class Command(OperationCommand):
    help = "List, show, create and change signals, backfill them, and read labels."
    group = "signals"
