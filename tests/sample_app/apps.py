"""The app."""

from django.apps import AppConfig

from catalyst import registry
from tests.sample_app.registrations import REGISTRATIONS


class SampleConfig(AppConfig):
    """An app of the tests."""

    name = "tests.sample_app"

    def ready(self) -> None:
        """Fill the registry."""
        registry.register(*REGISTRATIONS)
