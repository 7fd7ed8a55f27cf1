"""Citations against stored traces."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalyst.core.models import Project
from halo.choices import CitationState, QuoteState
from halo.report import citations
from halo.report.citations import Checked
from halo.report.findings import Cited, ParsedFinding
from halo.report.mentions import find
from halo.report.parsing import ParsedReport
from tests.halo.report.stored import NEGATIVE, OTHER, TOOL, TRACE, TWIN, UNKNOWN, store_trace
from traces.models.span import span_id_of

DAY = timedelta(days=1)


@pytest.fixture
def checked(project: Project, now: datetime) -> Any:
    """`checked(text)`: what the store knows, for a report about the last day."""
    store_trace(project, TRACE, start=now - timedelta(hours=1))
    store_trace(project, OTHER, start=now - 3 * DAY, text="not found")

    def check(text: str) -> Checked:
        return citations.check(project, now - DAY, now, find(text))

    return check


def states(checked: Checked) -> list[str]:
    """The states of the citations."""
    return [each.state.value for each in checked.citations]


def test_a_real_trace_and_a_real_span(checked: Any) -> None:
    whole = checked(f"[trace:{TRACE.upper()}] and [span:{TRACE}:{NEGATIVE}]")
    assert states(whole) == ["verified", "verified"]
    assert [(each.trace_id.hex, each.span_id) for each in whole.citations] == [
        (TRACE, None),
        (TRACE, span_id_of(NEGATIVE)),
    ]
    assert [each.text for each in whole.citations] == [TRACE, f"{TRACE}:{NEGATIVE}"]
    assert (whole.count(CitationState.VERIFIED), whole.left_out) == (2, 0)


def test_a_trace_outside_of_the_window(checked: Any) -> None:
    assert states(checked(f"{OTHER} and [span:{OTHER}:{TOOL}]")) == ["outside", "outside"]


@pytest.mark.parametrize(
    "text",
    [
        UNKNOWN,
        f"[span:{TRACE}:1234567812345678]",
        f"[span:{UNKNOWN}:{TOOL}]",
        "[trace:t-1]",
        "trace 00000000",
        f"[span:{TRACE}:0f]",
    ],
)
def test_what_was_made_up(checked: Any, text: str) -> None:
    (citation,) = checked(text).citations
    assert (citation.state, citation.trace_id, citation.span_id) == (CitationState.UNKNOWN, None, None)


def test_the_beginning_of_an_id(checked: Any, project: Project, now: datetime) -> None:
    assert states(checked("trace 4bf92f35")) == ["verified"]
    store_trace(project, TWIN, start=now - timedelta(hours=2))
    ambiguous = checked("traces 4bf92f35, 4bf92f3577 and a90c1e6f")
    assert states(ambiguous) == ["ambiguous", "verified", "outside"]
    assert ambiguous.citations[0].trace_id is None


def test_what_may_be_something_else_counts_only_if_it_is_real(checked: Any) -> None:
    assert states(checked("`4bf92f35` and `c0ffee12` and md5 00000000000000000000000000000001")) == ["verified"]


def test_a_span_without_its_trace_is_looked_for_in_cited_ones(checked: Any) -> None:
    text = f"[trace:{TRACE}]\n\nSpan {TOOL} fails."
    assert [each.span_id for each in checked(text).citations] == [None, span_id_of(TOOL)]
    assert states(checked(f"[trace:{TRACE}], [trace:{OTHER}]\n\nSpan {TOOL}")) == ["verified", "outside", "ambiguous"]
    assert states(checked(f"Span {TOOL} fails.")) == ["unknown"]


def test_traces_of_another_project_are_unknown(checked: Any, other_project: Project, now: datetime) -> None:
    store_trace(other_project, UNKNOWN, start=now - timedelta(hours=1))
    assert states(checked(f"[trace:{UNKNOWN}] [span:{UNKNOWN}:{TOOL}] trace {UNKNOWN[:8]}")) == ["unknown"] * 3


@pytest.mark.parametrize(
    ("quote", "state"),
    [
        ("timed out", QuoteState.FOUND),
        ("TIMED   OUT", QuoteState.FOUND),
        ("can\u2019t be paid: timed out", QuoteState.FOUND),
        ("the refund can't be paid", QuoteState.FOUND),
        ("*Sorry*, the `refund`", QuoteState.FOUND),
        ("Sorry \u2026 don't worry", QuoteState.FOUND),
        ("Sorry [...] after 2,500 ms", QuoteState.FOUND),
        ("Sorry, the ref...", QuoteState.FOUND),
        ("don't worry \u2026 Sorry", QuoteState.MISSING),
        ("after 25 00 ms", QuoteState.MISSING),
        ("the refund was paid", QuoteState.MISSING),
        ("\u2026 ... !!!", QuoteState.UNCHECKED),
    ],
)
def test_quotes(checked: Any, quote: str, state: QuoteState) -> None:
    for place in (f"span:{TRACE}:{TOOL}", f"trace:{TRACE}"):
        (citation,) = checked(f"\u201c{quote}\u201d [{place}]").citations
        assert citation.quote_state == state


def test_a_quote_is_looked_for_in_the_cited_span(checked: Any) -> None:
    assert checked(f'"timed out" [span:{TRACE}:{NEGATIVE}]').citations[0].quote_state == QuoteState.MISSING
    assert checked(f'"timed out" [trace:{OTHER}]').citations[0].quote_state == QuoteState.MISSING
    assert checked(f'"timed out" [trace:{UNKNOWN}]').citations[0].quote_state == QuoteState.UNCHECKED
    assert checked(f"[trace:{TRACE}]").citations[0].quote_state == QuoteState.NONE


def test_quotes_of_arguments_within_json(checked: Any, project: Project, now: datetime) -> None:
    text = '{"answer": {"reason": "Order \\u00fc not found.\\nTry again"}}'
    store_trace(project, TWIN, start=now - timedelta(hours=1), text=text)
    for quote in ("order \u00fc not found", "not found. Try again", 'reason": \u2019Order \u00fc'):
        assert checked(f"\u201c{quote}\u201d [trace:{TWIN}]").citations[0].quote_state == QuoteState.FOUND


def test_it_looks_at_so_many_and_says_how_many_are_left(checked: Any) -> None:
    many = checked(f"[trace:{TRACE}] " * 700)
    assert (len(many.citations), many.left_out) == (citations.MAX_CITATIONS, 200)
    beginnings = checked(" ".join(f"[trace:{number:08x}]" for number in range(150)))
    assert (len(beginnings.citations), beginnings.left_out) == (citations.MAX_PREFIXES, 50)


def test_it_takes_few_queries_however_many_there_are(checked: Any, project: Project, now: datetime) -> None:
    for number in range(1, 9):
        store_trace(project, f"c{number}{TRACE[2:]}", start=now - timedelta(hours=1))
    counts = []
    for numbers in (range(1, 2), range(1, 9)):
        text = " ".join(
            f'"timed out" [span:c{number}{TRACE[2:]}:{TOOL}] and trace c{number}f92f3577' for number in numbers
        )
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert set(states(checked(text))) == {"verified"}
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 6


def test_nothing_costs_nothing(checked: Any) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert checked("All is well.").citations == []
    assert len(queries) == 0


def test_the_citations_of_a_report_belong_to_its_findings(checked: Any, project: Project, now: datetime) -> None:
    finding = ParsedFinding(
        title="Refunds time out",
        happens=f"As [trace:{TRACE}] and [trace:{OTHER}] show.",
        citations=(
            Cited(trace_id=TRACE, quote="timed out"),
            Cited(trace_id=UNKNOWN),
            Cited(trace_id=TRACE, span_id=TOOL),
        ),
    )
    prose = f"See [trace:{TRACE}], again [trace:{TRACE}], and [trace:{OTHER}:{TOOL}]."
    report = ParsedReport(prose, (ParsedFinding(title="Nothing cited"), finding))
    found = citations.check_report(project, now - DAY, now, report)
    assert [[each.text for each in group] for group in found.of_findings] == [
        [],
        [TRACE, UNKNOWN, f"{TRACE}:{TOOL}", OTHER],
    ]
    assert [each.state.value for each in found.of_findings[1]] == ["verified", "unknown", "verified", "outside"]
    assert found.of_findings[1][0].quote_state == QuoteState.FOUND
    assert [each.text for each in found.of_text] == [f"{OTHER}:{TOOL}"]
    assert (found.left_out, found.problems) == (0, [])


def test_a_report_that_cites_too_much_says_so(checked: Any, project: Project, now: datetime) -> None:
    prose = " ".join(f"[trace:{number:032x}]" for number in range(citations.MAX_CITATIONS + 7))
    found = citations.check_report(project, now - DAY, now, ParsedReport(prose))
    assert found.problems == ["7 further citations were not checked."]
