"""Text comes out of its packing as it went in, and takes less room."""

from traces.store.base import PayloadRecord
from traces.store.packing import pack, unpack


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
    records = [full, PayloadRecord()]
    bodies = pack(records)
    assert [unpack(body, record.resource_digest) for body, record in zip(bodies, records, strict=True)] == records


def test_it_takes_little_room_for_text_that_is_there_twice() -> None:
    prompt = " ".join(str(number * 7919) for number in range(300))
    (once,) = pack([PayloadRecord(input=prompt)])
    (twice,) = pack([PayloadRecord(input=prompt, input_messages=[{"role": "user", "content": prompt}])])
    assert len(twice) < len(once) + 100 < len(prompt)
