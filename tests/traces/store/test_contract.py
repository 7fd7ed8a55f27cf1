"""What every SpanStore must do."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalyst.core.models import Project
from tests.traces.store.memory import MemorySpanStore, meets
from traces.conventions.span_mapping import attribute_token
from traces.filters import EVERYTHING, Filter
from traces.models import Trace
from traces.records import Extent, PayloadRecord, SpanRecord, serialize_payload
from traces.span_store import SpanQuery, SpanRole, SpanStore
from traces.store.postgres import PostgresSpanStore

pytestmark = [pytest.mark.slow, pytest.mark.django_db]
NOON = datetime(2031, 5, 1, 12, tzinfo=UTC)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
TRACE = UUID(int=1)
ACME = attribute_token("tenant", "acme")
GLOBEX = attribute_token("tenant", "globex")


@pytest.fixture(params=[PostgresSpanStore, MemorySpanStore])
def store(request: pytest.FixtureRequest) -> SpanStore:
    """Each implementation."""
    made: SpanStore = request.param()
    return made


def record(project: Project, span_id: int = 1, *, trace: int = 1, **about: Any) -> SpanRecord:
    """A span of the project, as ingest would make it."""
    fields: dict[str, Any] = {"start_time": NOON, "received_at": NOON, "parent_id": None, "duration_us": 1000, **about}
    return SpanRecord(project_id=project.pk, trace_id=UUID(int=trace), span_id=span_id, **fields)


def said(words: str) -> bytes:
    return serialize_payload(PayloadRecord(input=words))


def extent_of(*spans: SpanRecord) -> Extent:
    times = [span.start_time for span in spans]
    return Extent(spans[0].trace_id, min(times), max(times))


def stored(store: SpanStore, project: Project, trace: int = 1) -> dict[int, tuple[SpanRecord, str | None]]:
    """The stored spans of a trace with their text, by span id. Fails where one is stored twice."""
    extent = Extent(UUID(int=trace), NOON - DAY, NOON + DAY)
    spans = store.spans(project.pk, [extent]).get(extent.trace_id, [])
    texts = store.payloads(project.pk, extent, [span.span_id for span in spans])
    found = {span.span_id: (span, texts[span.span_id].input) for span in spans}
    assert len(found) == len(spans)
    return found


def insert(store: SpanStore, *spans: SpanRecord) -> None:
    store.insert([(span, said(f"words {span.span_id}")) for span in spans])


def rows_of(spans: Sequence[SpanRecord]) -> None:
    """The rows of the traces of these spans."""
    for key in {(span.project_id, span.trace_id) for span in spans}:
        extent = extent_of(*(span for span in spans if span.key[:2] == key))
        Trace.objects.create(
            project_id=key[0], trace_id=key[1], start_time=extent.first, end_time=extent.last,
            llm_count=key[1].int % 2, first_received_at=NOON, last_received_at=NOON,
        )  # fmt: skip


class TestWriting:
    """Insert, replace, delete."""

    def test_it_returns_what_was_inserted(self, store: SpanStore, project: Project) -> None:
        full = record(
            project, 2, start_time=NOON + SECOND, parent_id=1, kind="LLM", model="gpt-4o", agent_id=7, input_tokens=3,
            attribute_tokens=[ACME, GLOBEX], session_key="chat",
        )  # fmt: skip
        insert(store, full, record(project, -1))
        found = stored(store, project)
        assert list(found) == [-1, 2], "ordered by start"
        assert found[2] == (full, "words 2")

    def test_it_stores_nothing_twice(self, store: SpanStore, project: Project) -> None:
        first, second = record(project, 1), record(project, 2)
        insert(store, first, second)
        store.insert([(first, said("again")), (record(project, 3), said("words 3"))])
        assert {span_id: text for span_id, (_, text) in stored(store, project).items()} == {
            1: "words 1", 2: "words 2", 3: "words 3",
        }  # fmt: skip

    @pytest.mark.parametrize("revisions", [(1, 2), (2, 1), (3, 1, 2)])
    def test_the_highest_revision_stays(self, store: SpanStore, project: Project, revisions: Sequence[int]) -> None:
        insert(store, record(project, 2))
        for revision in revisions:
            store.insert([(record(project, revision=revision, name=f"r{revision}"), said(f"text {revision}"))])
        span, text = stored(store, project)[1]
        assert (span.revision, span.name, text) == (max(revisions), f"r{max(revisions)}", f"text {max(revisions)}")
        assert stored(store, project)[2][1] == "words 2"

    @pytest.mark.parametrize("moved", [timedelta(0), SECOND, -SECOND])
    def test_it_replaces_a_version_by_a_higher_one(self, store: SpanStore, project: Project, moved: timedelta) -> None:
        old = record(project, 1)
        new = replace(old, start_time=NOON + moved, revision=2)
        insert(store, old, record(project, 2))
        for _ in range(2):
            store.replace([(old, new, said("fuller"))])
            assert stored(store, project)[1] == (new, "fuller")
            assert stored(store, project)[2][1] == "words 2"

    def test_it_inserts_the_replacement_of_a_version_that_is_not_stored(
        self, store: SpanStore, project: Project
    ) -> None:
        old = record(project)
        store.replace([(old, replace(old, revision=2), said("fuller"))])
        assert stored(store, project)[1][1] == "fuller"

    def test_a_replacement_that_comes_late_changes_nothing(self, store: SpanStore, project: Project) -> None:
        old = record(project)
        store.insert([(replace(old, revision=3), said("newest"))])
        store.replace([(old, replace(old, revision=2), said("late"))])
        span, text = stored(store, project)[1]
        assert (span.revision, text) == (3, "newest")

    def test_it_deletes_these_traces_of_this_project(
        self, store: SpanStore, project: Project, other_project: Project
    ) -> None:
        for each in (project, other_project):
            insert(store, record(each, 1), record(each, 2, start_time=NOON + SECOND))
            insert(store, record(each, 1, trace=2))
        store.delete(project.pk, [Extent(TRACE, NOON, NOON + SECOND)])
        store.delete(project.pk, [])
        assert stored(store, project) == {}
        assert store.payloads(project.pk, Extent(TRACE, NOON, NOON + SECOND), [1, 2]) == {}
        assert set(stored(store, project, trace=2)) == {1}
        assert set(stored(store, other_project)) == {1, 2}
        assert store.payloads(other_project.pk, Extent(TRACE, NOON, NOON), [1])[1].input == "words 1"


class TestReading:
    """By trace."""

    def test_projects_with_the_same_ids_are_apart(
        self, store: SpanStore, project: Project, other_project: Project
    ) -> None:
        mine, theirs = record(project, name="mine"), record(other_project, name="theirs")
        store.insert([(mine, said("my words"))])
        store.insert([(theirs, said("their words"))])
        for each, name, words in ((project, "mine", "my words"), (other_project, "theirs", "their words")):
            assert [(span.name, text) for span, text in stored(store, each).values()] == [(name, words)]
            texts = store.payloads_of(each.pk, {Extent(TRACE, NOON, NOON): [1]})
            assert texts[TRACE][1].input == words

    def test_what_is_not_stored_is_missing_and_no_error(self, store: SpanStore, project: Project) -> None:
        insert(store, record(project, 1))
        known, unknown = Extent(TRACE, NOON, NOON), Extent(UUID(int=9), NOON, NOON)
        spans = store.spans(project.pk, [known, unknown])
        assert {trace_id: len(some) for trace_id, some in spans.items() if some} == {TRACE: 1}
        assert not store.spans(project.pk, [])
        assert set(store.payloads(project.pk, known, [1, 2])) == {1}
        assert not store.payloads(project.pk, unknown, [1])
        assert not store.payloads_of(project.pk, {})

    def test_it_returns_texts_of_several_traces(self, store: SpanStore, project: Project) -> None:
        insert(store, record(project, 1), record(project, 2))
        insert(store, record(project, 1, trace=2))
        wanted = {Extent(TRACE, NOON, NOON): [2], Extent(UUID(int=2), NOON, NOON): [1]}
        found = store.payloads_of(project.pk, wanted)
        assert {trace.int: {key: text.input for key, text in texts.items()} for trace, texts in found.items()} == {
            1: {2: "words 2"}, 2: {1: "words 1"},
        }  # fmt: skip

    def test_it_returns_some_fields_of_many_spans(
        self, store: SpanStore, project: Project, other_project: Project
    ) -> None:
        later = record(project, 1, start_time=NOON + SECOND, name="later", cost=Decimal("0.000000001"), parent_id=2)
        insert(store, later, record(project, 2, name="first"), record(project, 1, trace=2, name="of another"))
        insert(store, record(other_project, 1, name="theirs"))
        extents = [Extent(UUID(int=trace), NOON, NOON + SECOND) for trace in (1, 2, 3)]
        found = store.span_values(project.pk, extents, ["name", "start_time", "cost", "parent_id"])
        assert {trace.int: values for trace, values in found.items() if values} == {
            1: [("first", NOON, None, None), ("later", NOON + SECOND, Decimal("0.000000001"), 2)],
            2: [("of another", NOON, None, None)],
        }
        assert not store.span_values(project.pk, [], ["name", "start_time"])

    def test_it_finds_tokens_by_trace(self, store: SpanStore, project: Project, other_project: Project) -> None:
        insert(store, record(project, 1, attribute_tokens=[ACME, 5]), record(project, 2, attribute_tokens=[GLOBEX]))
        insert(store, record(project, 1, trace=2, attribute_tokens=[5]))
        insert(store, record(other_project, 1, trace=2, attribute_tokens=[ACME]))
        extents = [Extent(UUID(int=trace), NOON, NOON) for trace in (1, 2, 3)]
        found = store.attribute_tokens(project.pk, extents, [ACME, GLOBEX])
        assert {trace.int: tokens for trace, tokens in found.items() if tokens} == {1: {ACME, GLOBEX}}
        assert not store.attribute_tokens(project.pk, [], [ACME])
        assert not any(store.attribute_tokens(project.pk, extents, []).values())


def traffic(project: Project) -> list[SpanRecord]:
    """Spans of ten traces that differ in all that a query can ask for."""
    return [
        record(
            project, span, trace=number // 4 + 1, start_time=NOON + number * SECOND,
            parent_id=None if number % 4 == 0 else 1, duration_us=None if number % 5 == 0 else number * 100_000,
            received_at=NOON + number % 3 * SECOND, kind=("LLM", "SPAN", "TOOL")[number % 3],
            agent_id=(1, 2, None)[number % 3 if number % 2 else number % 7 % 3], status=("ok", "error")[number % 2],
            environment=("prod", "staging", "")[number % 3], service=("shop", "desk")[number % 2],
            model="gpt-4o" if number % 3 == 0 else "", input_tokens=number * 10 or None,
            output_tokens=None if number % 4 else 5, attribute_tokens=[ACME] if number % 5 else [GLOBEX],
        )
        for number, span in enumerate(range(1, 41))
    ]  # fmt: skip


filters = st.fixed_dictionaries(
    {},
    optional={
        "environment": st.sampled_from(["prod", "staging"]),
        "service": st.sampled_from(["shop", "desk"]),
        "model": st.just("gpt-4o"),
        "status": st.sampled_from(["ok", "error"]),
        "min_duration_ms": st.sampled_from([0, 500]),
        "max_duration_ms": st.sampled_from([1500, 3000]),
        "min_tokens": st.sampled_from([0, 1, 50]),
        "max_tokens": st.sampled_from([105, 400]),
        "attributes": st.sampled_from([{"tenant": "acme"}, {"tenant": "globex"}]),
    },
).map(Filter.parse)
times = st.one_of(st.none(), st.integers(0, 40).map(lambda seconds: NOON + seconds * SECOND))
queries = st.builds(
    SpanQuery,
    traffic_filter=st.one_of(st.just(EVERYTHING), filters),
    start=times,
    end=times,
    agents=st.sampled_from([(), (1,), (None,), (1, None), (1, 2)]),
    roles=st.sampled_from([(), (SpanRole.CALL,), (SpanRole.ROOT,), (SpanRole.CALL, SpanRole.ROOT)]),
    has_ended=st.booleans(),
    received_since=st.one_of(st.none(), st.integers(0, 3).map(lambda seconds: NOON + seconds * SECOND)),
)


class TestQueries:
    """Count, matching, traces_with."""

    def test_they_answer_as_the_same_query_does_in_memory(
        self, store: SpanStore, project: Project, other_project: Project
    ) -> None:
        spans, others = traffic(project), traffic(other_project)[:9]
        insert(store, *spans)
        insert(store, *others)
        rows_of([*spans, *others])
        ids = [(span.trace_id, span.span_id) for span in spans]
        matched = 0

        @settings(suppress_health_check=list(HealthCheck), database=None)
        @given(queries, st.booleans())
        def check(query: SpanQuery, is_narrowed: bool) -> None:
            nonlocal matched
            found = [span for span in spans if meets(span, query)]
            if is_narrowed:
                query = replace(query, traces=Trace.objects.filter(llm_count=0))
                found = [span for span in found if span.trace_id.int % 2 == 0]
            matched += len(found)
            assert store.count(project.pk, query) == len(found)
            assert store.matching(project.pk, ids, query) == {(span.trace_id, span.span_id) for span in found}
            rows = Trace.objects.filter(store.traces_with(project.pk, query))
            assert set(rows.values_list("project_id", "trace_id")) == {span.key[:2] for span in found}

        check()
        assert matched > 100

    def test_they_keep_to_one_project(self, store: SpanStore, project: Project, other_project: Project) -> None:
        mine, theirs = record(project), record(other_project, attribute_tokens=[ACME])
        insert(store, mine)
        insert(store, theirs)
        rows_of([mine, theirs])
        query = SpanQuery(Filter.parse({"attributes": {"tenant": "acme"}}))
        assert (store.count(project.pk, query), store.count(other_project.pk, query)) == (0, 1)
        assert store.matching(project.pk, [(TRACE, 1)], query) == set()
        assert not Trace.objects.filter(store.traces_with(project.pk, query)).exists()
        assert Trace.objects.get(store.traces_with(other_project.pk, query)).project == other_project

    def test_it_matches_pairs_of_ids(self, store: SpanStore, project: Project) -> None:
        insert(store, record(project, 1), record(project, 2))
        insert(store, record(project, 1, trace=2), record(project, 2, trace=2))
        wanted = [(TRACE, 1), (UUID(int=2), 2), (UUID(int=3), 1)]
        assert store.matching(project.pk, wanted, SpanQuery()) == set(wanted[:2])
        assert store.matching(project.pk, [], SpanQuery()) == set()


class TestLifeCycle:
    """Prepare, import, expire, health."""

    def test_it_prepares_once(self, store: SpanStore) -> None:
        assert store.prepare(NOON)
        assert not store.prepare(NOON)
        health = store.health(NOON, 10)
        assert (health.has_today, health.last_day) == (True, date(2031, 5, 4))

    def test_it_counts_misplaced_spans_up_to_the_limit(self, store: SpanStore, project: Project) -> None:
        store.prepare(NOON)
        before = store.health(NOON, 10).misplaced_spans
        insert(store, *(record(project, span, start_time=NOON + 100 * DAY) for span in range(1, 4)))
        assert store.health(NOON, 10).misplaced_spans == before + 3
        assert store.health(NOON, 2).misplaced_spans == 2

    def test_it_knows_that_today_is_missing(self, store: SpanStore) -> None:
        health = store.health(NOON + 900 * DAY, 10)
        assert (health.has_today, health.last_day) == (False, None)
        store.ensure_current(NOON + 900 * DAY)
        assert store.health(NOON + 900 * DAY, 10).has_today

    def test_it_drops_and_records_the_days_before_the_retention(self, store: SpanStore, project: Project) -> None:
        store.prepare(NOON)
        insert(store, record(project, 1, start_time=NOON - 30 * DAY), record(project, 2, start_time=NOON - 29 * DAY))
        days: list[date] = []
        store.expire(NOON, days.append)
        assert store.count(project.pk, SpanQuery()) == 2
        days.clear()
        store.expire(NOON + DAY, days.append)
        assert set(days) == {date(2031, 4, 1)}
        assert store.count(project.pk, SpanQuery()) == 1

    def test_it_keeps_imported_days_from_now_on(self, store: SpanStore, project: Project) -> None:
        long_ago = NOON - 4000 * DAY
        assert store.import_days(long_ago.date(), long_ago.date(), NOON)
        insert(store, record(project, start_time=long_ago))
        days: list[date] = []
        store.expire(NOON + 30 * DAY, days.append)
        assert long_ago.date() not in days
        store.expire(NOON + 31 * DAY, days.append)
        assert long_ago.date() in days
        assert store.count(project.pk, SpanQuery()) == 0
