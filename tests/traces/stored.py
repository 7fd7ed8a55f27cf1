"""What is stored."""

from uuid import UUID

from traces.models import Payload
from traces.records import PayloadRecord, serialize_payload
from traces.store.packing import Text, pack, unpack


def only_text() -> PayloadRecord:
    """The text of the one span that there is."""
    (text,) = unpack(Payload.objects.get().body)
    return text


def texts(project_id: int) -> set[tuple[UUID, int]]:
    """The spans whose text is stored. Fails where one is stored twice."""
    rows = Payload.objects.filter(project_id=project_id).values_list("trace_id", "span_ids", "body")
    assert all(len(unpack(body)) == len(span_ids) for _, span_ids, body in rows)
    found = [(trace_id, span_id) for trace_id, span_ids, _ in rows for span_id in span_ids]
    assert len(found) == len(set(found))
    return set(found)


def forge(said: PayloadRecord) -> None:
    """Put this in the place of the text of the one span that there is."""
    payload = Payload.objects.get()
    (packed,) = pack(
        [Text(payload.project_id, payload.trace_id, payload.start_time, payload.span_id, serialize_payload(said))]
    )
    Payload.objects.update(body=packed.body)
