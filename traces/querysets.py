"""Queries over traces and sessions."""

from typing import TYPE_CHECKING

from django.db import models

if TYPE_CHECKING:
    from traces.models import Session, Trace

    TraceBase = models.QuerySet[Trace]
    SessionBase = models.QuerySet[Session]
else:
    TraceBase = SessionBase = models.QuerySet


class TraceQuerySet(TraceBase):
    """Traces."""


class SessionQuerySet(SessionBase):
    """Sessions."""
