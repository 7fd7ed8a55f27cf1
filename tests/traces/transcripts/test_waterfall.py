"""Spans as rows of a tree."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from traces.conventions.message_formats import Message
from traces.records import Json, PayloadRecord, SpanRecord
from traces.transcripts import presentation, waterfall

START = datetime(2026, 11, 20, 12, tzinfo=UTC)


def span(
    number: int, parent: int | None = None, *, at: float = 0, lasts: float | None = 1, **more: object
) -> SpanRecord:
    """A span that starts `at` seconds after START."""
    return SpanRecord(
        project_id=1, trace_id=UUID(int=1), span_id=number, parent_id=parent, received_at=START,
        start_time=START + timedelta(seconds=at), duration_us=None if lasts is None else int(lasts * 1e6),
        **more,  # type: ignore[arg-type]
    )  # fmt: skip


def order(*spans: SpanRecord) -> list[tuple[int, int]]:
    """Span numbers with their depth."""
    return [(row.span.span_id, row.depth) for row in waterfall.rows(spans)]


def test_it_puts_children_under_parents_in_order_of_start() -> None:
    assert order(span(3, 1, at=2), span(1), span(4, 2, at=1.5), span(2, 1, at=1)) == [(1, 0), (2, 1), (4, 2), (3, 1)]


def test_it_takes_orphans_for_roots() -> None:
    assert order(span(1), span(2, 99, at=1)) == [(1, 0), (2, 0)]


def test_it_survives_spans_that_are_their_own_ancestors() -> None:
    assert sorted(number for number, _ in order(span(1, 1), span(2, 3), span(3, 2))) == [1, 2, 3]


def test_it_survives_a_very_deep_trace() -> None:
    chain = [span(number, number - 1 or None, at=number / 1000) for number in range(1, 3000)]
    rows = waterfall.rows(chain)
    assert len(rows) == 2999
    assert max(row.depth for row in rows) == waterfall.MAX_DEPTH


def test_it_places_bars_on_the_time_of_the_trace() -> None:
    whole, late, instant = waterfall.rows(
        [span(1, lasts=10), span(2, 1, at=5, lasts=2.5), span(3, 1, at=10, lasts=None)]
    )
    assert (whole.x, whole.width) == (0, 100)
    assert (late.x, late.width) == (50, 25)
    assert instant.x + instant.width <= 100 + waterfall.MIN_WIDTH_PERCENT
    assert instant.width > 0
    assert waterfall.ticks([span(1, lasts=10)]) == ["0", "2.50 s", "5.00 s", "7.50 s", "10.0 s"]
    assert waterfall.rows([]) == []
    assert waterfall.ticks([]) == []


def test_it_colours_failures_first() -> None:
    failed, llm, other = waterfall.rows(
        [span(1, kind="LLM", status="error"), span(2, kind="LLM"), span(3, kind="CHAIN")]
    )
    assert (failed.tone, llm.tone, other.tone) == ("bad", "llm", "other")
    assert (llm.icon, other.icon) == ("llm", "chain")


def test_it_names_each_failure_once_and_where_it_began() -> None:
    outer = span(1, status="error", status_message="boom")
    inner = span(2, 1, at=1, status="error", status_message="boom")
    silent = span(3, 1, at=2, status="error")
    assert presentation.failures([outer, inner, silent, span(4)]) == [inner, silent]


def test_it_folds_what_a_span_was_given_long_ago() -> None:
    given = [Message("system", "be kind"), *(Message("user", str(number)) for number in range(9))]
    found = presentation.of_span([*given, Message("assistant", "yes", produced=True)])
    assert [said.text for said in found.system] == ["be kind"]
    assert [said.text for said in found.shown] == ["6", "7", "8", "yes"]
    assert len(found.earlier) == 6


def test_it_loads_no_more_text_than_a_page_can_show() -> None:
    big = [span(number, input_size=presentation.MAX_CHARACTERS // 3) for number in range(9)]
    assert len(presentation.spans_to_load(big)) == 3
    assert len(presentation.spans_to_load([span(1, input_size=presentation.MAX_CHARACTERS * 2)])) == 1
    assert presentation.spans_to_load([span(1)]) == []


def test_it_tells_when_an_event_happened() -> None:
    time = (START + timedelta(milliseconds=250)).isoformat().replace("+00:00", "000Z")
    events: list[Json] = [{"name": "retry", "time": time, "attributes": {"n": 1}}, {"time": "nonsense"}]
    first, second = presentation.events(span(1), PayloadRecord(events=events)).shown
    assert (first.name, first.after_us) == ("retry", 250_000)
    assert (second.name, second.after_us) == ("event", None)
