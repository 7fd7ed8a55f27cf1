"""Answers of models, good and nasty: what is read of each."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halo.choices import Category, Severity
from halo.report.findings import Cited, ParsedFinding
from halo.report.instruction import INSTRUCTION, with_instruction
from halo.report.parsing import BREAKS_OFF, MAX_CHARACTERS, MAX_FINDINGS, NO_LIST, NOTHING, TOO_LONG, parse

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PROSE = "# Report\n\nRefunds fail in a third of all runs."
FINDING = {
    "title": "Refunds time out",
    "severity": "high",
    "category": "reliability",
    "what_happens": "The refund tool gives up after 10 s.",
    "evidence": "12 of 40 runs.",
    "trace_count": 12,
    "fix": "Raise the limit.",
    "signature": "Refund timeout",
    "citations": [{"trace_id": TRACE, "span_id": "00f067aa0ba902b7", "quote": "timed out"}],
}


def fenced(value: Any, language: str = "json") -> str:
    """A report with a block."""
    block = value if isinstance(value, str) else json.dumps(value, indent=2)
    return f"{PROSE}\n\n```{language}\n{block}\n```\n"


def titles(text: str) -> list[str]:
    """The titles of the findings."""
    return [finding.title for finding in parse(text).findings]


def test_it_reads_what_was_asked_for() -> None:
    report = parse(fenced({"findings": [FINDING]}))
    assert (report.prose, report.problems) == (PROSE, ())
    assert report.findings == (
        ParsedFinding(
            title="Refunds time out",
            severity=Severity.HIGH,
            category=Category.RELIABILITY,
            happens="The refund tool gives up after 10 s.",
            evidence="12 of 40 runs.",
            fix="Raise the limit.",
            signature="refund timeout",
            claimed_count=12,
            citations=(Cited(trace_id=TRACE, span_id="00f067aa0ba902b7", quote="timed out"),),
        ),
    )


def test_the_example_of_the_instruction_is_read() -> None:
    (finding,) = parse(INSTRUCTION).findings
    assert (finding.title, finding.claimed_count) == ("one sentence that says what goes wrong", 12)
    assert with_instruction(" Look. \n") == f"Look.\n\n{INSTRUCTION}"
    assert all(each in INSTRUCTION for each in (*Severity.values, *Category.values))


@pytest.mark.parametrize(
    "block",
    [
        '{"findings": [{"title": "A", "severity": "low"}, {"title": "B",},],}',
        '[{"title": "A", "severity": "low"}, {"title": "B"}]',
        '{"findings": [\n  // the worst\n  {"title": "A"}, /* and */ {"title": "B"} # done\n]}',
        "{'findings': [{'title': 'A', 'fix': None}, {'title': 'B', 'done': True}]}",
        '{findings: [{title: "A", severity: high}, {title: "B"}]}',
        '{"findings": [{"title": "A"} {"title": "B"}]}',
        "{\u201cfindings\u201d: [{\u201ctitle\u201d: \u201cA\u201d}, {\u201ctitle\u201d: \u201cB\u201d}]}",
        '{"report": {"title": "All", "findings": [{"title": "A"}, {"title": "B"}]}}',
        '{"findings": ["A", "B"]}',
        '["A", "B"]',
        '{"Findings": [{"Title": "A"}, {"TITLE": "B"}]}',
        '{"issues": [{"name": "A"}, {"headline": "B"}]}',
        '{"findings": [{"title": "A"}, {"title": "B"}]',
        '{"findings": [{"title": "A"}, {"title": "B"}, {"title": "C is cut o',
        'Here it is:\n{"findings": [{"title": "A"}, {"title": "B"}]}',
        '{"findings": [{"title": "A", "evidence": "It said "no" twice"}, {"title": "B", "fix": "C:\\dir"}]}',
    ],
)
@pytest.mark.parametrize("language", ["json", "", "JSON5", "python"])
def test_it_reads_what_is_nearly_right(block: str, language: str) -> None:
    text = fenced(block, language)
    assert titles(text) == ["A", "B"]
    assert parse(text).prose == PROSE


@pytest.mark.parametrize(
    "text",
    [
        f'{PROSE}\n\n{{"findings": [{{"title": "A"}}]}}',
        f'{PROSE}\n\n{{"findings": [{{"title": "A"}}]}}\n',
        f'{PROSE}\n\n[\n  {{"title": "A", "severity": "low"}}\n]',
        f'{PROSE}\n\n```json\n{{"findings": [{{"title": "A"}}]}}',
        f'{PROSE}\n\n~~~\n{{"findings": [{{"title": "A"}}]}}\n~~~',
        f'{PROSE}\n\n````json\n{{"findings": [{{"title": "A"}}]}}\n````',
        f'{PROSE}\n\n## Findings (JSON)\n\n```json\n{{"findings": [{{"title": "A"}}]}}\n```',
        f'{PROSE}\n\n**Machine-readable findings:**\n```json\n{{"findings": [{{"title": "A"}}]}}\n```',
    ],
)
def test_it_finds_the_block_however_it_is_set(text: str) -> None:
    report = parse(text)
    assert [finding.title for finding in report.findings] == ["A"]
    assert report.prose == PROSE


def test_the_last_of_several_lists_counts() -> None:
    draft, whole, empty = (
        {"findings": [FINDING | {"title": title}] if title else []} for title in ("Draft", "Whole", "")
    )
    text = f"{fenced(draft)}\nOn second thought:\n{fenced(whole)}\n{fenced(empty)}"
    assert titles(text) == ["Whole"]
    assert "Draft" not in parse(text).prose
    assert "On second thought" in parse(text).prose


def test_a_block_for_each_finding() -> None:
    text = "\n".join(fenced(FINDING | {"title": title}) for title in "ABC")
    assert titles(text) == ["A", "B", "C"]


def test_examples_in_the_prose_stay() -> None:
    example = '```json\n["order-1", "order-2"]\n```\n\nand\n\n```json\n{"name": "lookup", "results": ["a", "b"]}\n```'
    report = parse(f"{PROSE}\n\n{example}\n\n{fenced({'findings': [FINDING]})}")
    assert [finding.title for finding in report.findings] == ["Refunds time out"]
    assert example in report.prose


def test_prose_alone_stays_whole() -> None:
    text = "All is well.\n\n- [trace:abc] is fine {really}\n- [x] done\n\n```python\nx = [1, 2]\n```"
    report = parse(text)
    assert (report.prose, report.findings, report.problems) == (text, (), (NO_LIST,))


def test_no_findings_are_no_problem() -> None:
    report = parse(fenced({"findings": []}))
    assert (report.prose, report.findings, report.problems) == (PROSE, (), ())


def test_it_says_what_it_could_not_read() -> None:
    assert parse(" \n").problems == (NOTHING,)
    cut = fenced({"findings": [FINDING, FINDING]})[:-120]
    assert (len(parse(cut).findings), parse(cut).problems) == (1, (BREAKS_OFF,))
    many = parse(fenced({"findings": [FINDING] * 70}))
    assert (len(many.findings), many.problems) == (
        MAX_FINDINGS,
        (f"The model wrote 70 findings. The first {MAX_FINDINGS} are shown.",),
    )
    nameless = parse(fenced({"findings": [FINDING, {"severity": "low"}, 7, None, ""]}))
    assert (len(nameless.findings), nameless.problems) == (1, ("4 findings have no title and are not shown.",))


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("Critical", Severity.CRITICAL),
        ("P0", Severity.CRITICAL),
        ("HIGH", Severity.HIGH),
        ("major", Severity.HIGH),
        ("moderate", Severity.MEDIUM),
        ("info", Severity.LOW),
        ("catastrophic", Severity.MEDIUM),
        (None, Severity.MEDIUM),
        (3, Severity.MEDIUM),
        (["high"], Severity.MEDIUM),
    ],
)
def test_severities(said: object, read: Severity) -> None:
    (finding,) = parse(fenced({"findings": [{"title": "A", "severity": said}]})).findings
    assert finding.severity == read


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("Tool use", Category.TOOL_USE),
        ("tool-calls", Category.TOOL_USE),
        ("Performance", Category.LATENCY),
        ("security", Category.SAFETY),
        ("efficiency", Category.COST),
        ("weather", Category.QUALITY),
        (None, Category.QUALITY),
    ],
)
def test_categories(said: object, read: Category) -> None:
    (finding,) = parse(fenced({"findings": [{"title": "A", "category": said}]})).findings
    assert finding.category == read


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (12, 12),
        ("12", 12),
        ("about 1,234 of them", 1_234),
        ("12 of 40", 12),
        (-1, None),
        (True, None),
        (1.5, None),
        (10**12, None),
        ("many", None),
        (None, None),
    ],
)
def test_counts(said: object, read: int | None) -> None:
    (finding,) = parse(fenced({"findings": [{"title": "A", "trace_count": said}]})).findings
    assert finding.claimed_count == read


@pytest.mark.parametrize(
    "said",
    [
        [TRACE],
        TRACE[:8] and [{"trace": TRACE}],
        [{"traceId": TRACE, "quote": None}],
        {"trace_id": TRACE},
        [{"trace_id": TRACE}, {"trace_id": TRACE}, {}, None, 7, ""],
    ],
)
def test_citations(said: object) -> None:
    (finding,) = parse(fenced({"findings": [{"title": "A", "citations": said}]})).findings
    assert finding.citations == (Cited(trace_id=TRACE),)


def test_lists_and_objects_in_place_of_texts_are_readable() -> None:
    item = {"title": ["A"], "evidence": ["first", {"n": 1}], "fix": {"do": "this"}, "what_happens": 7}
    (finding,) = parse(fenced({"findings": [item]})).findings
    assert (finding.title, finding.evidence) == ("- A", '- first\n- {"n": 1}')
    assert (finding.fix, finding.happens) == ('{"do": "this"}', "7")


def test_long_texts_are_cut() -> None:
    item = {
        "title": "t" * 1_000,
        "fix": "f" * 10_000,
        "citations": [{"trace_id": "x" * 1_000, "quote": "q" * 9_000}] * 100,
    }
    (finding,) = parse(fenced({"findings": [item]})).findings
    assert (len(finding.title), len(finding.fix), len(finding.citations)) == (300, 4_000, 1)
    assert (len(finding.citations[0].trace_id), len(finding.citations[0].quote)) == (100, 1_000)


def test_ten_megabytes_take_a_moment() -> None:
    text = "A long story. [1] {2} `x`\n" * 400_000 + fenced({"findings": [FINDING]})
    started = time.monotonic()
    report = parse(text)
    assert time.monotonic() - started < 5
    assert [finding.title for finding in report.findings] == ["Refunds time out"]
    assert len(report.prose) <= MAX_CHARACTERS + 10
    assert report.problems == (TOO_LONG,)


PIECES = [
    "{",
    "}",
    "[",
    "]",
    '"',
    "'",
    ",",
    ":",
    "\n",
    "```",
    "```json\n",
    "\\",
    "//",
    "/*",
    "#",
    "findings",
    '"title"',
    " ",
]
NASTY = st.lists(st.sampled_from([*PIECES, "\u201c", "x", "1", "null", "\ud800", "\x00"])).map("".join)


@given(NASTY | st.text())
def test_it_never_raises(text: str) -> None:
    report = parse(text)
    assert all(finding.title for finding in report.findings)


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join))
def test_it_takes_time_in_proportion(piece: str) -> None:
    started = time.process_time()
    parse(piece * (100_000 // len(piece)))
    assert time.process_time() - started < 3
