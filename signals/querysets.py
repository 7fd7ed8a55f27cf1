"""Queries over signals and labels."""

from typing import TYPE_CHECKING

from django.db import models

if TYPE_CHECKING:
    from signals.models import Label, Signal

    SignalBase = models.QuerySet[Signal]
    LabelBase = models.QuerySet[Label]
else:
    SignalBase = LabelBase = models.QuerySet


class SignalQuerySet(SignalBase):
    """Signals."""


class LabelQuerySet(LabelBase):
    """Labels."""
