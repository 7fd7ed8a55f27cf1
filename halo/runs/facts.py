"""What the store knows, in words for a model: its numbers then come from the store."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from halo.drafts import FindingDraft, ReportDraft
from halo.models import Issue, Run
from halo.report.findings import ParsedFinding
from halo.report.parsing import ParsedReport
from halo.sample import Sample
from traces.models.span import hex_span_id

MAX_FACTS = 20
MAX_ISSUES = 20
MAX_CITED = 3
# The names of facts and of issues, as a model may write them in place of a signature.
NAME = re.compile(r"\b[FI]\d{1,3}\b")
MAX_LEDE = 600


def facts_of(draft: ReportDraft) -> Mapping[str, FindingDraft]:
    """The facts of the offline analyst by the name that a model can point to."""
    return {f"F{number}": finding for number, finding in enumerate(draft.findings[:MAX_FACTS], 1)}


def issues_of(run: Run) -> Mapping[str, Issue]:
    """The issues of the agent by the name that a model can point to, the last seen first."""
    found = Issue.objects.of_agent(run.agent_id).last_seen_first()[:MAX_ISSUES]
    return {f"I{number}": issue for number, issue in enumerate(found, 1)}


def report_of(
    parsed: ParsedReport, facts: Mapping[str, FindingDraft], issues: Mapping[str, Issue], notes: Sequence[str]
) -> ReportDraft:
    """The report of a model. What it says of a fact is counted in the store; the rest is its word."""
    return ReportDraft(
        lede=_lede(parsed.prose),
        findings=tuple(_finding(each, facts, issues) for each in parsed.findings),
        notes=(*notes, *parsed.problems),
        text=parsed.prose,
        signals=parsed.signals,
    )


def _finding(parsed: ParsedFinding, facts: Mapping[str, FindingDraft], issues: Mapping[str, Issue]) -> FindingDraft:
    names = NAME.findall(parsed.signature.upper())
    fact = next((facts[name] for name in names if name in facts), None)
    issue = next((issues[name] for name in names if name in issues), None)
    said = FindingDraft(
        title=parsed.title,
        severity=parsed.severity,
        category=parsed.category,
        # A name means something in this run only.
        signature="" if names else parsed.signature,
        happens=parsed.happens,
        evidence=parsed.evidence,
        fix=parsed.fix,
        claimed_count=parsed.claimed_count,
        issue=issue.pk if issue else None,
    )
    if fact is None:
        return said
    counted = (
        "signature",
        "aliases",
        "trace_ids",
        "query",
        "prior_count",
        "prior_total",
        "cost",
        "tokens",
        "duration_us",
    )
    return replace(said, **{name: getattr(fact, name) for name in counted})


def _lede(prose: str) -> str:
    """The first paragraph of the report that is no heading."""
    for paragraph in prose.split("\n\n"):
        text = " ".join(paragraph.split())
        if text and not text.startswith(("#", "|", "-", "*", "1.", "```", "[", ">")):
            return text if len(text) <= MAX_LEDE else f"{text[:MAX_LEDE].rsplit(' ', 1)[0]}…"
    return ""


def context_text(run: Run, sample: Sample, facts: Mapping[str, FindingDraft], issues: Mapping[str, Issue]) -> str:
    """What the engine is told of the traces beside them."""
    return "\n".join([*_lines(run, sample, facts), *_issue_lines(issues)])


def _issue_lines(issues: Mapping[str, Issue]) -> Iterator[str]:
    if issues:
        yield ""
        yield (
            "Issues that earlier reports found. If a finding is one of them, write its name, such as I1, as its "
            "signature; if it is a fact, too, write both names:"
        )
    for name, issue in issues.items():
        yield f"{name}: {issue.title} ({issue.get_state_display().lower()}, last seen {issue.last_seen_at:%Y-%m-%d})"


def _lines(run: Run, sample: Sample, facts: Mapping[str, FindingDraft]) -> Iterator[str]:
    window = f"{run.window_start:%Y-%m-%d %H:%M} to {run.window_end:%Y-%m-%d %H:%M} UTC"
    yield f"The traces are of one agent, from {window}. Each trace is one run of the agent."
    yield f"In this window it had {run.trace_count:,} traces with {run.span_count:,} spans; {run.error_count:,} failed."
    if len(sample.extents) < (run.trace_count or 0):
        yield (
            f"The files hold {len(sample.extents):,} of them: {sample.failed:,} that failed, and others by chance. "
            "So shares in the files are not those of the window."
        )
    if facts:
        yield ""
        yield (
            "Facts, counted by rules over the whole window. Use their numbers. If a finding is one of them, write the "
            "name of the fact, such as F1, as its signature:"
        )
    for name, fact in facts.items():
        yield f"{name}: {fact.title}{_count(fact, run)}{_cited(fact)}"


def _count(fact: FindingDraft, run: Run) -> str:
    return f" ({len(fact.trace_ids):,} of {run.trace_count:,} traces)" if fact.trace_ids else ""


def _cited(fact: FindingDraft) -> str:
    ids = [
        f"{cited.trace_id.hex}" + (f" span {hex_span_id(cited.span_id)}" if cited.span_id is not None else "")
        for cited in fact.citations[:MAX_CITED]
    ]
    return f" Such as: {', '.join(ids)}." if ids else ""
