"""The core app: people, projects, keys."""

from django.apps import AppConfig

from catalyst import registry


class CoreConfig(AppConfig):
    """Users, projects, memberships and API keys."""

    name = "catalyst.core"
    label = "core"

    def ready(self) -> None:
        """Fill the registries."""
        from catalyst.core.entries import ENTRIES  # noqa: PLC0415
        from catalyst.core.operations import keys, project  # noqa: F401, PLC0415

        registry.register(*ENTRIES)
