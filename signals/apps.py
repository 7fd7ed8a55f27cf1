"""The signals app."""

from django.apps import AppConfig


class SignalsConfig(AppConfig):
    """Signals, their versions, labels and verdicts."""

    name = "signals"
