"""Which issue a finding of a new report belongs to."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from halo.drafts import FindingDraft
from halo.issues.matching import Found, Known, Report, match
from tests.halo import traffic
from tests.halo.analyst.in_memory import Material, of_spans
from tests.halo.analyst.test_planted import report
from tests.halo.traffic import AGENTS, WEEK

# Without `loop`, which is also what makes a context grow in this traffic.
PLANTS = (
    *("recurring_failure", "failing_tool", "redundant_call", "slow_tail", "waiting", "serial_tools", "expensive_path"),
    *("context_growth", "uncached_prompt", "cut_off_answer", "unreadable_json", "repeated_model_call", "unanswered"),
    "instrumentation_gap",
)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)
TOTAL = 100


def ids(numbers: Iterable[int]) -> frozenset[UUID]:
    return frozenset(UUID(int=number) for number in numbers)


# Trace n began n hours before the end of the new report.
TIMES = {UUID(int=number): NOON - timedelta(hours=number) for number in range(1, 200)}
THREE_DAYS = Report(window=(NOON - 3 * DAY, NOON), total=TOTAL, times=TIMES)


def found(title: str = "The payment is declined", **about: Any) -> Found:
    return replace(Found(title=title, category="reliability"), **about)


def known(issue: int, title: str = "Answers are cut off", **about: Any) -> Known:
    window = (NOON - 4 * DAY, NOON - DAY)
    return replace(Known(id=issue, title=title, category="reliability", window=window), **about)


def one(finding: Found, *issues: Known) -> int | None:
    return match([finding], issues, THREE_DAYS)[0]


def test_a_signature_is_the_same_however_it_is_written() -> None:
    issues = known(1, signatures=["timeout"]), known(2, signatures=["old name", "Payment  declined"])
    assert one(found(signature="payment declined"), *issues) == 2
    assert one(found(signature="payment"), *issues) is None


def test_findings_with_signatures_of_one_issue_belong_to_it() -> None:
    both = [found(signature="a"), found(signature="b")]
    assert match(both, [known(1, signatures=["a", "b"])], THREE_DAYS) == [1, 1]


def test_of_issues_with_one_signature_the_most_alike_is_meant() -> None:
    issues = known(1, signatures=["a"]), known(2, "The payment is declined", signatures=["a"])
    assert one(found(signature="a"), *issues) == 2


def test_a_pointer_names_an_issue_unless_the_signature_tells_another() -> None:
    issues = known(1, signatures=["a"]), known(2)
    assert one(found(pointer=2), *issues) == 2
    assert one(found(pointer=2, signature="a"), *issues) == 1
    assert one(found(pointer=3), *issues) is None


def test_traces_are_compared_in_the_time_that_both_read() -> None:
    # The earlier report ends 24 hours before the new one, which begins 72 hours before its end.
    earlier = known(1, traces=ids(range(30, 150)))
    new = ids([*range(1, 10), *range(40, 72)])
    assert one(found(traces=new), replace(earlier, traces=ids(range(40, 90)))) == 1
    assert one(found(traces=ids(range(50, 72))), earlier) is None
    assert one(found(traces=ids(range(1, 20))), earlier) is None


def test_few_traces_or_most_of_them_tell_nothing() -> None:
    few, most = ids((30, 31)), ids(range(20, 72))
    assert one(found(traces=few), known(1, traces=few)) is None
    assert one(found(traces=most), known(1, traces=most)) is None


def test_one_issue_is_guessed_once_and_words_break_a_tie() -> None:
    same = ids(range(30, 40))
    alike = found("Answers are cut off", traces=same)
    assert match([found(traces=same), alike], [known(1, traces=same)], THREE_DAYS) == [None, 1]


def test_words_tell_if_nothing_else_does() -> None:
    issue = known(1, "The tool get_order times out in 12 runs")
    assert one(found("The tool get_order times out in 40 runs"), issue) == 1
    assert one(found("The tool get_parcel times out in 12 runs"), issue) is None
    assert one(found("The tool get_order times out", category="latency"), issue) is None
    # Two rules, or two causes of one.
    assert one(found(issue.title, kind="empty_tool", signature="a"), replace(issue, kind="empty_tool")) is None


@dataclass(frozen=True)
class Pair:
    """Two reports on the same agent. `faults`: the planted kind of each trace that has one."""

    earlier: Sequence[FindingDraft]
    later: Sequence[FindingDraft]
    windows: tuple[tuple[datetime, datetime], tuple[datetime, datetime]]
    total: int
    times: dict[UUID, datetime]
    faults: dict[UUID, str]

    def fault(self, finding: FindingDraft) -> str | None:
        """What was planted in most of its traces."""
        (fault, count), *_ = Counter(map(self.faults.get, finding.trace_ids)).most_common(1) or [(None, 0)]
        return fault if 2 * count >= len(finding.trace_ids) else None

    def issues(self, *, are_named: bool) -> list[int | None]:
        """Indexes into `earlier`. Unless they are named, all that is known are traces and titles, as of a model."""
        issues = [
            Known(id=number, window=self.windows[0], signatures=[each.signature] if are_named else [], **_about(each))
            for number, each in enumerate(self.earlier)
        ]
        named = [(each.signature, each.aliases) if are_named else ("", ()) for each in self.later]
        new = [
            Found(signature=signature, aliases=aliases, **_about(each))
            for each, (signature, aliases) in zip(self.later, named, strict=True)
        ]
        return match(new, issues, Report(window=self.windows[1], total=self.total, times=self.times))


def _about(finding: FindingDraft) -> dict[str, Any]:
    return {"title": finding.title, "category": finding.category, "traces": frozenset(finding.trace_ids)}


def pair(now: datetime, seed: int) -> Pair:
    """Of two weeks one after the other, or for odd seeds of time that overlaps by half."""
    chance = random.Random(seed)
    plants = {kind: chance.uniform(0.05, 0.12) for kind in chance.sample(PLANTS, 5)}
    made = traffic.make(now, seed=500 + seed, runs=150, plants=plants, agents=[AGENTS[seed % 3]])
    material = of_spans(made.spans, made.start, made.end)
    window, end = material.window, made.start + (WEEK / 2 if seed % 2 else timedelta())
    runs = [*window.prior, *window.runs]
    read = [run for run in runs if run.start_time < end]
    before = replace(window, start=made.start - WEEK, end=end, runs=read, prior=[], total=0, prior_total=0)
    planted = [(kind, traces) for each in (made.before, made.planted) for kind, traces in each.items()]
    return Pair(
        report(Material(before, material.steps, material.payloads)),
        report(material),
        ((before.start, end), (made.start, made.end)),
        window.total,
        {run.trace_id: run.start_time for run in runs},
        {trace_id: kind for kind, traces in planted for trace_id in traces},
    )


@pytest.mark.slow
def test_repeats_are_found_and_different_faults_stay_apart(now: datetime) -> None:
    repeats, missed = 0, []
    for seed in range(30):
        reports = pair(now, seed)
        for are_named in (True, False) if seed % 2 else (True,):
            issues = reports.issues(are_named=are_named)
            faults = [reports.fault(each) for each in reports.earlier]
            pairs = [(reports.fault(new), issue) for new, issue in zip(reports.later, issues, strict=True)]
            assert [
                (seed, fault, issue) for fault, issue in pairs if issue is not None and fault != faults[issue]
            ] == []
            again = {fault for fault, _ in pairs if fault} & set(faults)
            repeats += len(again)
            recognized = {fault for fault, issue in pairs if issue is not None}
            missed += [(seed, fault) for fault in again - recognized]
    assert repeats > 200
    assert len(missed) <= 2, missed
