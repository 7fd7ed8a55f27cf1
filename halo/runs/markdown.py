"""A report as Markdown, to keep or to send."""

import re
from collections.abc import Iterator
from uuid import UUID

from django.urls import reverse

from catalyst import formats
from halo.choices import CitationState
from halo.models import Citation, Finding, Run
from traces.models.span import hex_span_id

# What could end a line of a heading or a link, or begin HTML.
SPECIAL = re.compile(r"([\\`*_\[\]<>#|])")


def of(run: Run, site: str = "") -> str:
    """The whole report. `site`: begins the address of each link, without a slash at the end."""
    findings = list(run.findings.order_by("rank").prefetch_related("citations"))
    blocks = [f"# {_line(run.conversation.title)}", *_head(run), *_lede(run)]
    for finding in findings:
        blocks += _finding(run, finding, site)
    if run.notes:
        blocks += ["## How it was read", "\n".join(f"- {_line(note)}" for note in run.notes)]
    if run.text:
        blocks += ["## In the words of the model", run.text]
    return "\n\n".join(blocks) + "\n"


def _head(run: Run) -> Iterator[str]:
    analyst = "the offline analyst" if run.by_rules else run.model_name
    yield (
        f"{_line(str(run.agent))}, {run.window_start:%-d %b %Y %H:%M} to {run.window_end:%-d %b %Y %H:%M} UTC, "
        f"by {_line(analyst)}. Traces read: {run.read_trace_count:,} of {run.trace_count or 0:,}."
    )
    if run.is_partial or run.error:
        state = "This report is incomplete." if run.is_partial else f"{run.get_status_display()}."
        yield f"**{state}** {_line(run.error)}".rstrip()


def _lede(run: Run) -> Iterator[str]:
    if run.lede:
        yield _line(run.lede) if run.by_rules else run.lede


def _finding(run: Run, finding: Finding, site: str) -> Iterator[str]:
    yield f"## {finding.rank}. {_line(finding.title)}"
    yield f"{finding.get_severity_display()}, {finding.get_category_display().lower()}. {_reach(finding)}"
    # Rules write no Markdown, but what they quote of traces may look like it.
    happens, evidence, fix = (
        _line(text) if finding.kind else text for text in (finding.happens, finding.evidence, finding.fix)
    )
    yield from filter(None, (happens, evidence))
    if fix:
        yield f"**Fix.** {fix}"
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
    address = address_of(run.project.slug, citation.trace_id, citation.span_id)
    return f"[{_line(citation.text)}]({site}{address}){outside}"


def address_of(project: str, trace_id: UUID, span_id: int | None) -> str:
    """The page of a trace, at this span if there is one."""
    query = {} if span_id is None else {"span": hex_span_id(span_id)}
    return reverse("traces:trace-detail", args=[project, trace_id], query=query)


def _line(text: str) -> str:
    """A text in one line that is nothing but text."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))
