"""From candidates to findings."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from halo.analyst.citing import Place, cite
from halo.analyst.material import Candidate
from halo.analyst.ranking import ranked
from halo.analyst.severities import severity_of
from halo.choices import Category, Severity
from tests.halo.analyst.runs import Traffic, a_run

WINDOW = Traffic().add(map(a_run, range(200))).add_prior(map(a_run, range(1_000, 1_200))).window
ALONE = Traffic().add(map(a_run, range(200))).window


def a_candidate(name: str, runs: range, **about: Any) -> Candidate:
    """A candidate with these runs."""
    known: dict[str, Any] = {
        "kind": "loop", "title": name, "category": Category.TOOL_USE, "severity": Severity.LOW, "signature": name,
        "happens": f"{name} happens", "fix": f"fix {name}", "traces": frozenset(UUID(int=run + 1) for run in runs),
        "harm": len(runs) / 200,
    }  # fmt: skip
    return Candidate(**known | about)


def test_the_most_harmful_comes_first() -> None:
    candidates = [
        a_candidate("small", range(5)),
        a_candidate("high", range(10, 16), severity=Severity.HIGH),
        a_candidate("large", range(20, 60)),
        a_candidate("growing", range(60, 85), prior_count=2),
    ]
    assert [each.title for each in ranked(candidates, WINDOW)] == ["high", "growing", "large", "small"]


def test_a_test_that_fails_drops_a_finding_and_all_tests_are_one_family() -> None:
    alone = a_candidate("tested", range(5), p_value=0.03)
    assert [each.title for each in ranked([alone], WINDOW)] == ["tested"]
    others = [a_candidate(f"other {at}", range(9 * at, 9 * at + 8), p_value=0.9) for at in range(1, 9)]
    assert not ranked([alone, *others], WINDOW)


@pytest.mark.parametrize(
    ("before", "says"),
    [
        (2, "Up from 2 of 200 runs (1.0%) in the window before."),
        (28, "In the window before: 28 of 200 runs (14.0%), which is no significant change."),
        (90, "Down from 90 of 200 runs (45.0%) in the window before."),
        (None, ""),
    ],
)
def test_only_what_a_test_shows_is_called_a_change(before: int | None, says: str) -> None:
    (finding,) = ranked([a_candidate("it", range(30), prior_count=before, evidence="Seen.")], WINDOW)
    share = "The share is 10.7% to 20.6% with 95% confidence."
    assert finding.evidence == " ".join(filter(None, ("Seen.", share, says)))
    assert (finding.prior_count, finding.prior_total) == (before, None if before is None else 200)


def test_without_a_window_before_nothing_is_said_of_it() -> None:
    (finding,) = ranked([a_candidate("it", range(30), prior_count=0)], ALONE)
    assert "before" not in finding.evidence


class TestOneCause:
    """One cause, one finding."""

    def test_the_same_runs_are_one_finding(self) -> None:
        (finding,) = ranked([a_candidate("more", range(30)), a_candidate("less", range(4, 30))], WINDOW)
        assert finding.title == "more"
        assert finding.evidence.endswith("Of the same cause: less.")
        assert len(finding.trace_ids) == 30

    def test_a_part_is_another_one_unless_it_names_the_same_cause(self) -> None:
        parts = [a_candidate("all", range(60), cause="search"), a_candidate("part", range(20), cause="search")]
        assert [each.title for each in ranked(parts, WINDOW)] == ["all"]
        parts[1] = a_candidate("part", range(20), cause="read")
        assert [each.title for each in ranked(parts, WINDOW)] == ["all", "part"]

    def test_what_most_runs_share_is_not_one_cause(self) -> None:
        everything = [a_candidate("no session", range(200)), a_candidate("no price", range(200))]
        assert len(ranked(everything, WINDOW)) == 2

    def test_a_finding_that_says_why_names_one_that_says_what(self) -> None:
        slow = a_candidate("slow", range(30), kind="slow_tail", severity=Severity.HIGH)
        (finding,) = ranked([slow, a_candidate("serial", range(1, 30))], WINDOW)
        assert (finding.title, finding.severity, finding.fix) == ("serial", Severity.HIGH, "fix serial")
        part = a_candidate("serial", range(10), cause="search")
        whole = a_candidate("fails", range(30), kind="failing_tool", cause="search")
        assert [each.title for each in ranked([whole, part], WINDOW)] == ["fails"]


def test_findings_beyond_the_twelfth_are_low() -> None:
    candidates = [a_candidate(f"{at:02}", range(8 * at, 8 * at + 8), severity=Severity.HIGH) for at in range(15)]
    assert [each.severity for each in ranked(candidates, WINDOW)] == [Severity.HIGH] * 12 + [Severity.LOW] * 3


def test_a_finding_fits_into_its_table() -> None:
    (finding,) = ranked([a_candidate("long " * 200, range(3), cost=Decimal(1) / 3)], WINDOW)
    assert finding.cost == Decimal("0.333333333")
    assert (len(finding.title), len(finding.signature)) == (300, 500)


@pytest.mark.parametrize(
    ("failed", "wasted", "severity"),
    [(0.11, 0, "critical"), (0.1, 0, "high"), (0.03, 0.16, "high"), (0.02, 0, "medium"), (0, 0.06, "medium"),
     (0.01, 0.05, "low")],
)  # fmt: skip
def test_severity_goes_by_the_runs_that_fail_and_by_what_is_wasted(failed: float, wasted: float, severity: str) -> None:
    assert severity_of(failed, wasted) == severity


def test_citations_are_the_most_typical_the_worst_and_the_newest() -> None:
    runs = [a_run(number, session_id=number // 2 + 1) for number in range(20)]
    worst = Place(runs[3], 7, badness=9, quote="said")
    cited = cite([Place(run, badness=number / 100) for number, run in enumerate(runs) if number != 3] + [worst])
    assert [(each.trace_id.int - 1, each.note) for each in cited] == [
        (11, "typical"), (3, "the worst"), (19, "the newest"), (17, "one more"), (15, "one more"),
    ]  # fmt: skip
    assert (cited[1].span_id, cited[1].quote) == (7, "said")
    assert cite([]) == ()
