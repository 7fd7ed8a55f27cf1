"""The core app: people, projects, keys."""

from django.apps import AppConfig


class CoreConfig(AppConfig):
    """Users, projects, memberships and API keys."""

    name = "catalyst.core"
    label = "core"
