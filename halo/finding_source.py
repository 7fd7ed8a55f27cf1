"""The traces of findings, for lists of traces and for signals that measure one (`traces.trace_groups`)."""

from datetime import datetime
from uuid import UUID

from django.db.models import Q, TextField
from django.db.models.functions import MD5, Cast

from catalyst import timerange
from catalyst.core.models import Project
from halo import focus
from halo.choices import CitationState
from halo.models import Finding, FindingTrace, Issue
from traces.trace_groups import Examples, TraceGroup


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

    def examples(self, project: Project, key: int, count: int) -> Examples | None:
        finding = _finding(project, key)
        if finding is None:
            return None
        run = finding.run
        cited = _cited(finding)
        # By a hash, so that each test of the finding reads the same ones.
        others = focus.traces_of(run).annotate(place=MD5(Cast("trace_id", TextField()))).order_by("place")
        touched = FindingTrace.objects.filter(finding=finding).values("trace_id")
        others = others.exclude(trace_id__in=touched).exclude(trace_id__in=cited)
        return Examples(
            key,
            finding.title,
            finding.get_absolute_url(),
            finding.agent_id,
            run.window_start,
            run.window_end,
            cited=cited[:count],
            others=list(others.values_list("trace_id", flat=True)[:count]),
        )

    def measure(self, project: Project, key: int, signal: int, now: datetime) -> None:
        finding = _finding(project, key)
        if finding is not None:
            issue = finding.issue or _issue_of(finding, now)
            Issue.objects.filter(pk=issue.pk).update(signal_id=signal)


def _finding(project: Project, key: int) -> Finding | None:
    related = Finding.objects.select_related("run__project", "run__agent", "run__conversation", "project", "issue")
    return related.filter(project=project, pk=key).first()


def _cited(finding: Finding) -> list[UUID]:
    """The traces that show the finding. Without a citation, some that it touches."""
    cited = finding.citations.filter(state=CitationState.VERIFIED, trace_id__isnull=False).order_by("position")
    ids = dict.fromkeys(pk for pk in cited.values_list("trace_id", flat=True) if pk)
    return list(ids) or list(finding.traces.order_by("pk").values_list("trace_id", flat=True)[:10])


def _issue_of(finding: Finding, now: datetime) -> Issue:
    """An issue of its own for a finding that was not matched with others."""
    run = finding.run
    issue = Issue.objects.create(
        project_id=finding.project_id,
        agent_id=finding.agent_id,
        title=finding.title,
        signature=finding.signature,
        severity=finding.severity,
        category=finding.category,
        state_since=now,
        first_seen_at=run.window_start,
        last_seen_at=run.window_end,
        created_at=now,
    )
    Finding.objects.filter(pk=finding.pk).update(issue=issue)
    return issue
