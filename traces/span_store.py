"""What a store of spans can do, how it is asked, and which one this instance uses.

Rows of traces, sessions and hours live in Django's database whatever the store. Spans and their text live in the store.
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
    """The store returned fewer spans of a trace than were acknowledged. Trying again later may help."""


class SpanRole(Enum):
    """The spans that span-scoped signals evaluate are model calls, or roots."""

    CALL = "call"
    """A model call."""
    ROOT = "root"
    """A root that is no model call."""


@dataclass(frozen=True, slots=True)
class SpanQuery:
    """Which spans of a project are meant: those that meet every condition given.

    `traffic_filter`: passes them, as `Filter.passes` does on `facts_of_span`.
    `start`, `end`: they start in [start, end).
    `agents`: they name one of these agents; None stands for spans that name none. Empty: any.
    `roles`: they have one of these roles. Empty: any.
    `has_ended`: only spans that have ended.
    `received_since`: received then or later.
    `traces`: spans of these rows of traces. A store in Django's database joins them, another one reads their ids.
    """

    traffic_filter: Filter = EVERYTHING
    start: datetime | None = None
    end: datetime | None = None
    agents: tuple[int | None, ...] = ()
    roles: tuple[SpanRole, ...] = ()
    has_ended: bool = False
    received_since: datetime | None = None
    traces: QuerySet[Any] | None = None


@dataclass(frozen=True, slots=True)
class DiskUse:
    """An estimate of what the spans of one project take, with their text and indexes."""

    project_id: int
    bytes: int
    spans: int


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """How far the store is prepared.

    `day_count`, `last_day`: days that are prepared, and the last one without a gap from today; None without today.
    `misplaced_spans`: spans outside all of these days, counted up to a limit.
    """

    day_count: int
    has_today: bool
    last_day: date | None
    misplaced_spans: int


class SpanStore(Protocol):
    """Spans and their text.

    The key of a span is `SpanRecord.key`, and every method is scoped to one project. A write may be visible before the
    caller's transaction commits, and stay if that rolls back: spans without a row of their trace are garbage, which
    readers never reach, because they ask by a trace's row. A write that takes part in the transaction is fine too.

    A read may return less than was written: a replica lags, a deletion is under way. Nothing may be concluded from it.
    """

    def insert(self, spans: Sequence[tuple[SpanRecord, bytes]]) -> None:
        """Add spans of one project, with their text as `records.plain` makes it.

        Idempotent by key and revision: of several versions of a key the highest revision stays.
        The caller holds the lock of their traces.
        """

    def replace(self, spans: Sequence[tuple[SpanRecord, SpanRecord, bytes]]) -> None:
        """Put a higher revision (second) and its text in place of the stored version (first), whose key may differ.

        Otherwise like `insert`: where the first is not stored, the second is inserted.
        """

    def delete(self, project_id: int, extents: Sequence[Extent]) -> None:
        """Delete all spans of these traces and their text. Readers may see them for a while."""

    def spans(self, project_id: int, extents: Iterable[Extent]) -> Mapping[UUID, list[SpanRecord]]:
        """All spans of these traces, ordered by start within each trace."""

    def payloads(self, project_id: int, extent: Extent, span_ids: Sequence[int]) -> Mapping[int, PayloadRecord]:
        """The text of these spans of one trace."""

    def payloads_of(
        self, project_id: int, wanted: Mapping[Extent, Sequence[int]]
    ) -> Mapping[UUID, Mapping[int, PayloadRecord]]:
        """The text of these spans of several traces, in one query."""

    def count(self, project_id: int, query: SpanQuery) -> int:
        """The number of spans that match."""

    def matching(self, project_id: int, ids: Collection[SpanId], query: SpanQuery) -> set[SpanId]:
        """The spans among these that match."""

    def traces_with(self, project_id: int, query: SpanQuery) -> Q:
        """A condition on rows of traces: it is a trace of this project that has a matching span.

        A store in Django's database answers with a subquery, another one with the ids of the traces.
        """

    def attribute_tokens(
        self, project_id: int, extents: Sequence[Extent], tokens: Collection[int]
    ) -> Mapping[UUID, set[int]]:
        """The tokens among these that a span of the trace has, for each of these traces that has any."""

    def prepare(self, now: datetime) -> Sequence[str]:
        """Make room for spans of the retention window and of the next days; returns the names of what was made.

        Safe to repeat and to run twice at once.
        """

    def ensure_current(self, now: datetime) -> None:
        """Make room for spans that start now, where `prepare` has not run. Called before each write, so cheap."""

    def import_days(self, first: date, last: date, now: datetime) -> Sequence[str]:
        """Make room for spans of the past, through `last`; returns the names of what was made.

        They are kept from now on as long as others are from their day.
        """

    def expire(self, now: datetime, record: Callable[[date], None]) -> Sequence[str]:
        """Drop the days that are older than the retention; returns the names of what was dropped.

        `record(day)` is called when the day takes no more spans, and before its spans are gone for others: in the
        transaction that drops them, where the store has one.
        """

    def usage(self, now: datetime) -> Sequence[DiskUse]:
        """The disk use of each project that has spans, the largest first."""

    def health(self, now: datetime, limit: int) -> StoreHealth:
        """How far the store is prepared. Misplaced spans are counted up to `limit`."""


def span_store() -> SpanStore:
    """The store that the setting SPAN_STORE names."""
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
