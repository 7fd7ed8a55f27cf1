"""The ops app: what must see all other apps."""

from django.apps import AppConfig


class OpsConfig(AppConfig):
    """The clock, up, down and whatever else runs the whole."""

    name = "catalyst.ops"
    label = "ops"
