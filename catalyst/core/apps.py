"""The core app: people, projects, keys."""

from django.apps import AppConfig

from catalyst import registry


class CoreConfig(AppConfig):
    name = "catalyst.core"
    label = "core"

    def ready(self) -> None:
        from catalyst.core.entries import ENTRIES  # noqa: PLC0415
        from catalyst.core.operations import keys, project  # noqa: F401, PLC0415

        registry.register(*ENTRIES)
