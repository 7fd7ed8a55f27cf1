"""IDs in a text, in any form, and what only looks like one."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halo.report.findings import Cited
from halo.report.mentions import find, of_cited
from tests.halo.report.stored import OTHER, ROOT, TOOL, TRACE

UUID = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"


def keys(text: str) -> list[str]:
    """What is mentioned; with a ? if it may be something else."""
    return [mention.key if mention.is_sure else f"{mention.key}?" for mention in find(text)]


@pytest.mark.parametrize(
    "text",
    [
        f"[trace:{TRACE}]",
        f"[Trace: {TRACE.upper()}]",
        f"[trace:`{TRACE}`]",
        f"[trace_id={UUID}]",
        f"It is {TRACE}.",
        f"`{TRACE}`",
        f"**{TRACE}**",
        f"| {TRACE} | 12 |",
        f"|{TRACE}|12|",
        f"({TRACE})",
        f'{{"trace_id": "{TRACE}"}}',
        f"trace_id={TRACE}",
        f"traceId: {TRACE}",
        f"/p/default/traces/{TRACE}/",
        f"https://example.org/p/default/traces/{TRACE}?span=1",
        UUID,
        UUID.upper(),
    ],
)
def test_a_trace(text: str) -> None:
    assert keys(text) == [TRACE]


@pytest.mark.parametrize(
    "text",
    [
        f"[span:{TRACE}:{TOOL}]",
        f"[span: {UUID} : {TOOL.upper()}]",
        f"[trace:{TRACE}, {TOOL}]",
        f"{TRACE}:{TOOL}",
        f"`{TRACE}/{TOOL}`",
    ],
)
def test_a_span_with_its_trace(text: str) -> None:
    assert keys(text) == [f"{TRACE}:{TOOL}"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"In trace {TRACE}, span `{TOOL}` fails.", [TRACE, f"{TRACE}:{TOOL}"]),
        (f"Span {TOOL} of {TRACE} fails.", [f"{TRACE}:{TOOL}", TRACE]),
        (f"trace_id={TRACE} span_id={TOOL}", [TRACE, f"{TRACE}:{TOOL}"]),
        (f"| {TRACE} | `{TOOL}` |", [TRACE, f"{TRACE}:{TOOL}?"]),
        (f"{TRACE}\n\nSpan {TOOL}", [TRACE, f":{TOOL}"]),
        (f"[span:{TOOL}]", [f":{TOOL}"]),
        (f"Trace {TOOL} is only its beginning", [TOOL]),
        (f"spans {ROOT}, {TOOL} of {TRACE}", [f"{TRACE}:{ROOT}", f"{TRACE}:{TOOL}", TRACE]),
    ],
)
def test_a_span_beside_its_trace(text: str, found: list[str]) -> None:
    assert keys(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("trace a90c1e6f fails", ["a90c1e6f"]),
        ("Traces `a90c1e6f`, c41b77e2, and 5f0d9a31.", ["a90c1e6f", "c41b77e2", "5f0d9a31"]),
        ("[trace:a90c1e6f]", ["a90c1e6f"]),
        ("(trace ID: A90C1E6F77)", ["a90c1e6f77"]),
        ("`a90c1e6f` fails", ["a90c1e6f?"]),
        (f"md5 {TRACE}", [f"{TRACE}?"]),
        (f"request_id={TRACE}", [f"{TRACE}?"]),
    ],
)
def test_beginnings_and_what_may_be_something_else(text: str, found: list[str]) -> None:
    assert keys(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The color #a90c1e6f, on 20261120 or 2026-11-20.",
        "commit a90c1e6f0a",
        "12345678 or deadbeef or 1234567",
        f"x{TRACE}",
        f"{TRACE}0",
        f"{TRACE}.json",
        f"a-{TRACE}",
        f"```\n{TRACE}\n```",
        f"~~~ text\n{TRACE}",
        f"span {TOOL[:8]}",
        "[trace: ]",
        "[traces of today]",
    ],
)
def test_what_is_no_mention(text: str) -> None:
    assert keys(text) == []


@pytest.mark.parametrize("text", ["[trace:t-bbbb]", "[span:made-up:1234]", f"[span:{TRACE}:nope]", "[trace:<script>]"])
def test_a_tag_without_a_readable_id_is_a_mention_of_nothing(text: str) -> None:
    (mention,) = find(text)
    assert (mention.trace, mention.span, mention.is_sure, mention.key) == ("", "", True, text)


def test_it_says_where_they_stand() -> None:
    text = f"See `{TRACE}` and [trace:{OTHER}]."
    assert [text[mention.start : mention.end] for mention in find(text)] == [f"`{TRACE}`", f"[trace:{OTHER}]"]


@pytest.mark.parametrize(
    ("text", "quotes"),
    [
        (f'It says "timed out after all" [trace:{TRACE}].', ["timed out after all"]),
        (f"[trace:{TRACE}]: \u201ctimed out\u201d", ["timed out"]),
        (f"\u201etimed out\u201c ({TRACE})", ["timed out"]),
        (f'{TRACE} says "timed out", and {OTHER} says "not found".', ["timed out", "not found"]),
        (f'"timed out" [trace:{TRACE}], "not found" [trace:{OTHER}]', ["timed out", "not found"]),
        (f'"timed out"\n\n[trace:{TRACE}]', [""]),
        (f'"timed out" {"and so on " * 30} [trace:{TRACE}]', [""]),
        (f'The "no" [trace:{TRACE}]', [""]),
    ],
)
def test_quotations_belong_to_the_nearest(text: str, quotes: list[str]) -> None:
    assert [mention.quote for mention in find(text)] == quotes


@pytest.mark.parametrize(
    ("cited", "key"),
    [
        (Cited(trace_id=TRACE), TRACE),
        (Cited(trace_id=UUID.upper(), span_id=TOOL), f"{TRACE}:{TOOL}"),
        (Cited(trace_id=f"[span:{TRACE}:{TOOL}]"), f"{TRACE}:{TOOL}"),
        (Cited(trace_id=f"{TRACE}:{TOOL}"), f"{TRACE}:{TOOL}"),
        (Cited(trace_id="a90c1e6f"), "a90c1e6f"),
        (Cited(trace_id="t-1"), "t-1"),
        (Cited(trace_id="", span_id=TOOL), f":{TOOL}"),
    ],
)
def test_citations_in_json(cited: Cited, key: str) -> None:
    mention = of_cited(cited)
    assert mention is not None
    assert (mention.key, mention.is_sure) == (key, True)


PIECES = [
    "[",
    "trace",
    "span",
    ":",
    " ",
    "`",
    '"',
    "\u201c",
    "\n",
    "a90c1e6f",
    TRACE,
    TOOL,
    "/",
    "|",
    "and",
    "```",
    "~",
    "x",
]


@given(st.lists(st.sampled_from(PIECES)).map("".join) | st.text())
def test_it_finds_pieces_of_the_text(text: str) -> None:
    found = find(text)
    places = [place for mention in found for place in (mention.start, mention.end)]
    assert places == sorted(places)
    assert all(mention.text in text for mention in found)


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("".join))
def test_it_takes_time_in_proportion(piece: str) -> None:
    started = time.process_time()
    find(piece * (50_000 // len(piece)))
    assert time.process_time() - started < 3
