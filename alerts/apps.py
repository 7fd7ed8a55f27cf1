"""The alerts app."""

from django.apps import AppConfig

from catalyst import registry


class AlertsConfig(AppConfig):
    name = "alerts"

    def ready(self) -> None:
        from alerts.operations import alerts  # noqa: F401, PLC0415
        from alerts.registrations import REGISTRATIONS  # noqa: PLC0415

        registry.register(*REGISTRATIONS)
