"""Shows what a model wrote: safe Markdown in which citations are chips, and as Markdown to download."""

import re
from collections.abc import Callable, Iterable
from typing import Protocol
from uuid import UUID

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from catalyst.core.models import Project
from catalyst.core.templatetags.content import markdown_with
from catalyst.llm import plain
from halo.choices import CitationState, QuoteState
from halo.report.fences import fences
from halo.report.mentions import Mention, find, pieces
from traces.models.span import hex_span_id

MAX_LABEL = 60
_LINK = re.compile(
    r"!?\[(?P<label>[^\[\]\n]{0,300})\]\([ ]?<?(?P<target>[^()\s<>]{1,600})>?(?:[ ]+[\"'][^\"'\n]{0,200}[\"'])?[ ]?\)"
)
_VERDICTS = {
    CitationState.VERIFIED: "Verified",
    CitationState.OUTSIDE: "Outside the window of the report",
    CitationState.UNKNOWN: "There is no such trace or span",
    CitationState.AMBIGUOUS: "Several traces have an ID that begins so",
}
_QUOTES = {
    QuoteState.FOUND: "the quoted text is in it",
    QuoteState.MISSING: "the quoted text is not in it",
    QuoteState.UNCHECKED: "the quoted text was not looked for",
}


class ShownCitation(Protocol):
    """A citation that was checked, stored or not. `text`: the key of its mentions."""

    @property
    def text(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def trace_id(self) -> UUID | None: ...
    @property
    def span_id(self) -> int | None: ...
    @property
    def quote_state(self) -> str: ...


type Address = Callable[[UUID, int | None], str]


def address_in(project: Project) -> Address:
    """The path of a trace, or of a span within it."""

    def address(trace_id: UUID, span_id: int | None) -> str:
        page = reverse("traces:trace-detail", args=[project.slug, trace_id.hex])
        return page if span_id is None else f"{page}?span={hex_span_id(span_id)}"

    return address


def to_html(text: str, citations: Iterable[ShownCitation], address: Address) -> SafeString:
    """The text without HTML, images and links, and with citations as chips."""
    by_key = _worst_by_key(citations)
    return markdown_with(
        [
            (before, chip(by_key[mention.key], address) if mention else "")
            for before, mention in _pieces(text, by_key.keys())
        ]
    )


def to_markdown(text: str, citations: Iterable[ShownCitation], address: Address) -> str:
    """The text with citations as links, and with a word where one is not verified."""
    by_key = _worst_by_key(citations)
    return "".join(
        f"{before}{_link(by_key[mention.key], address) if mention else ''}"
        for before, mention in _pieces(text, by_key.keys())
    )


def chip(citation: ShownCitation, address: Address) -> SafeString:
    """A citation as a link into its trace, struck out if there is none."""
    verdict, state = verdict_of(citation), citation.state
    if citation.trace_id is None:
        tag = '<s class="cite {}" title="{}">{}<span class="only-read"> ({})</span></s>'
        return format_html(tag, state, verdict, _label(citation), verdict)
    quote = "misquoted" if citation.quote_state == QuoteState.MISSING else ""
    tag = '<a class="cite {} {}" href="{}" title="{}">{}<span class="only-read"> ({})</span></a>'
    page = address(citation.trace_id, citation.span_id)
    return format_html(tag, state, quote, page, verdict, _label(citation), verdict)


def verdict_of(citation: ShownCitation) -> str:
    """What is known of a citation, in words."""
    quote = _QUOTES.get(QuoteState(citation.quote_state))
    verdict = _VERDICTS[CitationState(citation.state)]
    return f"{verdict}; {quote}" if quote and citation.trace_id else verdict


def _link(citation: ShownCitation, address: Address) -> str:
    label = _label(citation)
    if citation.trace_id is None:
        return f"~~{label}~~ ({verdict_of(citation)})"
    link = f"[{label}]({address(citation.trace_id, citation.span_id)})"
    is_fine = citation.state == CitationState.VERIFIED and citation.quote_state != QuoteState.MISSING
    return link if is_fine else f"{link} ({verdict_of(citation)})"


def _label(citation: ShownCitation) -> str:
    if citation.trace_id is None:
        return plain(citation.text.strip("[]`"), MAX_LABEL)
    span = "" if citation.span_id is None else f":{hex_span_id(citation.span_id)[:4]}"
    return f"{citation.trace_id.hex[:8]}{span}"


def _worst_by_key(citations: Iterable[ShownCitation]) -> dict[str, ShownCitation]:
    """One citation for each key: one whose quotation is missing, if there is any."""
    by_key: dict[str, ShownCitation] = {}
    for citation in citations:
        if citation.text not in by_key or citation.quote_state == QuoteState.MISSING:
            by_key[citation.text] = citation
    return by_key


def _pieces(text: str, keys: Iterable[str]) -> Iterable[tuple[str, Mention | None]]:
    text = _without_links(text)
    known = set(keys)
    return pieces(text, [mention for mention in find(text) if mention.key in known])


def _without_links(text: str) -> str:
    """The text with the labels of links and images, each with its target as text."""
    parts, position = [], 0
    for fence in fences(text):
        parts += [_LINK.sub(_as_text, text[position : fence.start]), text[fence.start : fence.end]]
        position = fence.end
    return "".join([*parts, _LINK.sub(_as_text, text[position:])])


def _as_text(link: re.Match[str]) -> str:
    label, target = link["label"], link["target"]
    if cited := find(target):
        return label if cited[0].key in {mention.key for mention in find(label)} else f"{label} {cited[0].text}"
    return f"{label} ({target})" if label.strip() != target else label
