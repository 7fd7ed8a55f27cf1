"""The halo app."""

from django.apps import AppConfig

from catalyst import registry


class HaloConfig(AppConfig):
    name = "halo"

    def ready(self) -> None:
        from halo.operations import reports  # noqa: F401, PLC0415
        from halo.registrations import REGISTRATIONS  # noqa: PLC0415

        registry.register(*REGISTRATIONS)
