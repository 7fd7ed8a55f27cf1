"""The signals app."""

from django.apps import AppConfig

from catalyst import registry


class SignalsConfig(AppConfig):
    name = "signals"

    def ready(self) -> None:
        from signals.label_source import SignalLabels  # noqa: PLC0415
        from signals.operations import (  # noqa: F401, PLC0415
            labels,
            results,
            runs,
            signal_tests,
            signals,
            versions,
        )
        from signals.registrations import REGISTRATIONS  # noqa: PLC0415
        from traces import label_sources  # noqa: PLC0415

        registry.register(*REGISTRATIONS)
        label_sources.register(SignalLabels())
