"""Pages of the signals app."""

from django.urls import URLPattern

app_name = "signals"
urlpatterns: list[URLPattern] = []
