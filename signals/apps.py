"""The signals app."""

from django.apps import AppConfig


class SignalsConfig(AppConfig):
    """Signals, their versions, labels and verdicts."""

    name = "signals"

    def ready(self) -> None:
        """Show labels beside traces."""
        from signals.label_source import SignalLabels  # noqa: PLC0415
        from traces import label_sources  # noqa: PLC0415

        label_sources.register(SignalLabels())
