"""The traces that findings touch, for lists of traces (`traces.trace_groups`)."""

from django.db.models import Q

from catalyst import timerange
from catalyst.core.models import Project
from halo.models import Finding, FindingTrace
from traces.trace_groups import TraceGroup


class FindingTraces:
    def group(self, project: Project, key: int) -> TraceGroup | None:
        finding = Finding.objects.filter(project=project, pk=key).select_related("run", "project").first()
        if finding is None:
            return None
        touched = FindingTrace.objects.filter(finding=finding)
        return TraceGroup(
            key,
            finding.title,
            Q(trace_id__in=touched.values("trace_id")),
            # The rows go when the last of the traces has expired.
            size=touched.count() if finding.run.lists_traces else finding.trace_count or 0,
            query=timerange.between(finding.run.window_start, finding.run.window_end).encoded_query,
            href=finding.get_absolute_url(),
        )
