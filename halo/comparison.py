"""Two reports of an agent: which findings are new, which came again, and which are gone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from django.core.exceptions import ValidationError

from halo.choices import RunStatus
from halo.models import Finding, Run
from halo.models.run import RunQuerySet

MAX_OFFERED = 30

type Key = Callable[[Finding], object]


@dataclass(frozen=True, slots=True)
class Again:
    """A finding that came again."""

    older: Finding
    newer: Finding

    @property
    def trend(self) -> str:
        """`up from 3.1%`, `as before`; empty if one of them was not counted."""
        older, newer = self.older, self.newer
        if older.trace_count is None or newer.trace_count is None or not older.trace_total or not newer.trace_total:
            return ""
        change = newer.trace_count * older.trace_total - older.trace_count * newer.trace_total
        before = f"{100 * older.trace_count / older.trace_total:.1f}%"
        return f"{'up' if change > 0 else 'down'} from {before}" if change else "as before"


@dataclass(frozen=True, slots=True)
class Comparison:
    """`notes`: why a finding may be new or gone although nothing changed."""

    older: Run
    newer: Run
    new: Sequence[Finding]
    recurring: Sequence[Again]
    gone: Sequence[Finding]
    notes: Sequence[str]


def compare(older: Run, newer: Run) -> Comparison:
    """Compare the findings of two reports of one agent. Raises ValidationError."""
    if older.agent_id != newer.agent_id:
        raise ValidationError({"other": "Choose a report of the same agent."})
    if older.pk == newer.pk:
        raise ValidationError({"other": "Choose another report: these are the same."})
    gone, new = _findings(older), _findings(newer)
    # Issues know more than signatures: people correct them.
    by_issue = _take_matches(gone, new, _issue)
    recurring = [*by_issue, *_take_matches(gone, new, _signature)]
    recurring.sort(key=lambda one: one.newer.rank)
    return Comparison(older, newer, new, recurring, gone, list(_notes(older, newer)))


def earlier(run: Run) -> RunQuerySet:
    """Completed reports of the same agent that began before this one, the newest first."""
    completed = Run.objects.filter(agent=run.agent_id, project=run.project_id, status=RunStatus.COMPLETED)
    return completed.filter(pk__lt=run.pk).select_related("conversation", "agent", "project").order_by("-pk")


def previous(run: Run) -> Run | None:
    """The report before this one on the same traces: of the agent, and narrowed alike."""
    return earlier(run).filter(focus=run.focus).first()


def _findings(run: Run) -> list[Finding]:
    return list(run.findings.select_related("issue", "project").order_by("rank"))


def _issue(finding: Finding) -> object:
    """The issue that a finding belongs to, after merges."""
    issue = finding.issue
    return issue and (issue.merged_into_id or issue.pk)


def _signature(finding: Finding) -> object:
    return finding.signature


def _take_matches(older: list[Finding], newer: list[Finding], key: Key) -> list[Again]:
    """Take pairs with the same key out of both lists. Each finding is in one of them."""
    matches = []
    for each in tuple(newer):
        known = key(each)
        same = next((one for one in older if key(one) == known), None) if known else None
        if same:
            older.remove(same)
            newer.remove(each)
            matches.append(Again(same, each))
    return matches


def _notes(older: Run, newer: Run) -> Iterator[str]:
    if older.engine != newer.engine:
        yield "One report is by the offline analyst, the other by a model. They may name the same thing differently."
    if older.focus != newer.focus:
        yield "The reports are not on the same traces: their filters differ."
    if older.window_end > newer.window_start:
        yield "Their windows overlap, so some traces are in both."
