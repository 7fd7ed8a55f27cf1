"""Citations as they are shown beside what they are cited for."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.utils.safestring import SafeString

from catalyst.core.templatetags.content import markdown
from catalyst.formats import Plain
from halo.choices import CitationState, QuoteState
from halo.models import Citation, Run
from halo.report.rendering import address_in, to_html
from traces.models import Trace
from traces.models.span import hex_span_id

MAX_CITATIONS = 1_000
MAX_TEXT = 20

# A text as it is shown.
type Html = Callable[[str], SafeString]


@dataclass(frozen=True, slots=True)
class Chip:
    """A citation. `trace`: None if it is unknown, or has expired since the report was stored."""

    citation: Citation
    trace: Trace | None
    href: str

    @property
    def text(self) -> str:
        """The beginning of the ids, as lists show them. Of what is no id of the project: what was written."""
        cited = self.citation
        if cited.trace_id is None:
            return cited.text if len(cited.text) <= MAX_TEXT else f"{cited.text[:MAX_TEXT]}…"
        begin = cited.trace_id.hex[:8]
        return begin if cited.span_id is None else f"{begin}:{hex_span_id(cited.span_id)[:4]}"

    @property
    def is_dropped(self) -> bool:
        return self.citation.trace_id is None

    @property
    def has_doubt(self) -> bool:
        return self.citation.state != CitationState.VERIFIED or self.citation.quote_state == QuoteState.MISSING

    @property
    def verdict(self) -> str:
        """What the store knows of it, in words."""
        state = {
            CitationState.VERIFIED: "Verified: it is stored, and in the window.",
            CitationState.OUTSIDE: "It is stored, but began outside the window.",
            CitationState.UNKNOWN: "Unknown: this project has no such trace or span.",
            CitationState.AMBIGUOUS: "Ambiguous: several IDs begin so.",
        }[CitationState(self.citation.state)]
        quote = {QuoteState.FOUND: " The quote is in it.", QuoteState.MISSING: " The quote is not in it."}
        expired = "" if self.is_dropped or self.trace else " It has expired since."
        return state + quote.get(QuoteState(self.citation.quote_state), "") + expired


def chips_of(run: Run) -> tuple[Sequence[Chip], bool]:
    """The first citations of a run, and whether there are more. Takes two queries."""
    citations = list(run.citations.order_by("position")[: MAX_CITATIONS + 1])
    cited = _cited(run, citations)
    return [_chip(run, citation, cited) for citation in citations[:MAX_CITATIONS]], len(citations) > MAX_CITATIONS


def _cited(run: Run, citations: Iterable[Citation]) -> Mapping[UUID, Trace]:
    ids = {citation.trace_id for citation in citations if citation.trace_id}
    traces = run.project.traces.filter(trace_id__in=ids) if ids else ()
    return {trace.trace_id: trace for trace in traces}


def _chip(run: Run, citation: Citation, cited: Mapping[UUID, Trace]) -> Chip:
    if citation.trace_id is None:
        return Chip(citation, None, "")
    href = address_in(run.project)(citation.trace_id, citation.span_id)
    return Chip(citation, cited.get(citation.trace_id), href)


def html_of(run: Run, citations: Sequence[Citation]) -> Html:
    """How the texts of a report are shown. Rules write no Markdown, but what they quote of traces may look like it."""
    if run.by_rules:
        return lambda text: markdown(Plain(text))
    address = address_in(run.project)
    return lambda text: to_html(text, citations, address)
