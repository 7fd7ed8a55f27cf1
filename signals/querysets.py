"""Queries over signals and labels."""

from typing import TYPE_CHECKING

from django.db import models

if TYPE_CHECKING:
    from signals.models import Label, Signal


class SignalQuerySet(models.QuerySet["Signal"]):
    """Signals."""


class LabelQuerySet(models.QuerySet["Label"]):
    """Labels."""
