"""`manage.py channels`, generated from operations."""

from catalyst.core.management.operation_command import OperationCommand


class Command(OperationCommand):
    help = "List, create, change, test, enable, disable and delete channels, and list their messages."
    group = "channels"
