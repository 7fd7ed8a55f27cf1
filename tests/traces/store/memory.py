"""A store in memory: the least that the contract asks for, and the oracle of queries. It knows no transaction."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from operator import attrgetter
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.db.models import Q

from catalyst import timerange
from traces.filters import facts_of_span
from traces.records import Extent, PayloadRecord, SpanKey, SpanRecord
from traces.span_store import DiskUse, SpanId, SpanQuery, SpanRole, StoreHealth

ROLES: dict[SpanRole, Callable[[SpanRecord], bool]] = {
    SpanRole.CALL: lambda span: span.kind == "LLM",
    SpanRole.ROOT: lambda span: span.kind != "LLM" and span.parent_id is None,
}


class MemorySpanStore:
    """A SpanStore of one process."""

    def __init__(self) -> None:
        self.stored: dict[SpanKey, tuple[SpanRecord, bytes]] = {}
        self.kept_until: dict[date, date] = {}

    def insert(self, spans: Sequence[tuple[SpanRecord, bytes]]) -> None:
        for span, text in spans:
            stored = self.stored.get(span.key)
            if stored is None or stored[0].revision < span.revision:
                self.stored[span.key] = replace(span), text

    def replace(self, spans: Sequence[tuple[SpanRecord, SpanRecord, bytes]]) -> None:
        for old, new, text in spans:
            stored = self.stored.get(old.key)
            if stored is not None and stored[0].revision == old.revision:
                del self.stored[old.key]
            self.insert([(new, text)])

    def delete(self, project_id: int, extents: Sequence[Extent]) -> None:
        traces = {extent.trace_id for extent in extents}
        self._keep(lambda span: span.project_id != project_id or span.trace_id not in traces)

    def _keep(self, wanted: Callable[[SpanRecord], bool]) -> None:
        self.stored = {key: each for key, each in self.stored.items() if wanted(each[0])}

    def spans(self, project_id: int, extents: Iterable[Extent]) -> Mapping[UUID, list[SpanRecord]]:
        wanted = {extent.trace_id for extent in extents}
        found: dict[UUID, list[SpanRecord]] = defaultdict(list)
        for span, _ in self._of(project_id):
            if span.trace_id in wanted:
                found[span.trace_id].append(replace(span))
        return found

    def span_values(
        self, project_id: int, extents: Sequence[Extent], names: Sequence[str]
    ) -> Mapping[UUID, list[tuple[Any, ...]]]:
        spans = self.spans(project_id, extents)
        return {trace_id: [attrgetter(*names)(span) for span in some] for trace_id, some in spans.items()}

    def _of(self, project_id: int) -> list[tuple[SpanRecord, bytes]]:
        mine = [each for each in self.stored.values() if each[0].project_id == project_id]
        return sorted(mine, key=lambda each: (each[0].start_time, each[0].span_id))

    def payloads(self, project_id: int, extent: Extent, span_ids: Sequence[int]) -> Mapping[int, PayloadRecord]:
        return self.payloads_of(project_id, {extent: span_ids})[extent.trace_id]

    def payloads_of(
        self, project_id: int, wanted: Mapping[Extent, Sequence[int]]
    ) -> Mapping[UUID, Mapping[int, PayloadRecord]]:
        ids = {(extent.trace_id, span_id) for extent, span_ids in wanted.items() for span_id in span_ids}
        found: dict[UUID, dict[int, PayloadRecord]] = defaultdict(dict)
        for span, text in self._of(project_id):
            if (span.trace_id, span.span_id) in ids:
                found[span.trace_id][span.span_id] = PayloadRecord(**orjson.loads(text))
        return found

    def _matching(self, project_id: int, query: SpanQuery) -> list[SpanRecord]:
        rows = None
        if query.traces is not None:
            rows = set(query.traces.filter(project_id=project_id).values_list("trace_id", flat=True))
        found = [span for span, _ in self._of(project_id) if meets(span, query)]
        return [span for span in found if rows is None or span.trace_id in rows]

    def count(self, project_id: int, query: SpanQuery) -> int:
        return len(self._matching(project_id, query))

    def matching(self, project_id: int, ids: Collection[SpanId], query: SpanQuery) -> set[SpanId]:
        return {(span.trace_id, span.span_id) for span in self._matching(project_id, query)}.intersection(ids)

    def traces_with(self, project_id: int, query: SpanQuery) -> Q:
        return Q(project_id=project_id, trace_id__in={span.trace_id for span in self._matching(project_id, query)})

    def attribute_tokens(
        self, project_id: int, extents: Sequence[Extent], tokens: Collection[int]
    ) -> Mapping[UUID, set[int]]:
        found: dict[UUID, set[int]] = defaultdict(set)
        for trace_id, spans in self.spans(project_id, extents).items():
            for span in spans:
                found[trace_id].update(set(tokens).intersection(span.attribute_tokens))
        return found

    def prepare(self, now: datetime) -> Sequence[str]:
        first = timerange.kept_since(now, settings.RETENTION_DAYS).date()
        return self._make(first, settings.RETENTION_DAYS + 3, date.min)

    def ensure_current(self, now: datetime) -> None:
        self._make(now.date(), 1, date.min)

    def import_days(self, first: date, last: date, now: datetime) -> Sequence[str]:
        return self._make(first, (last - first).days, now.date() + timedelta(days=settings.RETENTION_DAYS))

    def made(self, days: Collection[date]) -> Collection[date]:
        return self.kept_until.keys() & days

    def _make(self, first: date, further: int, kept_until: date) -> list[str]:
        days = {first + timedelta(days=n) for n in range(further + 1)} - self.kept_until.keys()
        self.kept_until |= dict.fromkeys(days, kept_until)
        return [day.isoformat() for day in sorted(days)]

    def expire(self, now: datetime, record: Callable[[date], None]) -> Sequence[str]:
        first = timerange.kept_since(now, settings.RETENTION_DAYS).date()
        expired = {day for day, kept_until in self.kept_until.items() if day < first and kept_until < now.date()}
        for day in sorted(expired):
            record(day)
            del self.kept_until[day]
        self._keep(lambda span: span.start_time.date() not in expired)
        return [day.isoformat() for day in sorted(expired)]

    def usage(self, now: datetime) -> Sequence[DiskUse]:  # noqa: ARG002
        counts: dict[int, int] = defaultdict(int)
        for span, _ in self.stored.values():
            counts[span.project_id] += 1
        return [DiskUse(project_id, count, count) for project_id, count in counts.items()]

    def health(self, now: datetime, limit: int) -> StoreHealth:
        last = now.date()
        while last in self.kept_until:
            last += timedelta(days=1)
        has_today = now.date() in self.kept_until
        misplaced = [span for span, _ in self.stored.values() if span.start_time.date() not in self.kept_until]
        last_day = last - timedelta(days=1) if has_today else None
        return StoreHealth(len(self.kept_until), has_today, last_day, min(limit, len(misplaced)))


def meets(span: SpanRecord, query: SpanQuery) -> bool:
    """True if the span meets all conditions but the one about rows of traces."""
    return (
        query.traffic_filter.passes(facts_of_span(span))
        and (query.start is None or span.start_time >= query.start)
        and (query.end is None or span.start_time < query.end)
        and (query.span_id is None or span.span_id == query.span_id)
        and (not query.agents or span.agent_id in query.agents)
        and (not query.roles or any(ROLES[role](span) for role in query.roles))
        and (not query.has_ended or span.ended)
        and (query.received_since is None or span.received_at >= query.received_since)
    )
