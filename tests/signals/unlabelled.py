"""Targets that wait, failed or never came to a judge, and where pages say why."""

from datetime import datetime

from django.urls import reverse

from catalyst.core.models import Project
from signals.models import Label
from tests.factories import make_trace, settle_all
from traces.models import Session, Trace
from traces.models.span import hex_span_id


def of(trace: Trace | Session, span: int | None = None) -> str:
    """The address of what a page says of it."""
    kind = "session" if isinstance(trace, Session) else "trace"
    url = reverse(f"signals:{kind}-absences", args=["default", trace.pk])
    return f"{url}?span={hex_span_id(span)}" if span is not None else url


def settled(project: Project, now: datetime, number: int = 1, **about: str) -> Trace:
    trace = make_trace(project, number, now=now, **about)
    settle_all(now)
    return trace


def waiting(project: Project, now: datetime, **changes: object) -> Trace:
    trace = settled(project, now)
    assert Label.objects.update(**changes)
    return trace
