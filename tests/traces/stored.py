"""What is stored."""

from traces.models import Payload
from traces.store.base import PayloadRecord
from traces.store.packing import unpack


def only_text() -> PayloadRecord:
    """The text of the one span that there is."""
    payload = Payload.objects.get()
    return unpack(payload.body, payload.resource_digest)
