"""The llms app."""

from django.apps import AppConfig


class LLMsConfig(AppConfig):
    """Endpoints of models, their health and budgets."""

    name = "catalyst.llms"
    label = "llms"
    verbose_name = "Models and budgets"
