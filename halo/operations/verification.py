"""Operations that tell what became of findings: after a fix, and from one report to the next."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from catalyst.core.operation_context import Context
from catalyst.operations import Effect, Id, Input, InvalidInput, NotFound, Scope, UtcTime, operation
from halo import comparison, verification
from halo.comparison import Again, Comparison
from halo.models import Finding, Issue
from halo.operations.reports import RunInput, run_of
from halo.verification import Checked, Number, Share, Verification


class VerifyInput(Input):
    run: Id | None = Field(None, description="ID of the report whose findings are checked.")
    issue: Id | None = Field(None, description="ID of an issue, instead of a report: its newest finding.")
    since: UtcTime = Field(description="Since when it should be fixed.")
    until: UtcTime | None = Field(None, description="Count until then (default: now), at most 30 days.")


class CompareInput(RunInput):
    other: Id | None = Field(None, description="ID of the earlier report (default: the one before it).")


@dataclass(frozen=True, slots=True)
class ShareRecord:
    count: int
    total: int

    @classmethod
    def of(cls, share: Share | None) -> "ShareRecord | None":
        return None if share is None else cls(share.count, share.total)


@dataclass(frozen=True, slots=True)
class CheckedRecord:
    """What became of a finding."""

    finding_id: str
    title: str
    verdict: str
    """resolved, decreased, unchanged, increased, or unknown: nobody can tell."""
    before: ShareRecord | None
    """Null: it can't be counted."""
    usual: ShareRecord | None
    """Before it began; null unless it is about something that rose."""
    after: ShareRecord | None
    after_is_at_most: bool
    """The rule finds it no more, but may miss so many runs."""
    difference_low: float | None
    """The share after minus the one before, with 95% confidence."""
    difference_high: float | None
    chance: float | None
    """Probability that a fix would have been noticed in so many runs."""
    how: str
    """How it was counted; empty: the rule that found it counted both windows."""
    trace_ids: list[str]
    """Some that still show it."""

    @classmethod
    def of(cls, checked: Checked) -> "CheckedRecord":
        low, high = checked.interval or (None, None)
        return cls(
            finding_id=str(checked.finding.pk),
            title=checked.finding.title,
            verdict=checked.verdict,
            before=ShareRecord.of(checked.before),
            usual=ShareRecord.of(checked.usual),
            after=ShareRecord.of(checked.after),
            after_is_at_most=checked.at_most,
            difference_low=low,
            difference_high=high,
            chance=checked.chance,
            how=checked.how,
            trace_ids=[each.hex for each in checked.examples],
        )


@dataclass(frozen=True, slots=True)
class NumberRecord:
    name: str
    before: str
    after: str
    change: str | None
    """worse or better; null: no significant change."""

    @classmethod
    def of(cls, number: Number) -> "NumberRecord":
        return cls(number.name, number.before, number.after, number.change or None)


@dataclass(frozen=True, slots=True)
class VerificationRecord:
    """Whether a fix worked."""

    run_id: str
    before_start: str
    before_end: str
    before_count: int
    after_start: str
    after_end: str
    after_count: int
    findings: list[CheckedRecord]
    numbers: list[NumberRecord]
    new_findings: list[str]
    """Titles of what the rules find since then only."""
    notes: list[str]

    @classmethod
    def of(cls, found: Verification) -> "VerificationRecord":
        return cls(
            run_id=str(found.run.pk),
            before_start=found.before.start.isoformat(),
            before_end=found.before.end.isoformat(),
            before_count=found.before_count,
            after_start=found.after.start.isoformat(),
            after_end=found.after.end.isoformat(),
            after_count=found.after_count,
            findings=list(map(CheckedRecord.of, found.checked)),
            numbers=list(map(NumberRecord.of, found.numbers)),
            new_findings=[each.title for each in found.new],
            notes=list(found.notes),
        )


@dataclass(frozen=True, slots=True)
class ComparedFinding:
    id: str
    title: str
    severity: str
    trace_count: int | None
    """Traces it touches; null: not counted."""
    trace_total: int

    @classmethod
    def all(cls, findings: Sequence[Finding]) -> "list[ComparedFinding]":
        return [cls(str(each.pk), each.title, each.severity, each.trace_count, each.trace_total) for each in findings]


@dataclass(frozen=True, slots=True)
class RecurringFinding:
    id: str
    title: str
    severity: str
    earlier_id: str
    """Of the same in the earlier report."""
    trend: str | None
    """Null: one of them was not counted."""

    @classmethod
    def of(cls, again: Again) -> "RecurringFinding":
        newer = again.newer
        return cls(str(newer.pk), newer.title, newer.severity, str(again.older.pk), again.trend or None)


@dataclass(frozen=True, slots=True)
class ComparisonRecord:
    """What changed from one report to a later one."""

    run_id: str
    earlier_run_id: str
    new: list[ComparedFinding]
    recurring: list[RecurringFinding]
    gone: list[ComparedFinding]
    notes: list[str]
    """Why a finding may be new or gone although nothing changed."""

    @classmethod
    def of(cls, found: Comparison) -> "ComparisonRecord":
        return cls(
            run_id=str(found.newer.pk),
            earlier_run_id=str(found.older.pk),
            new=ComparedFinding.all(found.new),
            recurring=list(map(RecurringFinding.of, found.recurring)),
            gone=ComparedFinding.all(found.gone),
            notes=list(found.notes),
        )


@operation("halo.verify", Scope.READ, Effect.READS)
def verify(context: Context, arguments: VerifyInput) -> VerificationRecord:
    """Count what became of the findings of a report, or of an issue, since a fix."""
    if (arguments.run is None) == (arguments.issue is None):
        raise InvalidInput({"": "Name a report or an issue."})
    since, until, now = arguments.since, arguments.until, context.now
    if arguments.issue is not None:
        issue = Issue.objects.filter(project=context.project, pk=arguments.issue).first()
        if issue is None:
            raise NotFound(f"The project {context.project.slug} has no issue {arguments.issue}.")
        return VerificationRecord.of(verification.of_issue(issue, since, now, until))
    assert arguments.run is not None
    run = run_of(context, RunInput(run=arguments.run))
    return VerificationRecord.of(verification.of_run(run, since, now, until))


@operation("halo.compare", Scope.READ, Effect.READS)
def compare(context: Context, arguments: CompareInput) -> ComparisonRecord:
    """Show which findings of a report are new since an earlier one, which came again, and which are gone."""
    newer = run_of(context, arguments)
    if arguments.other is not None:
        older = run_of(context, RunInput(run=arguments.other))
    elif before := comparison.previous(newer):
        older = before
    else:
        raise NotFound(f"The report {newer.pk} is the first one of {newer.agent} on these traces.")
    return ComparisonRecord.of(comparison.compare(older, newer))
