"""From the draft of a report to its rows."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from halo.choices import CitationState, RunStatus
from halo.drafts import CitationDraft, FindingDraft, ReportDraft
from halo.models import Citation, Finding, FindingTrace
from halo.models.finding import MAX_QUERY_CHARACTERS, MAX_TITLE_CHARACTERS
from halo.runs.claims import Claim
from traces.models.span import hex_span_id

MAX_FINDINGS = 100
BATCH = 5_000


def store(claim: Claim, draft: ReportDraft, total: int, now: datetime, **columns: Any) -> None:
    """Store the report and complete the run, in the caller's transaction. Raises Lost.

    `total`: of how many traces its counts are. `columns`: further ones of the run.
    """
    claim.check()
    run, drafts = claim.run, draft.findings[:MAX_FINDINGS]
    findings = Finding.objects.bulk_create(
        Finding(
            run=run,
            project_id=run.project_id,
            agent_id=run.agent_id,
            created_at=now,
            rank=rank,
            trace_total=total,
            **_columns(each),
        )
        for rank, each in enumerate(drafts, 1)
    )
    FindingTrace.objects.bulk_create(_traces(findings, drafts), batch_size=BATCH)
    stored = run.project.traces.stored({each.trace_id for finding in drafts for each in finding.citations})
    Citation.objects.bulk_create(_citations(findings, drafts, stored), batch_size=BATCH)
    told = {"lede": draft.lede, "text": draft.text, "notes": [*run.notes, *draft.notes]}
    claim.end(RunStatus.COMPLETED, now, **told | columns)


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


def _citations(findings: Sequence[Finding], drafts: Sequence[FindingDraft], stored: set[UUID]) -> Iterator[Citation]:
    position = 0
    for finding, draft in zip(findings, drafts, strict=True):
        for cited in draft.citations:
            position += 1
            is_stored = cited.trace_id in stored
            yield Citation(
                run_id=finding.run_id,
                finding=finding,
                position=position,
                text=_text(cited),
                trace_id=cited.trace_id if is_stored else None,
                span_id=cited.span_id if is_stored else None,
                state=CitationState.VERIFIED if is_stored else CitationState.UNKNOWN,
                quote=cited.quote,
                note=cited.note[:200],
            )


def _text(cited: CitationDraft) -> str:
    return cited.trace_id.hex if cited.span_id is None else f"{cited.trace_id.hex}:{hex_span_id(cited.span_id)}"
