"""The traces app."""

from django.apps import AppConfig


class TracesConfig(AppConfig):
    """Spans, traces, sessions and their rollups."""

    name = "traces"
