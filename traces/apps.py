"""Django configuration."""

from django.apps import AppConfig

from catalyst import registry


class TracesConfig(AppConfig):
    name = "traces"

    def ready(self) -> None:
        from traces.operations import agents, sessions, traces, transcripts  # noqa: F401, PLC0415
        from traces.registrations import REGISTRATIONS  # noqa: PLC0415

        registry.register(*REGISTRATIONS)
