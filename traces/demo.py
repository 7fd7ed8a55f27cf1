"""Deletes the demo data."""

from typing import Any

from django.db import models, transaction

from traces.models import AgentHour, AgentHourCalls, AgentHourLatency, AgentMinute, Resource, Session, Trace, Unsettled
from traces.span_store import span_store

ROWS_AT_ONCE = 500
HOURLY: tuple[type[models.Model], ...] = (AgentHour, AgentHourCalls, AgentHourLatency, AgentMinute, Resource)


def erase(project_id: int) -> None:
    """Delete the spans, traces, sessions and sums of a project, in batches. Its agents stay."""
    while traces := _first(Trace, project_id):
        _erase_traces(project_id, traces)
    while sessions := _first(Session, project_id):
        with transaction.atomic():
            Unsettled.objects.filter(scope=Unsettled.Scope.SESSION, target_id__in=sessions).delete()
            Session.objects.filter(pk__in=sessions).delete()
    for model in HOURLY:
        while rows := _first(model, project_id):
            model._default_manager.filter(pk__in=rows).delete()


def _first(model: type[models.Model], project_id: int) -> list[Any]:
    rows = model._default_manager.filter(project=project_id).order_by("pk")
    return list(rows.values_list("pk", flat=True)[:ROWS_AT_ONCE])


@transaction.atomic
def _erase_traces(project_id: int, traces: list[int]) -> None:
    span_store().delete(project_id, [trace.extent for trace in Trace.objects.filter(pk__in=traces)])
    scopes = (Unsettled.Scope.TRACE, Unsettled.Scope.SPAN)
    Unsettled.objects.filter(scope__in=scopes, target_id__in=traces).delete()
    Trace.objects.filter(pk__in=traces).delete()
