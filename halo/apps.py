"""The halo app."""

from django.apps import AppConfig


class HaloConfig(AppConfig):
    name = "halo"

    def ready(self) -> None:
        from halo.operations import reports  # noqa: F401, PLC0415
