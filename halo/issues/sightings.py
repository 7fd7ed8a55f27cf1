"""What reports said of issues: how often, since when, and at what cost."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from operator import attrgetter

from django.db.models import F, Window
from django.db.models.functions import RowNumber

from halo.models import Finding, Issue

# Of each issue, the newest ones.
MAX_FINDINGS = 200


@dataclass(frozen=True, slots=True)
class Seen:
    """An issue of `IssueQuerySet.for_list` with its findings, the newest first, of at most MAX_FINDINGS."""

    issue: Issue
    findings: Sequence[Finding]

    @property
    def report_count(self) -> int:
        return int(getattr(self.issue, "report_count"))  # noqa: B009, mypy does not know it

    @property
    def shares(self) -> list[float]:
        """The share of traces that it touches by report, the oldest first. Reports that did not count are left out."""
        counted = [each for each in self.findings if each.trace_count is not None and each.trace_total]
        by_run = groupby(counted, attrgetter("run_id"))
        shares = [max((each.trace_count or 0) / each.trace_total for each in group) for _, group in by_run]
        return shares[::-1]

    @property
    def cost(self) -> Decimal | None:
        """US dollars wasted since it was first seen, of windows that do not overlap. None if no report says it."""
        total, begun = None, None
        for _, group in groupby(self.findings, attrgetter("run_id")):
            findings = list(group)
            costs = [each.cost for each in findings if each.cost is not None]
            window = findings[0].run
            if costs and (begun is None or window.window_end <= begun):
                total = sum(costs, total or Decimal(0))
                begun = window.window_start
        return total


def of(issues: Sequence[Issue]) -> list[Seen]:
    """Takes one query."""
    found = _findings([issue.pk for issue in issues])
    return [Seen(issue, found.get(issue.pk, ())) for issue in issues]


def _findings(issues: Collection[int]) -> Mapping[int, Sequence[Finding]]:
    order = [F("run__window_end").desc(), F("run_id").desc(), F("rank").asc()]
    place = Window(RowNumber(), partition_by=F("issue_id"), order_by=order)
    findings = Finding.objects.filter(issue__in=issues).select_related("run").alias(place=place)
    columns = ("issue", "run", "rank", "title", "severity", "trace_count", "trace_total", "cost", "claimed_count")
    run = ("run__window_start", "run__window_end", "run__created_at", "run__project", "run__lists_traces")
    found: dict[int, list[Finding]] = defaultdict(list)
    for finding in findings.filter(place__lte=MAX_FINDINGS).only(*columns, *run).order_by(*order):
        if finding.issue_id is not None:
            found[finding.issue_id].append(finding)
    return found
