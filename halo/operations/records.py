"""JSON records of reports. IDs are text, times ISO 8601 in UTC."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any, ClassVar

from halo.choices import CitationState, QuoteState, Severity
from halo.issues.sightings import Seen
from halo.models import Citation, Finding, Run, RunEvent, Schedule
from traces.models.span import hex_span_id


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _dollars(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount.normalize():f}"


@dataclass(frozen=True, slots=True)
class RunRow:
    """A report in a list."""

    COLUMNS: ClassVar[Mapping[str, str]] = {
        "ID": "id",
        "TITLE": "title",
        "AGENT": "agent_name",
        "ENGINE": "engine",
        "STATUS": "status",
        "FINDINGS": "finding_count",
        "FROM": "window_start",
        "TO": "window_end",
        "COST": "cost",
    }

    id: str
    conversation_id: str
    agent: str
    """The identity."""
    agent_name: str
    title: str
    origin: str
    engine: str
    model: str | None
    status: str
    is_partial: bool
    """It ended before the report was whole."""
    error: str | None
    window_start: str
    window_end: str
    finding_count: int
    critical_count: int
    high_count: int
    medium_count: int
    low_count: int
    cost: str | None
    """US dollars; null: nothing was asked, or no known price."""
    created_at: str
    completed_at: str | None
    created_by_name: str | None

    @classmethod
    def of(cls, run: Run) -> "RunRow":
        counts = {f"{severity}_count": getattr(run, f"{severity}_count") for severity in Severity}
        return cls(**_about(run), **counts, finding_count=sum(counts.values()))


def _about(run: Run) -> dict[str, Any]:
    return {
        "id": str(run.pk),
        "conversation_id": str(run.conversation_id),
        "agent": run.agent.identity,
        "agent_name": str(run.agent),
        "title": run.conversation.title,
        "origin": run.origin,
        "engine": run.engine,
        "model": run.model_name or None,
        "status": run.status,
        "is_partial": run.is_partial,
        "error": run.error or None,
        "window_start": run.window_start.isoformat(),
        "window_end": run.window_end.isoformat(),
        "cost": _dollars(run.cost),
        "created_at": run.created_at.isoformat(),
        "completed_at": _time(run.ended_at),
        "created_by_name": run.created_by_name or None,
    }


@dataclass(frozen=True, slots=True)
class CitationRecord:
    text: str
    """The ID as the report writes it."""
    trace_id: str | None
    span_id: str | None
    verified: bool
    """It is in the store, and in the window."""
    state: str
    quote: str | None
    quote_found: bool | None
    """Null: there is no quote, or it could not be checked."""

    @classmethod
    def of(cls, citation: Citation) -> "CitationRecord":
        return cls(
            text=citation.text,
            trace_id=citation.trace_id.hex if citation.trace_id else None,
            span_id=None if citation.span_id is None else hex_span_id(citation.span_id),
            verified=citation.state == CitationState.VERIFIED,
            state=citation.state,
            quote=citation.quote or None,
            quote_found={QuoteState.FOUND: True, QuoteState.MISSING: False}.get(QuoteState(citation.quote_state)),
        )


@dataclass(frozen=True, slots=True)
class FindingRecord:
    COLUMNS: ClassVar[Mapping[str, str]] = {
        "RANK": "rank",
        "SEVERITY": "severity",
        "TITLE": "title",
        "TRACES": "trace_count",
        "SUGGESTED FIX": "suggested_fix",
    }

    id: str
    rank: int
    title: str
    severity: str
    category: str
    kind: str | None
    """The rule that found it; null from a model."""
    what_happens: str
    evidence: str
    suggested_fix: str
    trace_count: int | None
    """Traces it touches, counted in the store; null: only the model's word."""
    claimed_trace_count: int | None
    """The model's word for it."""
    trace_total: int
    prior_trace_count: int | None
    """The same in the window before."""
    cost: str | None
    """US dollars wasted."""
    tokens: int | None
    duration_ms: float | None
    issue_id: str | None
    """The issue that it belongs to; null in reports of before there were issues."""
    citations: list[CitationRecord]

    @classmethod
    def of(cls, finding: Finding, citations: Iterable[Citation]) -> "FindingRecord":
        return cls(
            id=str(finding.pk),
            rank=finding.rank,
            title=finding.title,
            severity=finding.severity,
            category=finding.category,
            kind=finding.kind or None,
            what_happens=finding.happens,
            evidence=finding.evidence,
            suggested_fix=finding.fix,
            trace_count=finding.trace_count,
            claimed_trace_count=finding.claimed_count,
            trace_total=finding.trace_total,
            prior_trace_count=finding.prior_count,
            cost=_dollars(finding.cost),
            tokens=finding.tokens,
            duration_ms=None if finding.duration_us is None else finding.duration_us / 1_000,
            issue_id=None if finding.issue_id is None else str(finding.issue_id),
            citations=list(map(CitationRecord.of, citations)),
        )


@dataclass(frozen=True, slots=True)
class SignalDraftRecord:
    """A signal that the model suggests. Nothing is saved."""

    name: str
    scope: str
    prompt: str
    labels: list[str]
    """None: yes, which is bad, or no."""
    bad_labels: list[str]
    why: str

    @classmethod
    def of(cls, draft: Mapping[str, Any]) -> "SignalDraftRecord":
        labels = draft["labels"]
        return cls(
            **{name: draft[name] for name in ("name", "scope", "prompt", "why")},
            labels=[label["value"] for label in labels],
            bad_labels=[label["value"] for label in labels if label["is_bad"]],
        )


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A report with its findings."""

    id: str
    conversation_id: str
    agent: str
    """The identity."""
    agent_name: str
    title: str
    origin: str
    engine: str
    model: str | None
    status: str
    is_partial: bool
    """It ended before the report was whole."""
    error: str | None
    window_start: str
    window_end: str
    cost: str | None
    """US dollars; null: nothing was asked, or no known price."""
    created_at: str
    completed_at: str | None
    created_by_name: str | None
    prompt: str
    focus: str
    """Parameters of a list of traces that narrow what is read."""
    trace_count: int | None
    """Traces that match; null until they are counted."""
    span_count: int | None
    error_count: int | None
    read_trace_count: int
    read_span_count: int
    turn: int
    max_turns: int
    call_count: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    is_estimated: bool
    """The model reported no tokens, so they are estimated."""
    lede: str
    text: str
    """The model's whole answer in Markdown."""
    notes: list[str]
    verified_citations: int
    dropped_citations: int
    """IDs that the store does not have in this window."""
    findings: list[FindingRecord]
    signals: list[SignalDraftRecord]

    @classmethod
    def of(cls, run: Run) -> "RunRecord":
        citations = list(run.citations.order_by("position"))
        by_finding: dict[int | None, list[Citation]] = {}
        for citation in citations:
            by_finding.setdefault(citation.finding_id, []).append(citation)
        verified = sum(citation.state == CitationState.VERIFIED for citation in citations)
        copied = (
            *("prompt", "focus", "trace_count", "span_count", "error_count", "read_trace_count", "read_span_count"),
            *("turn", "max_turns", "call_count", "input_tokens", "cached_tokens", "output_tokens", "is_estimated"),
            *("lede", "text", "notes"),
        )
        return cls(
            **_about(run),
            **{name: getattr(run, name) for name in copied},
            verified_citations=verified,
            dropped_citations=len(citations) - verified,
            findings=[FindingRecord.of(each, by_finding.get(each.pk, ())) for each in run.findings.order_by("rank")],
            signals=list(map(SignalDraftRecord.of, run.signal_drafts)),
        )


@dataclass(frozen=True, slots=True)
class RunEventRecord:
    COLUMNS: ClassVar[Mapping[str, str]] = {
        "SEQUENCE": "sequence",
        "AT": "created_at",
        "KIND": "event_type",
        "AGENT": "agent",
        "TEXT": "text",
    }

    sequence: int
    event_type: str
    agent: str
    depth: int
    text: str
    created_at: str

    @classmethod
    def of(cls, event: RunEvent) -> "RunEventRecord":
        return cls(event.sequence, event.kind, event.agent, event.depth, event.text, event.created_at.isoformat())


@dataclass(frozen=True, slots=True)
class PreviewRecord:
    """What a report would read."""

    trace_count: int
    span_count: int
    error_count: int
    read_span_count: int
    model: str | None
    """Null: the offline analyst."""
    expected_cost_from: str | None
    """US dollars; null: nothing is asked, or no known price."""
    expected_cost_to: str | None
    told: list[str]
    """What was changed of the request."""


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """A schedule in a list."""

    COLUMNS: ClassVar[Mapping[str, str]] = {
        "ID": "id",
        "TITLE": "title",
        "AGENT": "agent_name",
        "STATE": "state",
        "WHEN": "when",
        "TIME ZONE": "timezone",
        "NEXT": "next_run_at",
        "LAST REPORT": "last_run_id",
    }

    id: str
    title: str
    agent: str
    """The identity."""
    agent_name: str
    state: str
    """enabled, paused (by Catalyst), disabled or archived."""
    paused_reason: str | None
    when: str
    """In words, in its time zone."""
    timezone: str
    next_run_at: str | None
    """End of the next window. Its report starts up to five minutes later."""
    last_run_id: str | None

    @classmethod
    def of(cls, schedule: Schedule) -> "ScheduleRow":
        return cls(**_about_schedule(schedule))


def _about_schedule(schedule: Schedule) -> dict[str, Any]:
    last = schedule.last_run
    return {
        "id": str(schedule.pk),
        "title": schedule.title,
        "agent": schedule.agent.identity,
        "agent_name": str(schedule.agent),
        "state": schedule.state,
        "paused_reason": schedule.paused_reason or None,
        "when": schedule.recurrence.words,
        "timezone": schedule.timezone,
        "next_run_at": _time(schedule.next_run_at),
        "last_run_id": None if last is None else str(last),
    }


@dataclass(frozen=True, slots=True)
class ScheduleRecord:
    """A schedule."""

    id: str
    title: str
    agent: str
    """The identity."""
    agent_name: str
    state: str
    """enabled, paused (by Catalyst), disabled or archived."""
    paused_reason: str | None
    when: str
    """In words, in its time zone."""
    timezone: str
    next_run_at: str | None
    """End of the next window. Its report starts up to five minutes later."""
    last_run_id: str | None
    paused_detail: str | None
    next_run_times: list[str]
    """The next three, if it is enabled."""
    frequency: str
    hours: list[int]
    minutes: list[int]
    days_of_week: list[int]
    """From 0, Sunday."""
    days_of_month: list[int]
    lookback_hours: int
    prompt: str | None
    """Null: the default."""
    focus: str
    """Parameters of a list of traces that narrow what is read."""
    engine: str | None
    """Null: a model if one is connected, else the offline analyst."""
    connection_id: str | None
    model: str | None
    span_limit: int
    max_depth: int
    max_turns: int
    reasoning_effort: str | None
    budget_tokens: int | None
    budget_usd: str | None
    budget_minutes: int
    channel_ids: list[str]
    created_at: str
    created_by_name: str | None

    @classmethod
    def of(cls, schedule: Schedule, now: datetime) -> "ScheduleRecord":
        copied = (
            *("frequency", "hours", "minutes", "days_of_week", "days_of_month", "lookback_hours", "focus"),
            *("span_limit", "max_depth", "max_turns", "budget_tokens", "budget_minutes"),
        )
        texts = ("paused_detail", "prompt", "engine", "reasoning_effort", "created_by_name")
        same: dict[str, Any] = {name: getattr(schedule, name) for name in copied}
        told: dict[str, Any] = {name: getattr(schedule, name) or None for name in texts}
        times = islice(schedule.recurrence.times(now), 3) if schedule.next_run_at else ()
        return cls(
            **_about_schedule(schedule),
            **same,
            **told,
            next_run_times=[moment.isoformat() for moment in times],
            connection_id=None if schedule.connection_id is None else str(schedule.connection_id),
            model=schedule.model_name or None,
            budget_usd=_dollars(schedule.budget_usd),
            channel_ids=list(map(str, schedule.channels)),
            created_at=schedule.created_at.isoformat(),
        )


@dataclass(frozen=True, slots=True)
class IssueRow:
    """An issue in a list."""

    COLUMNS: ClassVar[Mapping[str, str]] = {
        "ID": "id",
        "TITLE": "title",
        "AGENT": "agent_name",
        "SEVERITY": "severity",
        "STATE": "state",
        "REPORTS": "report_count",
        "COST": "cost",
        "FIRST SEEN": "first_seen_at",
        "LAST SEEN": "last_seen_at",
        "ASSIGNEE": "assignee",
    }

    id: str
    title: str
    agent: str
    """The identity."""
    agent_name: str
    severity: str
    category: str
    state: str
    """open, acknowledged, fixed or dismissed."""
    report_count: int
    cost: str | None
    """US dollars wasted since it was first seen, of windows that do not overlap; null: no report says it."""
    first_seen_at: str
    last_seen_at: str
    assignee: str | None
    """The username."""

    @classmethod
    def of(cls, seen: Seen) -> "IssueRow":
        return cls(**_about_issue(seen))


def _about_issue(seen: Seen) -> dict[str, Any]:
    issue = seen.issue
    return {
        "id": str(issue.pk),
        "title": issue.title,
        "agent": issue.agent.identity,
        "agent_name": str(issue.agent),
        "severity": issue.severity,
        "category": issue.category,
        "state": issue.state,
        "report_count": seen.report_count,
        "cost": _dollars(seen.cost),
        "first_seen_at": issue.first_seen_at.isoformat(),
        "last_seen_at": issue.last_seen_at.isoformat(),
        "assignee": issue.assignee.username if issue.assignee else None,
    }


@dataclass(frozen=True, slots=True)
class SightingRecord:
    """What one report said of an issue."""

    COLUMNS: ClassVar[Mapping[str, str]] = {
        "REPORT": "run_id",
        "TO": "window_end",
        "SEVERITY": "severity",
        "TRACES": "trace_count",
        "OF": "trace_total",
        "TITLE": "title",
    }

    finding_id: str
    run_id: str
    window_start: str
    window_end: str
    rank: int
    title: str
    severity: str
    trace_count: int | None
    """Traces it touches, counted in the store; null: only the model's word."""
    trace_total: int
    cost: str | None
    """US dollars wasted."""

    @classmethod
    def of(cls, finding: Finding) -> "SightingRecord":
        return cls(
            finding_id=str(finding.pk),
            run_id=str(finding.run_id),
            window_start=finding.run.window_start.isoformat(),
            window_end=finding.run.window_end.isoformat(),
            rank=finding.rank,
            title=finding.title,
            severity=finding.severity,
            trace_count=finding.trace_count,
            trace_total=finding.trace_total,
            cost=_dollars(finding.cost),
        )


@dataclass(frozen=True, slots=True)
class IssueRecord:
    """An issue with what reports said of it."""

    id: str
    title: str
    agent: str
    """The identity."""
    agent_name: str
    severity: str
    category: str
    state: str
    """open, acknowledged, fixed or dismissed."""
    report_count: int
    cost: str | None
    """US dollars wasted since it was first seen, of windows that do not overlap; null: no report says it."""
    first_seen_at: str
    last_seen_at: str
    assignee: str | None
    """The username."""
    state_since: str
    state_by_name: str | None
    """Who changed the state; null: a report."""
    note: str | None
    """What fixed it, why it was dismissed, or why it was reopened."""
    fixed_at: str | None
    fixed_version: str | None
    reopened_count: int
    signal_id: str | None
    merged_into_id: str | None
    """The issue that has its findings since they were merged."""
    findings: list[SightingRecord]
    """The newest first, at most 200."""

    @classmethod
    def of(cls, seen: Seen) -> "IssueRecord":
        issue = seen.issue
        texts = ("state_by_name", "note", "fixed_version")
        told: dict[str, Any] = {name: getattr(issue, name) or None for name in texts}
        return cls(
            **_about_issue(seen),
            **told,
            signal_id=None if issue.signal_id is None else str(issue.signal_id),
            merged_into_id=None if issue.merged_into_id is None else str(issue.merged_into_id),
            state_since=issue.state_since.isoformat(),
            fixed_at=_time(issue.fixed_at),
            reopened_count=issue.reopened_count,
            findings=list(map(SightingRecord.of, seen.findings)),
        )
