"""The interface of stores of spans, and the store that this instance uses.

Rows of traces, sessions and hours are always in Django's database. Spans and their text are in the store.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from functools import lru_cache
from typing import Any, Protocol
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Q, QuerySet
from django.utils.module_loading import import_string

from traces.filters import EVERYTHING, Filter
from traces.records import Extent, PayloadRecord, SpanRecord

type SpanId = tuple[UUID, int]
"""Trace id and span id."""


class ShortRead(Exception):
    """The store returned fewer spans of a trace than were acknowledged. A retry may help."""


class SpanRole(Enum):
    """The spans that span-scoped signals evaluate: model calls and roots."""

    CALL = "call"
    # A root that is no model call.
    ROOT = "root"


@dataclass(frozen=True, slots=True)
class SpanQuery:
    """Conditions on spans of a project, which must all match.

    `traffic_filter`: as `Filter.passes` on `facts_of_span`. `start`, `end`: start time in [start, end).
    `agents`: names one of these agents; None matches spans that name none. `roles`: has one of these. Empty: any.
    `traces`: spans of these trace rows. `span_id`: this one. `counts_as_other`: as `SpanRecord.counts_as_other`.
    """

    traffic_filter: Filter = EVERYTHING
    start: datetime | None = None
    end: datetime | None = None
    agents: tuple[int | None, ...] = ()
    roles: tuple[SpanRole, ...] = ()
    has_ended: bool = False
    received_since: datetime | None = None
    traces: QuerySet[Any] | None = None
    counts_as_other: bool = False
    span_id: int | None = None


@dataclass(frozen=True, slots=True)
class DiskUse:
    """Estimated disk use of a project's spans, with text and indexes."""

    project_id: int
    bytes: int
    spans: int


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """Which days the store is prepared for.

    `last_day`: the last day without a gap since today; None if today is missing.
    `misplaced_spans`: spans outside all days, counted up to a limit.
    """

    day_count: int
    has_today: bool
    last_day: date | None
    misplaced_spans: int


class SpanStore(Protocol):
    """Spans and their text. Every method is scoped to a project; the key of a span is `SpanRecord.key`.

    A write may be visible before the caller commits, and survive a rollback: readers start from the row of a trace.
    A read may miss spans, for example on a replica. Callers must not conclude that these are deleted.
    """

    def insert(self, spans: Sequence[tuple[SpanRecord, bytes]]) -> None:
        """Add spans of a project, with text from `records.serialize_payload`. The caller has locked their traces.

        Idempotent by key and revision: the highest revision of a key stays.
        """

    def replace(self, spans: Sequence[tuple[SpanRecord, SpanRecord, bytes]]) -> None:
        """Replace the stored version (first) by a higher revision (second), whose key may differ.

        Otherwise like `insert`. If the first is not stored, inserts the second.
        """

    def delete(self, project_id: int, extents: Sequence[Extent]) -> None:
        """Delete all spans of these traces. Readers may see them for a while."""

    def spans(self, project_id: int, extents: Iterable[Extent]) -> Mapping[UUID, list[SpanRecord]]:
        """All spans of these traces, ordered by start."""

    def span_values(
        self, project_id: int, extents: Sequence[Extent], names: Sequence[str]
    ) -> Mapping[UUID, list[tuple[Any, ...]]]:
        """These fields of all spans of these traces, ordered by start. For reads of very many: a record costs more."""

    def payloads(self, project_id: int, extent: Extent, span_ids: Sequence[int]) -> Mapping[int, PayloadRecord]: ...

    def payloads_of(
        self, project_id: int, span_ids: Mapping[Extent, Sequence[int]]
    ) -> Mapping[UUID, Mapping[int, PayloadRecord]]:
        """The text of spans of several traces, in one query."""

    def count(self, project_id: int, query: SpanQuery) -> int: ...

    def matching(self, project_id: int, ids: Collection[SpanId], query: SpanQuery) -> set[SpanId]: ...

    def traces_with(self, project_id: int, query: SpanQuery) -> Q:
        """A condition on trace rows: the trace has a matching span."""

    def attribute_tokens(
        self, project_id: int, extents: Sequence[Extent], tokens: Collection[int]
    ) -> Mapping[UUID, set[int]]:
        """The subset of `tokens` that the spans of each trace have. Traces with none may be missing."""

    def prepare(self, now: datetime) -> Sequence[str]:
        """Create days of the retention window and the next ones; returns their names. Safe to run twice at once."""

    def ensure_current(self, now: datetime) -> None:
        """Create today if `prepare` has not run. Called before each write, so it must be cheap."""

    def import_days(self, first: date, last: date, now: datetime) -> Sequence[str]:
        """Create past days through `last`, with a retention that starts today; returns their names."""

    def made(self, days: Collection[date]) -> Collection[date]:
        """Which of these days there are."""

    def expire(self, now: datetime, record: Callable[[date], None]) -> Sequence[str]:
        """Drop days older than the retention; returns their names.

        Calls `record(day)` after the last write to the day and before its spans disappear for others, if possible in
        the transaction that drops them.
        """

    def usage(self, now: datetime) -> Sequence[DiskUse]:
        """Disk use of projects that have spans, largest first."""

    def health(self, now: datetime, limit: int) -> StoreHealth:
        """Counts misplaced spans up to `limit`."""


def span_store() -> SpanStore:
    """The store that the setting SPAN_STORE names. Raises ImproperlyConfigured if it can't be imported."""
    return _load(settings.SPAN_STORE)


@lru_cache
def _load(path: str) -> SpanStore:
    try:
        store: SpanStore = import_string(path)()
    except ImportError as error:
        raise ImproperlyConfigured(
            f"CATALYST_SPAN_STORE is {path!r}, which is no class that can be imported: {error}"
        ) from error
    return store
