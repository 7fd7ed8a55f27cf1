"""What a store of spans can do, and the two records that go in and come out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol
from uuid import UUID

from traces.records import Extent, PayloadRecord, SpanRecord


class SpanStore(Protocol):
    """Where spans live. Everything is scoped to one project; writes take part in the caller's transaction."""

    def insert(self, spans: Sequence[tuple[SpanRecord, bytes]]) -> None:
        """Add spans that the store does not have, with their text as `packing.plain` makes it.

        The caller holds the lock of their traces.
        """

    def replace(self, spans: Sequence[tuple[SpanRecord, SpanRecord, bytes]]) -> None:
        """Put each fuller version (second) and its text in the place of the stored one (first)."""

    def forget(self, project_id: int, extents: Sequence[Extent]) -> None:
        """Delete all spans of these traces, and their text."""

    def spans(self, project_id: int, extents: Iterable[Extent]) -> Mapping[UUID, list[SpanRecord]]:
        """All spans of these traces, each trace in order of start."""

    def payloads(self, project_id: int, extent: Extent, span_ids: Sequence[int]) -> Mapping[int, PayloadRecord]:
        """The text of the named spans of one trace."""

    def payloads_of(
        self, project_id: int, wanted: Mapping[Extent, Sequence[int]]
    ) -> Mapping[UUID, Mapping[int, PayloadRecord]]:
        """The text of the named spans of several traces, in one query."""
