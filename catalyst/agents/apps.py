"""The agents app."""

from django.apps import AppConfig


class AgentsConfig(AppConfig):
    name = "catalyst.agents"
    label = "agents"
