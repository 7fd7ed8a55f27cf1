"""The halo app."""

from django.apps import AppConfig


class HaloConfig(AppConfig):
    name = "halo"
