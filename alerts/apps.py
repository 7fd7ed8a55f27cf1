"""The alerts app."""

from django.apps import AppConfig

from catalyst import notifications, registry


class AlertsConfig(AppConfig):
    name = "alerts"

    def ready(self) -> None:
        from alerts import delivery  # noqa: PLC0415
        from alerts.operations import alerts, channels  # noqa: F401, PLC0415
        from alerts.registrations import REGISTRATIONS  # noqa: PLC0415

        registry.register(*REGISTRATIONS)
        notifications.register(delivery.queue, delivery.chosen, delivery.names)
