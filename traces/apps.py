"""The traces app."""

from django.apps import AppConfig

from catalyst import registry


class TracesConfig(AppConfig):
    """Spans, traces, sessions and their rollups."""

    name = "traces"

    def ready(self) -> None:
        """Fill the registries."""
        from traces import operations  # noqa: F401, PLC0415
        from traces.entries import ENTRIES  # noqa: PLC0415

        registry.register(*ENTRIES)
