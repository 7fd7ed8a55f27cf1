"""From the draft of a report to its rows."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import zip_longest
from typing import Any
from uuid import UUID

from halo.choices import CitationState, RunStatus
from halo.drafts import CitationDraft, FindingDraft, ReportDraft
from halo.issues import recognition
from halo.models import Citation, Finding, FindingTrace
from halo.models.finding import MAX_QUERY_CHARACTERS, MAX_TITLE_CHARACTERS
from halo.report.citations import CheckedCitation, ReportCitations
from halo.runs.claims import Claim
from traces.models.span import hex_span_id

MAX_FINDINGS = 100
BATCH = 5_000


def store(
    claim: Claim,
    draft: ReportDraft,
    total: int,
    now: datetime,
    cited: ReportCitations | None = None,
    **columns: Any,
) -> None:
    """Store the report and complete the run, in the caller's transaction. Raises Lost.

    `total`: of how many traces its counts are. `cited`: what a model cites, checked; without it the drafts tell.
    `columns`: further ones of the run.
    """
    claim.check()
    run, drafts = claim.run, draft.findings[:MAX_FINDINGS]
    issues = recognition.recognize(run, drafts, _cited(drafts, cited), total, now)
    findings = Finding.objects.bulk_create(
        Finding(
            run=run,
            issue=issue,
            project_id=run.project_id,
            agent_id=run.agent_id,
            created_at=now,
            rank=rank,
            trace_total=total,
            **_columns(each),
        )
        for rank, (each, issue) in enumerate(zip(drafts, issues, strict=True), 1)
    )
    FindingTrace.objects.bulk_create(_traces(findings, drafts), batch_size=BATCH)
    citations = _of_drafts(findings, drafts) if cited is None else _of_model(findings, cited)
    for position, citation in enumerate(citations, 1):
        citation.run, citation.position = run, position
    Citation.objects.bulk_create(citations, batch_size=BATCH)
    told = {"lede": draft.lede, "text": draft.text, "notes": [*run.notes, *draft.notes]}
    told["signal_drafts"] = [asdict(each) for each in draft.signals]
    claim.end(RunStatus.COMPLETED, now, **told | columns)


def _cited(drafts: Sequence[FindingDraft], cited: ReportCitations | None) -> list[set[UUID]]:
    """The traces that each finding cites."""
    if cited is None:
        return [{citation.trace_id for citation in draft.citations} for draft in drafts]
    by_finding = zip_longest(drafts, cited.of_findings[: len(drafts)], fillvalue=())
    return [{each.trace_id for each in group if each.trace_id} for _, group in by_finding]


def _columns(draft: FindingDraft) -> dict[str, Any]:
    copied = (
        *("severity", "category", "happens", "evidence", "fix", "claimed_count", "prior_count", "prior_total"),
        *("cost", "tokens", "duration_us"),
    )
    return {
        **{name: getattr(draft, name) for name in copied},
        "title": draft.title[:MAX_TITLE_CHARACTERS],
        "kind": draft.kind[:40],
        "signature": draft.signature[:500],
        "trace_count": len(set(draft.trace_ids)) if draft.trace_ids else None,
        # A query that is cut would list something else.
        "query": draft.query if len(draft.query) <= MAX_QUERY_CHARACTERS else "",
    }


def _traces(findings: Sequence[Finding], drafts: Sequence[FindingDraft]) -> Iterator[FindingTrace]:
    for finding, draft in zip(findings, drafts, strict=True):
        for trace_id in dict.fromkeys(draft.trace_ids):
            yield FindingTrace(finding=finding, trace_id=trace_id)


def _of_drafts(findings: Sequence[Finding], drafts: Sequence[FindingDraft]) -> list[Citation]:
    """What rules cite: they have just read it."""
    return [
        Citation(
            finding=finding,
            text=_text(cited),
            trace_id=cited.trace_id,
            span_id=cited.span_id,
            state=CitationState.VERIFIED,
            quote=cited.quote,
            note=cited.note[:200],
        )
        for finding, draft in zip(findings, drafts, strict=True)
        for cited in draft.citations
    ]


def _of_model(findings: Sequence[Finding], cited: ReportCitations) -> list[Citation]:
    by_finding = zip(findings, cited.of_findings, strict=False)
    of_findings = [_checked(citation, finding) for finding, group in by_finding for citation in group]
    return [*of_findings, *(_checked(citation, None) for citation in cited.of_text)]


def _checked(citation: CheckedCitation, finding: Finding | None) -> Citation:
    return Citation(
        finding=finding,
        text=citation.text[:200],
        trace_id=citation.trace_id,
        span_id=citation.span_id,
        state=citation.state,
        quote=citation.quote,
        quote_state=citation.quote_state,
    )


def _text(cited: CitationDraft) -> str:
    return cited.trace_id.hex if cited.span_id is None else f"{cited.trace_id.hex}:{hex_span_id(cited.span_id)}"
