"""Checks what a report cites against the store."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from catalyst.core.models import Project
from halo.choices import CitationState, QuoteState
from halo.report import quotes
from halo.report.findings import ParsedFinding
from halo.report.mentions import FULL, SPAN, Mention, find, of_cited
from halo.report.parsing import ParsedReport
from halo.report.quotes import SpanText
from traces.models import Trace
from traces.models.span import span_id_of
from traces.models.trace import id_begins_with
from traces.records import Extent, SpanRecord
from traces.span_store import SpanId, SpanQuery, span_store

MAX_CITATIONS = 500
# First digits of IDs, each of which is a query of its own within one.
MAX_PREFIXES = 100
# Traces whose spans are read for quotations, and their spans.
MAX_QUOTED_TRACES = 100
MAX_QUOTED_SPANS = 2_000
TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedCitation:
    """What the store knows of a mention. The IDs are those of real traces and spans, None for others."""

    mention: Mention
    state: CitationState
    trace_id: UUID | None = None
    span_id: int | None = None
    quote_state: QuoteState = QuoteState.NONE

    @property
    def text(self) -> str:
        return self.mention.key

    @property
    def quote(self) -> str:
        return self.mention.quote


@dataclass(frozen=True, slots=True)
class Checked:
    """Citations in the order of their mentions, without those that turned out to be something else.

    `left_out`: mentions behind the limits, which nobody looked at.
    """

    citations: Sequence[CheckedCitation]
    left_out: int = 0

    def count(self, state: CitationState) -> int:
        return sum(each.state == state for each in self.citations)


@dataclass(frozen=True, slots=True)
class ReportCitations:
    """`of_findings`: in the order of the findings. `of_text`: what only the prose cites. `left_out`: as in Checked."""

    of_findings: Sequence[Sequence[CheckedCitation]]
    of_text: Sequence[CheckedCitation]
    left_out: int

    @property
    def problems(self) -> list[str]:
        """What was not checked, in sentences for people."""
        return [f"{self.left_out:,} further citations were not checked."] if self.left_out else []


def check(project: Project, start: datetime, end: datetime, mentions: Sequence[Mention]) -> Checked:
    """Look mentions up in a project, for a report about traces that began in [start, end)."""
    (citations,), left_out = _check(project, start, end, [mentions])
    return Checked(citations, left_out)


def check_report(project: Project, start: datetime, end: datetime, report: ParsedReport) -> ReportCitations:
    """Check what the findings and the prose of a report cite, as `check` does. Each finding cites an ID once."""
    groups = [_once(_mentions_of(finding)) for finding in report.findings]
    cited = {mention.key: mention for group in groups for mention in group}
    prose = [each for each in _once(find(report.prose)) if each.key not in cited or each.quote]
    (*of_findings, of_text), left_out = _check(project, start, end, [*groups, prose])
    return ReportCitations(of_findings, of_text, left_out)


def _check(
    project: Project, start: datetime, end: datetime, groups: Sequence[Sequence[Mention]]
) -> tuple[list[list[CheckedCitation]], int]:
    mentions = [mention for group in groups for mention in group]
    looked_at = _first(mentions)
    known = _Known(project, looked_at)
    found = {id(mention): _citation(mention, known, start, end) for mention in looked_at}
    texts = _Texts(project, known, [each for each in found.values() if each and each.quote and each.trace_id])
    checked = [[texts.check(each) for mention in group if (each := found.get(id(mention)))] for group in groups]
    return checked, len(mentions) - len(looked_at)


def _mentions_of(finding: ParsedFinding) -> list[Mention]:
    listed = [mention for cited in finding.citations if (mention := of_cited(cited))]
    return [*listed, *(each for text in (finding.happens, finding.evidence, finding.fix) for each in find(text))]


def _once(mentions: Iterable[Mention]) -> list[Mention]:
    """One mention of each ID, with a quotation if any has one."""
    by_key: dict[str, Mention] = {}
    for mention in mentions:
        if mention.key not in by_key or (mention.quote and not by_key[mention.key].quote):
            by_key[mention.key] = mention
    return list(by_key.values())


def _first(mentions: Sequence[Mention]) -> list[Mention]:
    """The mentions within the limits."""
    first = mentions[:MAX_CITATIONS]
    beyond = set(sorted(prefixes_of(first))[MAX_PREFIXES:])
    return [mention for mention in first if mention.trace not in beyond]


def prefixes_of(mentions: Iterable[Mention]) -> set[str]:
    """The traces of which mentions have the first digits only."""
    return {mention.trace for mention in mentions if 0 < len(mention.trace) < FULL}


class _Known:
    """Traces and spans of a project that mentions may mean."""

    def __init__(self, project: Project, mentions: Sequence[Mention]) -> None:
        full = {mention.trace for mention in mentions if len(mention.trace) == FULL}
        chosen = sorted(prefixes_of(mentions))
        rows = [*project.traces.filter(trace_id__in=[UUID(hex=text) for text in full]), *_beginning(project, chosen)]
        self.traces: dict[UUID, Trace] = {row.trace_id: row for row in rows}
        self._by_prefix: dict[str, list[UUID]] = {
            text: [trace_id for trace_id in self.traces if trace_id.hex.startswith(text)] for text in chosen
        }
        self.spans = self._stored_spans(project, {mention.span for mention in mentions if len(mention.span) == SPAN})

    def matching(self, text: str, span_id: int | None) -> list[UUID]:
        """The traces that a text may mean; without a text, the cited ones that have the span."""
        if not text:
            return [trace_id for trace_id in self.traces if (trace_id, span_id) in self.spans]
        if len(text) == FULL:
            trace_id = UUID(hex=text)
            return [trace_id] if trace_id in self.traces else []
        return self._by_prefix.get(text, [])

    def _stored_spans(self, project: Project, texts: Collection[str]) -> set[SpanId]:
        if not texts or not self.traces:
            return set()
        ids = {(trace_id, span_id_of(text)) for trace_id in self.traces for text in texts}
        first = min(trace.start_time for trace in self.traces.values())
        last = max(trace.end_time for trace in self.traces.values())
        return span_store().matching(project.pk, ids, SpanQuery(start=first, end=last + TICK))


def _beginning(project: Project, prefixes: Sequence[str]) -> Iterable[Trace]:
    """Up to two traces for each prefix: a second one makes it ambiguous."""
    queries = [project.traces.filter(id_begins_with(text)).order_by()[:2] for text in prefixes]
    return queries[0].union(*queries[1:], all=True) if queries else ()


def _citation(mention: Mention, known: _Known, start: datetime, end: datetime) -> CheckedCitation | None:
    span_id = span_id_of(mention.span) if len(mention.span) == SPAN else None
    matching = known.matching(mention.trace, span_id)
    if len(matching) > 1:
        return CheckedCitation(mention=mention, state=CitationState.AMBIGUOUS)
    is_real = bool(matching) and (not mention.span or (matching[0], span_id) in known.spans)
    if not is_real:
        return CheckedCitation(mention=mention, state=CitationState.UNKNOWN) if mention.is_sure else None
    is_within = start <= known.traces[matching[0]].start_time < end
    state = CitationState.VERIFIED if is_within else CitationState.OUTSIDE
    return CheckedCitation(mention=mention, state=state, trace_id=matching[0], span_id=span_id)


class _Texts:
    """What the spans say that quotations are looked for in: of the cited spans, or of all of a trace."""

    def __init__(self, project: Project, known: _Known, quoting: Sequence[CheckedCitation]) -> None:
        cited = {(each.trace_id, each.span_id) for each in quoting}
        chosen = list(dict.fromkeys(each.trace_id for each in quoting if each.trace_id))[:MAX_QUOTED_TRACES]
        extents = [known.traces[trace_id].extent for trace_id in chosen]
        self._spans = span_store().spans(project.pk, extents) if extents else {}
        wanted: dict[Extent, list[SpanRecord]] = {}
        room = MAX_QUOTED_SPANS
        for extent in extents:
            is_whole = (extent.trace_id, None) in cited
            spans = self._spans.get(extent.trace_id, ())
            wanted[extent] = [each for each in spans if is_whole or (extent.trace_id, each.span_id) in cited][:room]
            room -= len(wanted[extent])
        ids = {extent: [span.span_id for span in spans] for extent, spans in wanted.items()}
        payloads = span_store().payloads_of(project.pk, ids) if ids else {}
        self._texts = {
            (extent.trace_id, span.span_id): SpanText(span, payloads.get(extent.trace_id, {}).get(span.span_id))
            for extent, spans in wanted.items()
            for span in spans
        }

    def check(self, citation: CheckedCitation) -> CheckedCitation:
        return replace(citation, quote_state=self._state_of(citation)) if citation.quote else citation

    def _state_of(self, citation: CheckedCitation) -> QuoteState:
        if citation.trace_id is None:
            return QuoteState.UNCHECKED
        of_trace = [span.span_id for span in self._spans.get(citation.trace_id, ())]
        ids = of_trace if citation.span_id is None else [citation.span_id]
        read = [text for each in ids if (text := self._texts.get((citation.trace_id, each)))]
        return quotes.state_of(citation.quote, read, is_all=len(read) == len(ids))
