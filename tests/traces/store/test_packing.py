"""Text comes out of its packing as it went in, and takes less room the more of it is there twice."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from traces.records import PayloadRecord, serialize_payload
from traces.store.packing import MAX_BYTES, Packed, Text, pack, unpack

MIDNIGHT = datetime(2026, 11, 2, tzinfo=UTC)
PROMPT = " ".join(str(number * 7919) for number in range(300))


def text(span: int, payload: PayloadRecord, trace: int = 1, start: datetime = MIDNIGHT) -> Text:
    return Text(1, UUID(int=trace), start, span, serialize_payload(payload))


def spans(packed: list[Packed]) -> list[tuple[int, list[int]]]:
    return [(row.trace_id.int, row.span_ids) for row in packed]


def test_it_gives_back_what_was_packed() -> None:
    said = [{"role": "user", "content": "Grüße 🙂", "tool_calls": [{"id": "1", "function": {"name": "f"}}]}]
    full = PayloadRecord(
        input="in",
        output="",
        input_messages=said,
        output_messages=[],
        attributes={"z": 1.0, "a": [None, True, {"deep": "\x00"}]},
        events=[{"name": "e"}],
        links=[{"span_id": "cd"}],
        resource_digest=-7,
    )
    (packed,) = pack([text(1, full), text(2, PayloadRecord())])
    assert unpack(packed.body) == [full, PayloadRecord()]


def test_it_packs_by_trace_and_day_the_earliest_first() -> None:
    second = timedelta(seconds=1)
    packed = pack(
        [
            text(1, PayloadRecord(), start=MIDNIGHT + second),
            text(2, PayloadRecord(), trace=2),
            text(3, PayloadRecord()),
            text(4, PayloadRecord(), start=MIDNIGHT - second),
        ]
    )
    assert spans(packed) == [(1, [3, 1]), (2, [2]), (1, [4])]
    assert [(row.span_id, row.start_time) for row in packed] == [(3, MIDNIGHT), (2, MIDNIGHT), (4, MIDNIGHT - second)]


def test_it_packs_no_more_together_than_one_wants_to_read() -> None:
    half, long = PayloadRecord(input="x" * (MAX_BYTES // 2 - 100)), PayloadRecord(input="x" * MAX_BYTES)
    packed = pack([text(n, half) for n in range(1, 6)] + [text(6, long), text(7, PayloadRecord())])
    assert [ids for _, ids in spans(packed)] == [[1, 2], [3, 4], [5], [6], [7]]


def test_it_takes_little_room_for_text_that_is_there_twice() -> None:
    once, message = PayloadRecord(input=PROMPT), [{"role": "user", "content": PROMPT}]
    (one,) = pack([text(1, once)])
    (twice,) = pack([text(1, PayloadRecord(input=PROMPT, input_messages=message))])
    (two,) = pack([text(1, once), text(2, once)])
    assert len(twice.body) < len(one.body) + 100 < len(PROMPT)
    assert len(two.body) < len(one.body) + 100
