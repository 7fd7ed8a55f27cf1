"""The llms app."""

from django.apps import AppConfig

from catalyst import registry


class LLMsConfig(AppConfig):
    name = "catalyst.llms"
    label = "llms"
    verbose_name = "Models and budgets"

    def ready(self) -> None:
        from catalyst.llms import operations  # noqa: F401, PLC0415
        from catalyst.llms.registrations import REGISTRATIONS  # noqa: PLC0415

        registry.register(*REGISTRATIONS)
