"""Queries over traces and sessions."""

from typing import TYPE_CHECKING

from django.db import models

if TYPE_CHECKING:
    from traces.models import Session, Trace


class TraceQuerySet(models.QuerySet["Trace"]):
    """Traces."""


class SessionQuerySet(models.QuerySet["Session"]):
    """Sessions."""
