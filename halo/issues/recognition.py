"""Recognizes issues in a new report, and stores what it says of them."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Max

from catalyst.core.actor import SYSTEM
from catalyst.core.audit import record
from halo.choices import IssueState
from halo.drafts import FindingDraft
from halo.issues.matching import Found, Known, Report, match, normalized
from halo.models import Citation, Finding, FindingTrace, Issue, Run
from halo.models.finding import MAX_TITLE_CHARACTERS
from traces.models import Trace

# Of an agent, the last seen first. Older ones are recognized by their signature only.
MAX_KNOWN = 200
MAX_SIGNATURE_CHARACTERS = 500
BATCH = 10_000
# What reports change.
SEEN = (
    *("title", "severity", "category", "signature", "first_seen_at", "last_seen_at"),
    *("state", "state_since", "state_by_name", "note", "fixed_at", "fixed_version", "reopened_count"),
)
# With the id of an agent, the key of an advisory lock of two numbers: nothing else in this database has this one.
LOCK = 0x69737375

type Traces = frozenset[UUID]


def lock(agent: int) -> None:
    """Keep two at once from writing issues of an agent, until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK, agent % 2**31])


def recognize(
    run: Run, drafts: Sequence[FindingDraft], cited: Sequence[Collection[UUID]], total: int, now: datetime
) -> list[Issue]:
    """Return the stored issue of each finding of a report, in the caller's transaction.

    `cited`: the traces that each finding cites. `total`: of how many traces the report is.
    """
    if not drafts:
        return []
    lock(run.agent_id)
    found = [_found(draft, set(traces)) for draft, traces in zip(drafts, cited, strict=True)]
    known = _known(run, found)
    times = _times(run, [*(each.traces for each in found), *(each.traces for each in known)])
    report = Report(window=(run.window_start, run.window_end), total=total, times=times)
    matched = match(found, known, report)
    issues = _seen(run, drafts, matched, [_newest_time(each, times) for each in found], now)
    made = _made(run, drafts, matched, now)
    return [made[number] if pk is None else issues[pk] for number, pk in enumerate(matched)]


def _seen(
    run: Run,
    drafts: Sequence[FindingDraft],
    matched: Sequence[int | None],
    began: Sequence[datetime | None],
    now: datetime,
) -> dict[int, Issue]:
    """Earlier issues by id, after they were found again. `began`: the newest trace of each finding, if it is known."""
    issues = Issue.objects.in_bulk([pk for pk in matched if pk is not None])
    for pk, issue in issues.items():
        numbers = [number for number, other in enumerate(matched) if other == pk]
        newest = max((moment for number in numbers if (moment := began[number])), default=None)
        _see(issue, run, drafts[numbers[0]], newest, now)
    Issue.objects.bulk_update(issues.values(), SEEN, batch_size=MAX_KNOWN)
    return issues


def _made(run: Run, drafts: Sequence[FindingDraft], matched: Sequence[int | None], now: datetime) -> dict[int, Issue]:
    """New issues by the numbers of their findings. Findings with one signature make one."""
    issues: dict[int, Issue] = {}
    of_signatures: dict[str, Issue] = {}
    for number, (draft, pk) in enumerate(zip(drafts, matched, strict=True)):
        if pk is None:
            new = _new(run, draft, now)
            signature = normalized(draft.signature)
            issues[number] = of_signatures.setdefault(signature, new) if signature else new
    Issue.objects.bulk_create({id(issue): issue for issue in issues.values()}.values())
    return issues


def _newest_time(found: Found, times: Mapping[UUID, datetime]) -> datetime | None:
    return max((times[each] for each in found.traces if each in times), default=None)


def _found(draft: FindingDraft, cited: set[UUID]) -> Found:
    return Found(
        title=draft.title,
        category=draft.category,
        kind=draft.kind,
        signature=draft.signature,
        aliases=draft.aliases,
        traces=frozenset(draft.trace_ids or cited),
        pointer=draft.issue,
    )


def _known(run: Run, found: Sequence[Found]) -> list[Known]:
    """The issues that findings may belong to, the last seen first."""
    names = {name[:MAX_SIGNATURE_CHARACTERS] for each in found for name in (each.signature, *each.aliases)}
    signatures = _signatures(run, names - {""})
    standing = Issue.objects.of_agent(run.agent_id)
    pointed = [each.pointer for each in found if each.pointer is not None]
    recent = standing.last_seen_first().values("pk")[:MAX_KNOWN]
    issues = standing.filter(pk__in=[*signatures, *pointed, *(row["pk"] for row in recent)]).last_seen_first()
    newest = _newest([issue.pk for issue in issues])
    traces = _traces(run, newest.values())
    return [
        Known(
            id=issue.pk,
            title=issue.title,
            category=issue.category,
            kind=finding.kind if finding else "",
            signatures=signatures[issue.pk] | {issue.signature},
            traces=traces.get(finding.pk, frozenset()) if finding else frozenset(),
            window=_window(issue, finding),
        )
        for issue in issues
        for finding in [newest.get(issue.pk)]
    ]


def _window(issue: Issue, finding: Finding | None) -> tuple[datetime, datetime]:
    if finding is None:
        return issue.first_seen_at, issue.last_seen_at
    return finding.run.window_start, finding.run.window_end


def _signatures(run: Run, wanted: Collection[str]) -> defaultdict[int, set[str]]:
    """Which of these signatures issues have, or had in one of their reports."""
    of_findings = Finding.objects.filter(agent=run.agent_id, issue__isnull=False, signature__in=wanted)
    of_issues = Issue.objects.of_agent(run.agent_id).filter(signature__in=wanted)
    signatures: defaultdict[int, set[str]] = defaultdict(set)
    for pk, signature in (
        *of_findings.order_by().values_list("issue_id", "signature").distinct(),
        *of_issues.values_list("pk", "signature"),
    ):
        signatures[pk].add(signature)
    return signatures


def _newest(issues: Collection[int]) -> dict[int, Finding]:
    """The newest finding of each issue."""
    last = Finding.objects.filter(issue__in=issues).order_by().values("issue").annotate(last=Max("pk"))
    found = Finding.objects.filter(pk__in=[row["last"] for row in last]).select_related("run")
    return {finding.issue_id: finding for finding in found if finding.issue_id is not None}


def _traces(run: Run, findings: Collection[Finding]) -> dict[int, Traces]:
    """What earlier findings touch, or else cite, if their reports read some of the time of this one."""
    overlapping = [each.pk for each in findings if each.run.window_end > run.window_start]
    found: dict[int, set[UUID]] = defaultdict(set)
    touched = FindingTrace.objects.filter(finding__in=overlapping).values_list("finding_id", "trace_id")
    for finding, trace_id in touched.iterator(BATCH):
        found[finding].add(trace_id)
    others = [pk for pk in overlapping if pk not in found]
    for citation in Citation.objects.filter(finding__in=others).only("finding", "trace_id"):
        if citation.trace_id is not None and citation.finding_id is not None:
            found[citation.finding_id].add(citation.trace_id)
    return {pk: frozenset(traces) for pk, traces in found.items()}


def _times(run: Run, groups: Sequence[Traces]) -> dict[UUID, datetime]:
    """When the traces began, of those that are stored and in the window."""
    ids = list(frozenset().union(*groups))
    times: dict[UUID, datetime] = {}
    for first in range(0, len(ids), BATCH):
        traces = Trace.objects.filter(project=run.project_id, trace_id__in=ids[first : first + BATCH])
        within = traces.filter(start_time__gte=run.window_start, start_time__lt=run.window_end)
        times |= dict(within.values_list("trace_id", "start_time"))
    return times


def _new(run: Run, draft: FindingDraft, now: datetime) -> Issue:
    return Issue(
        project_id=run.project_id,
        agent_id=run.agent_id,
        state_since=now,
        first_seen_at=run.window_start,
        last_seen_at=run.window_end,
        created_at=now,
        **_words(draft),
    )


def _words(draft: FindingDraft) -> dict[str, Any]:
    return {
        "title": draft.title[:MAX_TITLE_CHARACTERS],
        "severity": draft.severity,
        "category": draft.category,
        "signature": draft.signature[:MAX_SIGNATURE_CHARACTERS],
    }


def _see(issue: Issue, run: Run, draft: FindingDraft, began: datetime | None, now: datetime) -> None:
    """Let an issue say what a report found. `began`: the newest of its traces, if it is known."""
    changes = dict(_changes(issue, run, draft))
    if _is_back(issue, run, began):
        changes |= _reopened(issue, now)
        record(SYSTEM, "reopened", issue, detail=changes["note"])
    for name, value in changes.items():
        setattr(issue, name, value)


def _changes(issue: Issue, run: Run, draft: FindingDraft) -> Iterator[tuple[str, Any]]:
    yield "first_seen_at", min(issue.first_seen_at, run.window_start)
    # A report on older traces does not say how it is now.
    if run.window_end >= issue.last_seen_at:
        yield "last_seen_at", run.window_end
        yield from ((name, value) for name, value in _words(draft).items() if value)


def _is_back(issue: Issue, run: Run, began: datetime | None) -> bool:
    """Whether it happened after it was fixed. Without traces only a window after the fix tells so."""
    if issue.state != IssueState.FIXED or issue.fixed_at is None:
        return False
    return (began or run.window_start) >= issue.fixed_at


def _reopened(issue: Issue, now: datetime) -> dict[str, Any]:
    version = f" by version {issue.fixed_version}" if issue.fixed_version else ""
    return {
        "state": IssueState.OPEN,
        "state_since": now,
        "state_by_name": "",
        "note": f"It was fixed{version} on {issue.fixed_at:%-d %b %Y %H:%M} UTC, and happened again after that.",
        "fixed_at": None,
        "fixed_version": "",
        "reopened_count": issue.reopened_count + 1,
    }
