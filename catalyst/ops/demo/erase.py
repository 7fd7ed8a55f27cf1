"""Take everything away that a project has received and that was made of it, a bounded piece at a time."""

from typing import Any

from django.db import connection, models, transaction

from catalyst.core.models import Project
from signals.models import Label, Signal, Verdict
from traces.models import AgentHour, AgentHourCalls, AgentHourLatency, Resource, Session, Trace, Unsettled
from traces.models.span import PARTITIONED

AT_ONCE = 500
HOURLY: tuple[type[models.Model], ...] = (AgentHour, AgentHourCalls, AgentHourLatency, Resource)


def erase(project: Project) -> None:
    """Remove signals and labels, then spans, traces, sessions and sums. People, keys and agents stay.

    Each piece is a transaction of its own; one that was interrupted can be repeated.
    """
    while labels := _some(Label, project):
        with transaction.atomic():
            Verdict.objects.filter(label_id__in=labels).delete()
            Label.objects.filter(pk__in=labels).delete()
    Signal.objects.filter(project=project).delete()
    while traces := _some(Trace, project):
        _erase_traces(project, traces)
    while sessions := _some(Session, project):
        with transaction.atomic():
            Unsettled.objects.filter(scope=Unsettled.Scope.SESSION, target_id__in=sessions).delete()
            Session.objects.filter(pk__in=sessions).delete()
    for model in HOURLY:
        while found := _some(model, project):
            model._default_manager.filter(pk__in=found).delete()


def _some(model: type[models.Model], project: Project) -> list[Any]:
    return list(model._default_manager.filter(project=project).order_by("pk").values_list("pk", flat=True)[:AT_ONCE])


@transaction.atomic
def _erase_traces(project: Project, traces: list[int]) -> None:
    """Remove these traces (primary keys) with their spans and texts."""
    ids = list(Trace.objects.filter(pk__in=traces).values_list("trace_id", flat=True))
    with connection.cursor() as cursor:
        for model in PARTITIONED:
            statement = f"DELETE FROM {model._meta.db_table} WHERE project_id = %s AND trace_id = ANY(%s)"
            cursor.execute(statement, [project.pk, ids])
    scopes = (Unsettled.Scope.TRACE, Unsettled.Scope.SPAN)
    Unsettled.objects.filter(scope__in=scopes, target_id__in=traces).delete()
    Trace.objects.filter(pk__in=traces).delete()
