"""JSON records of reports. IDs are text, times ISO 8601 in UTC."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from halo.choices import CitationState, QuoteState, Severity
from halo.models import Citation, Finding, Run, RunEvent
from traces.models.span import hex_span_id


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


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
        "cost": None if run.cost is None else f"{run.cost.normalize():f}",
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
            cost=None if finding.cost is None else f"{finding.cost.normalize():f}",
            tokens=finding.tokens,
            duration_ms=None if finding.duration_us is None else finding.duration_us / 1_000,
            citations=list(map(CitationRecord.of, citations)),
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
