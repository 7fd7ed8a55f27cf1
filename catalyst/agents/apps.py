"""The agents app."""

from django.apps import AppConfig


class AgentsConfig(AppConfig):
    """Agents: identity only."""

    name = "catalyst.agents"
    label = "agents"
