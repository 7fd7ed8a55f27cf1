"""Spans of a trace are missing: because their day expired, or because the store does not return them now."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.test import Client
from pytest_django import Settings

from catalyst.core.models import ApiKey, Project
from tests.processes import eventually
from tests.traces.sent import nanoseconds, sent_span
from traces import retention
from traces.ingest import pipeline
from traces.models import AgentHour, AgentHourCalls, ExpiredDay, Session, Trace
from traces.records import Extent, SpanRecord
from traces.span_store import ShortRead, SpanQuery, span_store
from traces.store.postgres import PostgresSpanStore

pytestmark = pytest.mark.slow

LONG_AGO = datetime(2019, 3, 1, 12, tzinfo=UTC)
EXPIRED = pipeline.IngestResult(refused={pipeline.Refusal.EXPIRED: 1})
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)


def sums() -> list[Any]:
    """All that is counted."""
    models = (AgentHour, AgentHourCalls, Session, Trace)
    return [list(model._default_manager.order_by("pk").values()) for model in models]


def store(project: Project, span: int, start: datetime, now: datetime, *, trace: int = 1) -> pipeline.IngestResult:
    return pipeline.store(project.pk, [sent_span(span, 1 if span > 1 else None, trace=trace, start=start)], now)


def lose(project: Project, trace: Trace) -> None:
    """The store loses the spans of a trace."""
    span_store().delete(project.pk, [trace.extent])


class LaggingStore(PostgresSpanStore):
    """A store that is behind: the first reads miss what was written last."""

    short_reads = 0

    def spans(self, project_id: int, extents: Iterable[Extent]) -> Mapping[UUID, list[SpanRecord]]:
        """As the store does, once it has caught up."""
        found = super().spans(project_id, extents)
        if found and LaggingStore.short_reads:
            LaggingStore.short_reads -= 1
            return {trace_id: spans[:-1] for trace_id, spans in found.items()}
        return found


@pytest.fixture
def midnight(now: datetime) -> datetime:
    """The last one, with time before and after it."""
    return (now - timedelta(hours=3)).replace(hour=0, minute=0, second=0, microsecond=0)


@pytest.fixture
def lagging(settings: Settings) -> Iterator[type[LaggingStore]]:
    """The instance uses a store that lags."""
    settings.SPAN_STORE = f"{__name__}.LaggingStore"
    yield LaggingStore
    LaggingStore.short_reads = 0


@pytest.mark.django_db
class TestShortReads:
    """The store returns less than was acknowledged, and no day has expired."""

    def test_a_store_that_lags_is_asked_again(
        self, project: Project, now: datetime, lagging: type[LaggingStore]
    ) -> None:
        store(project, 1, now, now)
        lagging.short_reads = 2
        assert store(project, 2, now, now).inserted == 1
        assert Trace.objects.get().span_count == 2

    def test_nothing_is_acknowledged_while_it_lags(
        self, project: Project, now: datetime, lagging: type[LaggingStore]
    ) -> None:
        store(project, 1, now, now)
        before = sums()
        lagging.short_reads = 100
        with pytest.raises(ShortRead, match=f"all 1 spans of trace {1:032x}"):
            store(project, 2, now, now)
        assert sums() == before
        lagging.short_reads = 0
        assert store(project, 2, now, now).inserted == 1

    def test_the_sender_is_asked_to_send_again(self, client: Client, project: Project, now: datetime) -> None:
        key = ApiKey.issue(project=project, name="sdk", scopes=["ingest"])[1]

        def post(span: int) -> Any:
            sent = {
                "traceId": f"{1:032x}", "spanId": f"{span:016x}", "name": "a",
                "startTimeUnixNano": str(nanoseconds(now)),
            }  # fmt: skip
            body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [sent]}]}]})
            return client.post("/v1/traces", body, "application/json", headers={"Authorization": f"Bearer {key}"})

        assert post(1).status_code == 200
        lose(project, Trace.objects.get())
        response = post(2)
        assert (response.status_code, response["Retry-After"]) == (503, "5")
        assert Trace.objects.get().span_count == 1

    def test_other_traces_are_stored_meanwhile(self, project: Project, now: datetime) -> None:
        store(project, 1, now, now)
        lose(project, Trace.objects.get())
        assert store(project, 1, now, now, trace=2).inserted == 1

    def test_a_day_that_expired_earlier_explains_nothing(self, project: Project, now: datetime) -> None:
        ExpiredDay.objects.record(now.date())
        store(project, 1, now, now)
        lose(project, Trace.objects.get())
        with pytest.raises(ShortRead):
            store(project, 2, now, now)

    def test_another_day_that_expired_explains_nothing(self, project: Project, now: datetime) -> None:
        store(project, 1, now, now)
        for day in (now - DAY, now + DAY):
            ExpiredDay.objects.record(day.date())
        lose(project, Trace.objects.get())
        with pytest.raises(ShortRead):
            store(project, 2, now, now)


@pytest.mark.django_db
class TestExpiredTraces:
    """A day of the trace has expired."""

    def test_it_takes_nothing_more_and_changes_no_sum(self, project: Project, now: datetime) -> None:
        store(project, 1, now, now)
        later = now + 31 * DAY
        retention.expire_spans(later)
        before = sums()
        assert store(project, 2, now, later) == EXPIRED
        assert store(project, 3, later, later) == EXPIRED
        assert sums() == before

    def test_a_trace_over_midnight_has_expired_with_its_first_day(
        self, project: Project, now: datetime, midnight: datetime
    ) -> None:
        store(project, 1, midnight - SECOND, now)
        store(project, 2, midnight + SECOND, now)
        retention.expire_spans(midnight + 30 * DAY)
        assert span_store().count(project.pk, SpanQuery()) == 1, "the second day is kept"
        before = sums()
        assert store(project, 3, midnight + SECOND, now + 30 * DAY).inserted == 0
        assert sums() == before

    def test_a_trace_that_lost_nothing_goes_on(self, project: Project, now: datetime) -> None:
        """It has come after its day was dropped, so its spans lie outside the days."""
        later = now + 31 * DAY
        retention.expire_spans(later)
        assert store(project, 1, now, later).inserted == 1
        assert store(project, 2, now, later).inserted == 1
        assert Trace.objects.get().span_count == 2

    def test_the_oldest_day_that_is_kept_expires_as_a_whole(self, project: Project, now: datetime) -> None:
        """More than 30 times 24 hours old, but of a day that is kept."""
        start = now - 30 * DAY - timedelta(hours=2)
        store(project, 1, start, now)
        assert not next(iter(span_store().spans(project.pk, [Trace.objects.get().extent]).values()))[0].skewed
        tomorrow = now + DAY
        retention.expire_spans(tomorrow)
        retention.delete_expired_traces(tomorrow)
        assert not Trace.objects.exists()

    def test_an_imported_trace_expires_with_its_day(self, project: Project, now: datetime) -> None:
        span_store().import_days(LONG_AGO.date(), LONG_AGO.date(), now)
        store(project, 1, LONG_AGO, now + DAY)
        retention.expire_spans(now + 31 * DAY)
        assert store(project, 2, LONG_AGO, now + 31 * DAY).inserted == 0
        assert Trace.objects.get().span_count == 1


@pytest.fixture
def imported_day() -> Iterator[datetime]:
    """A day of the past that has expired, committed; all spans are gone in the end."""
    span_store().import_days(LONG_AGO.date(), LONG_AGO.date(), LONG_AGO)
    yield LONG_AGO
    with connection.cursor() as cursor:
        for table in ("traces_span_20190301", "traces_payload_20190301"):
            cursor.execute(f"DROP TABLE IF EXISTS {table}")
        cursor.execute("TRUNCATE traces_span, traces_payload")


def in_thread[T](pool: ThreadPoolExecutor, work: Callable[[], T]) -> Future[T]:
    """Work with a connection of its own."""

    def run() -> T:
        try:
            return work()
        finally:
            connection.close()

    return pool.submit(run)


def waits_for_spans() -> bool:
    """True when some connection waits for a lock of the table of spans or one of its days."""
    with connection.cursor() as cursor:
        cursor.execute("""
            SELECT count(*) FROM pg_locks WHERE NOT granted AND relation::regclass::text LIKE 'traces_span%'
        """)
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
class TestRaces:
    """Days are made and dropped while others read and write. Each test chooses who comes first."""

    def test_a_reader_that_waits_for_a_day_being_made_misses_nothing(
        self, project: Project, now: datetime, imported_day: datetime
    ) -> None:
        start = imported_day + DAY
        store(project, 1, start, now)
        extent = Trace.objects.get().extent
        with ThreadPoolExecutor(1) as pool:
            with transaction.atomic():
                assert span_store().import_days(start.date(), start.date(), LONG_AGO)
                read = in_thread(pool, lambda: span_store().spans(project.pk, [extent]))
                eventually(waits_for_spans)
            assert len(read.result()[extent.trace_id]) == 1
        retention.expire_spans(now)

    def test_a_writer_that_waits_for_a_day_being_made_loses_nothing(
        self, project: Project, now: datetime, imported_day: datetime
    ) -> None:
        start = imported_day + DAY
        store(project, 1, start, now)
        with ThreadPoolExecutor(1) as pool:
            with transaction.atomic():
                assert span_store().import_days(start.date(), start.date(), LONG_AGO)
                written = in_thread(pool, lambda: store(project, 2, start, now))
                eventually(waits_for_spans)
            assert written.result().inserted == 1
        assert span_store().count(project.pk, SpanQuery()) == 2
        retention.expire_spans(now)

    def test_a_writer_that_waits_for_a_day_being_dropped_sees_that_it_expired(
        self, project: Project, now: datetime, imported_day: datetime
    ) -> None:
        store(project, 1, imported_day, now)
        before = sums()
        with ThreadPoolExecutor(1) as pool:
            with transaction.atomic():
                assert retention.expire_spans(now)
                written = in_thread(pool, lambda: store(project, 2, imported_day, now))
                eventually(waits_for_spans)
            assert written.result() == EXPIRED
        assert sums() == before

    def test_a_new_trace_that_waits_for_the_drop_is_kept_whole(
        self, project: Project, now: datetime, imported_day: datetime
    ) -> None:
        with ThreadPoolExecutor(1) as pool:
            with transaction.atomic():
                assert retention.expire_spans(now)
                written = in_thread(pool, lambda: store(project, 1, imported_day, now))
                eventually(waits_for_spans)
            assert written.result().inserted == 1
        assert store(project, 2, imported_day, now).inserted == 1
        assert Trace.objects.get().span_count == span_store().count(project.pk, SpanQuery()) == 2

    def test_a_day_that_is_being_written_is_not_dropped(
        self, project: Project, now: datetime, imported_day: datetime
    ) -> None:
        with ThreadPoolExecutor(1) as pool, transaction.atomic():
            store(project, 1, imported_day, now)
            assert in_thread(pool, lambda: retention.expire_spans(now)).result() == []
        assert not ExpiredDay.objects.exists()
        assert store(project, 2, imported_day, now).inserted == 1
        assert retention.expire_spans(now)
        assert store(project, 3, imported_day, now).inserted == 0

    def test_a_drop_that_fails_records_nothing(self, project: Project, now: datetime, imported_day: datetime) -> None:
        store(project, 1, imported_day, now)
        with pytest.raises(RuntimeError), transaction.atomic():
            assert retention.expire_spans(now)
            raise RuntimeError
        assert not ExpiredDay.objects.exists()
        assert store(project, 2, imported_day, now).inserted == 1
