"""A report as Markdown, to keep or to send."""

import re
from collections.abc import Callable, Iterator

from catalyst import formats
from halo.choices import CitationState
from halo.models import Citation, Finding, Run
from halo.report.rendering import address_in, to_markdown
from halo.runs import follow_ups

MAX_ISSUE_TITLE = 250
# What could end a line of a heading or a link, or begin HTML.
SPECIAL = re.compile(r"([\\`*_\[\]<>#|])")

# A text as it is written.
type Words = Callable[[str], str]


def of(run: Run, site: str = "") -> str:
    """The whole report. `site`: begins the address of each link, without a slash at the end."""
    findings = list(run.findings.order_by("rank").prefetch_related("citations"))
    words = _words_of(run, site)
    blocks = [f"# {_line(run.conversation.title)}", *_head(run), *filter(None, [words(run.lede)])]
    for finding in findings:
        blocks += _finding(run, finding, site, words)
    if run.notes:
        blocks += ["## How it was read", "\n".join(f"- {_line(note)}" for note in run.notes)]
    if run.text:
        blocks += ["## In the words of the model", words(run.text)]
    for asked in follow_ups.of(run.conversation).exclude(text=""):
        blocks += [f"## {_line(asked.prompt)}", _words_of(asked, site)(asked.text)]
    return "\n\n".join(blocks) + "\n"


def title_of(finding: Finding) -> str:
    """The title of an issue in a tracker. It is text there, not Markdown, and has one line."""
    return f"{finding.agent}: {' '.join(finding.title.split())}"[:MAX_ISSUE_TITLE]


def issue_of(run: Run, finding: Finding, site: str) -> str:
    """The text of an issue in a tracker: what happens, the evidence with links, the fix, and where it was found."""
    _heading, reach, *blocks = _finding(run, finding, site, _words_of(run, site))
    window = f"{run.window_start:%-d %b %Y %H:%M} to {run.window_end:%-d %b %Y %H:%M} UTC"
    found = f"Found by [a report]({site}{finding.get_absolute_url()}) on {_line(str(run.agent))}, {window}."
    return "\n\n".join([reach, *blocks, found]) + "\n"


def of_finding(run: Run, finding: Finding, site: str) -> str:
    """A finding as Markdown, with its title."""
    return f"# {_line(finding.title)}\n\n{issue_of(run, finding, site)}"


def _head(run: Run) -> Iterator[str]:
    analyst = "the offline analyst" if run.by_rules else run.model_name
    yield (
        f"{_line(str(run.agent))}, {run.window_start:%-d %b %Y %H:%M} to {run.window_end:%-d %b %Y %H:%M} UTC, "
        f"by {_line(analyst)}. Traces read: {run.read_trace_count:,} of {run.trace_count or 0:,}."
    )
    if run.is_partial or run.error:
        state = "This report is incomplete." if run.is_partial else f"{run.get_status_display()}."
        yield f"**{state}** {_line(run.error)}".rstrip()


def _words_of(run: Run, site: str) -> Words:
    """How texts of a report are written. Rules write no Markdown, but what they quote of traces may look like it."""
    if run.by_rules:
        return _line
    citations, path = list(run.citations.all()), address_in(run.project)
    return lambda text: to_markdown(text, citations, lambda trace_id, span_id: f"{site}{path(trace_id, span_id)}")


def _finding(run: Run, finding: Finding, site: str, words: Words) -> Iterator[str]:
    yield f"## {finding.rank}. {_line(finding.title)}"
    yield f"{finding.get_severity_display()}, {finding.get_category_display().lower()}. {_reach(finding)}"
    yield from filter(None, (words(finding.happens), words(finding.evidence)))
    if finding.fix:
        yield f"**Fix.** {words(finding.fix)}"
    if cited := sorted(finding.citations.all(), key=lambda each: each.position):
        yield "Evidence: " + ", ".join(_citation(run, each, site) for each in cited)


def _reach(finding: Finding) -> str:
    if finding.trace_count is None:
        claimed = finding.claimed_count
        return "Not counted." if claimed is None else f"About {claimed:,} traces, as the model says; not counted."
    share = formats.percent(finding.trace_count, finding.trace_total)
    return f"{finding.trace_count:,} of {finding.trace_total:,} traces{f' ({share})' if share else ''}."


def _citation(run: Run, citation: Citation, site: str) -> str:
    if citation.trace_id is None:
        return f"~~{_line(citation.text)}~~ ({citation.get_state_display().lower()})"
    outside = " (outside the window)" if citation.state == CitationState.OUTSIDE else ""
    address = address_in(run.project)(citation.trace_id, citation.span_id)
    return f"[{_line(citation.text)}]({site}{address}){outside}"


def _line(text: str) -> str:
    """A text in one line that is nothing but text."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))
