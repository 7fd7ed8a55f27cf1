"""The page of a report: what is wrong, how often, and where to see it. While it runs: what it does."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST, require_safe

from catalyst import formats, timerange
from catalyst.core.access import ProjectRequest, editor_required
from catalyst.htmx import redirect, render, wants_partial
from halo import comparison, focus
from halo.choices import CitationState, Origin, QuoteState, RunStatus, Severity
from halo.forms.questions import QuestionForm
from halo.models import Finding, Issue, Run
from halo.runs import follow_ups
from halo.views import progress, questions, signal_links
from halo.views.chips import MAX_CITATIONS, Chip, Html, chips_of, html_of
from halo.views.issues import tone as tone_of_issue
from halo.views.report_actions import reports_of
from halo.views.rows import Row, engine_text, page_of, tone, window_length
from traces import label_sources
from traces.label_sources import Measure

SHOWN_CITATIONS = 6
# The history beside a report.
HISTORY = 20
FILLS = {Severity.CRITICAL: "error", Severity.HIGH: "error", Severity.MEDIUM: "warn", Severity.LOW: "quiet"}
PILLS = {Severity.CRITICAL: "critical", Severity.HIGH: "error", Severity.MEDIUM: "warn", Severity.LOW: ""}


@dataclass(frozen=True, slots=True)
class Shown:
    """A finding with its citations. `measure`: what the signal says that measures it, since the window began."""

    finding: Finding
    html: Html
    chips: Sequence[Chip]
    traces_href: str
    query_href: str
    measure: Measure | None = None
    issue: Issue | None = None

    @property
    def signal_href(self) -> str:
        """The editor with a signal that would measure it."""
        return signal_links.of_finding(self.finding)

    @property
    def recurrence(self) -> str:
        """Whether its issue is new, was reopened by this report, or how often it was seen. Empty without an issue."""
        issue = self.issue
        if issue is None:
            return ""
        first, count = getattr(issue, "first_run"), getattr(issue, "report_count")  # noqa: B009, mypy does not know them
        since = f"{issue.first_seen_at:%-d %b %Y}"
        seen = f"Seen in {count} report{'' if count == 1 else 's'} since {since}"
        if issue.reopened_count and issue.is_open and issue.state_since == self.finding.created_at:
            return f"Reopened. {seen}"
        if first != self.finding.run_id:
            return seen
        return "New" if count == 1 else f"New then. {seen}"

    @property
    def issue_tone(self) -> str:
        return tone_of_issue(self.issue) if self.issue else ""

    @property
    def fill(self) -> str:
        return FILLS[Severity(self.finding.severity)]

    @property
    def pill(self) -> str:
        return PILLS[Severity(self.finding.severity)]

    @property
    def first_chips(self) -> Sequence[Chip]:
        return self.chips[:SHOWN_CITATIONS]

    @property
    def other_chips(self) -> Sequence[Chip]:
        return self.chips[SHOWN_CITATIONS:]

    @property
    def quotes(self) -> Collection[Chip]:
        """The first citation with each quote."""
        quoted: dict[tuple[str, str], Chip] = {}
        for chip in self.chips:
            if chip.citation.quote:
                quoted.setdefault((chip.citation.quote, chip.citation.quote_state), chip)
        return quoted.values()

    @property
    def happens(self) -> SafeString:
        return self.html(self.finding.happens)

    @property
    def evidence(self) -> SafeString:
        return self.html(self.finding.evidence)

    @property
    def fix(self) -> SafeString:
        return self.html(self.finding.fix)

    @property
    def share(self) -> str:
        """The share of the traces of the report. Empty if it was not counted."""
        finding = self.finding
        return "" if finding.trace_count is None else formats.percent(finding.trace_count, finding.trace_total)

    @property
    def width(self) -> str:
        """Of the bar of the share, in percent."""
        finding = self.finding
        share = (finding.trace_count or 0) / finding.trace_total if finding.trace_total else 0
        return f"{100 * min(share, 1):.2f}"

    @property
    def trend(self) -> str:
        """The same in the window before, in words. Empty if that is unknown."""
        finding = self.finding
        if finding.trace_count is None or finding.prior_count is None or not finding.prior_total:
            return ""
        if not finding.prior_count:
            return "new: none in the window before"
        before = formats.percent(finding.prior_count, finding.prior_total)
        change = finding.trace_count * finding.prior_total - finding.prior_count * finding.trace_total
        word = "up from" if change > 0 else "down from" if change < 0 else "as before,"
        return f"{word} {before} in the window before"

    @property
    def wasted(self) -> str:
        finding = self.finding
        parts = [
            formats.usd(finding.cost) if finding.cost else "",
            f"{formats.short(finding.tokens)} tokens" if finding.tokens else "",
            formats.duration(finding.duration_us) if finding.duration_us else "",
        ]
        return ", ".join(filter(None, parts))


@require_safe
def report(request: ProjectRequest, pk: int) -> HttpResponse:
    """Show a report, or a question within its report. While it runs, the page asks for its part again."""
    run, now = get_object_or_404(reports_of(request), pk=pk), timezone.now()
    if run.origin == Origin.FOLLOW_UP:
        return questions.question(request, run, now)
    return page(request, run, now)


@require_POST
@editor_required
def report_ask(request: ProjectRequest, pk: int) -> HttpResponse:
    """Ask the model of a report a question about it."""
    run, now = get_object_or_404(reports_of(request).reports(), pk=pk), timezone.now()
    if problem := follow_ups.why_not(run):
        messages.error(request, problem)
        return redirect(request, run.get_absolute_url())
    form = QuestionForm(request.POST)
    if asked := _ask(request, run, form, now):
        return redirect(request, f"{run.get_absolute_url()}#question-{asked.pk}")
    return page(request, run, now, status=422, question_form=form)


def _ask(request: ProjectRequest, report: Run, form: QuestionForm, now: datetime) -> Run | None:
    if not form.is_valid():
        return None
    try:
        return follow_ups.ask(report, form.cleaned_data["prompt"], now, request.actor)
    except ValidationError as error:
        form.report(error)
        return None


def page(request: ProjectRequest, run: Run, now: datetime, *, status: int = 200, **extra: Any) -> HttpResponse:
    context = _body(request, run, now) | extra
    context["is_polled"] = wants_partial(request)
    context["measured_since"] = run.window_start
    if not context["is_polled"]:
        context |= page_of(
            request, Run.objects.for_project(request.project).reports().filter(agent=run.agent_id), HISTORY
        )
    return render(request, "halo/report.html", context, partial="report-body", status=status)


def _body(request: ProjectRequest, run: Run, now: datetime) -> dict[str, Any]:
    context: dict[str, Any] = {
        "run": run,
        "agent": run.agent,
        "tone": tone(run),
        "engine_text": engine_text(run),
        "window_length": window_length(run),
        "took": formats.lasting(run.ended_at - (run.started_at or run.created_at)) if run.ended_at else "",
        "focus_words": focus.words_of(run) if run.focus else [],
        "traces_query": focus.list_query(run),
        "again_query": _again_query(run),
        "address": request.build_absolute_uri(run.get_absolute_url()),
        "row": Row(Run.objects.for_list().get(pk=run.pk)),
    }
    if run.is_open:
        return context | {"progress": progress.of(run, now)}
    found = _findings(run, now) | _since_last(run) | _remedy(run)
    return context | found | questions.context(run, now)


def _since_last(run: Run) -> dict[str, Any]:
    """What changed since the report before, if both were completed."""
    older = comparison.previous(run) if run.status == RunStatus.COMPLETED else None
    return {"comparison": comparison.compare(older, run) if older else None}


def _again_query(run: Run) -> str:
    return "&".join(filter(None, [f"again={run.pk}", run.focus]))


def _findings(run: Run, now: datetime) -> dict[str, Any]:
    chips, is_cut = chips_of(run)
    html = html_of(run, [chip.citation for chip in chips])
    findings = list(run.findings.order_by("rank").select_related("issue", "agent", "project"))
    by_rules = run.by_rules and run.lists_traces
    return {
        "findings": _shown(run, findings, chips, html, now),
        "lede": html(run.lede),
        "text": html(run.text) if run.text else "",
        "drafts": signal_links.of_findings(findings) if by_rules else signal_links.of_run(run),
        "citation_counts": _counts(chips),
        "is_cut": is_cut,
        "max_citations": MAX_CITATIONS,
        "doubtful": [chip for chip in chips if chip.has_doubt],
    }


def _shown(run: Run, findings: Sequence[Finding], chips: Sequence[Chip], html: Html, now: datetime) -> Sequence[Shown]:
    by_finding: dict[int | None, list[Chip]] = {}
    for chip in chips:
        by_finding.setdefault(chip.citation.finding_id, []).append(chip)
    window = timerange.between(run.window_start, run.window_end).encoded_query
    measures = _measures(run, findings, now)
    at_traces = reverse("traces:trace-list", args=[run.project.slug])
    issues = {issue.pk: issue for issue in Issue.objects.filter(pk__in=run.findings.values("issue")).for_list()}
    return [
        Shown(
            finding,
            html,
            by_finding.get(finding.pk, []),
            f"{at_traces}?finding={finding.pk}&{window}",
            f"{at_traces}?{finding.query}" if finding.query else "",
            measures.get(finding.pk),
            issues.get(finding.issue_id or 0),
        )
        for finding in findings
    ]


def _measures(run: Run, findings: Sequence[Finding], now: datetime) -> Mapping[int, Measure]:
    """By the id of the finding: what its signal says, from the beginning of the window until now."""
    signals = {each.pk: each.issue.signal_id for each in findings if each.issue and each.issue.signal_id}
    since = timerange.between(run.window_start, max(now, run.window_end))
    found = label_sources.measures(run.project, set(signals.values()), since)
    return {pk: found[signal] for pk, signal in signals.items() if signal in found}


@dataclass(frozen=True, slots=True)
class Counts:
    """How many citations there are. `doubts`: what is wrong, such as `2 unknown, 1 quote not found`."""

    total: int
    verified: int
    doubts: str


def _counts(chips: Sequence[Chip]) -> Counts:
    states = Counter(chip.citation.state for chip in chips)
    wrong = sum(chip.citation.quote_state == QuoteState.MISSING for chip in chips)
    counted = {
        "unknown": states[CitationState.UNKNOWN],
        "ambiguous": states[CitationState.AMBIGUOUS],
        "outside the window": states[CitationState.OUTSIDE],
        f"quote{'' if wrong == 1 else 's'} not found": wrong,
    }
    doubts = ", ".join(f"{count:,} {word}" for word, count in counted.items() if count)
    return Counts(len(chips), states[CitationState.VERIFIED], doubts)


REMEDIES = {
    RunStatus.FAILED: "Run it again. If it fails again, choose the offline analyst, which needs no model.",
    RunStatus.CANCELLED: "Run it again to read everything.",
    RunStatus.TIMED_OUT: "Run it again with more minutes, a shorter window or fewer spans.",
    RunStatus.NO_TRACES: "Run it again with a longer window or fewer filters.",
}


def _remedy(run: Run) -> dict[str, Any]:
    if run.by_rules and run.status == RunStatus.FAILED:
        return {"remedy": "Run it again. If it fails again, the log of the worker tells why."}
    return {"remedy": REMEDIES.get(RunStatus(run.status), "")}
