"""Texts that lie together are found, replaced and deleted one by one."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from catalyst.core.models import Project
from tests.traces.sent import sent_span
from tests.traces.stored import texts
from traces.ingest import pipeline
from traces.models import Payload, Trace
from traces.otlp import DecodedSpan
from traces.records import Extent
from traces.span_store import span_store

pytestmark = pytest.mark.django_db
TRACE = UUID(int=1)


@pytest.fixture
def midnight(now: datetime) -> datetime:
    """The last one, with time before and after it."""
    return (now - timedelta(hours=3)).replace(hour=0, minute=0, second=0, microsecond=0)


def said(span: int, start: datetime, words: str, seconds: float | None = 1) -> DecodedSpan:
    return sent_span(span, None if span == 1 else 1, start=start, seconds=seconds, input__value=words)


def found(project: Project, *asked: int) -> dict[int, str | None]:
    trace = Trace.objects.get(project=project, trace_id=TRACE)
    payloads = span_store().payloads(project.pk, trace.extent, asked)
    return {span_id: payload.input for span_id, payload in payloads.items()}


def test_it_reads_only_what_is_asked_for(project: Project, now: datetime) -> None:
    pipeline.store(project.pk, [said(n, now, f"words {n}") for n in (1, 2, 3)], now)
    assert Payload.objects.count() == 1
    assert found(project, 2, 3, 4) == {2: "words 2", 3: "words 3"}


def test_it_finds_one_by_its_own_time(project: Project, now: datetime) -> None:
    later = now + timedelta(milliseconds=5)
    pipeline.store(project.pk, [said(1, now, "first"), said(2, later, "second")], now)
    payloads = span_store().payloads(project.pk, Extent(TRACE, later, later), [2])
    assert payloads[2].input == "second"


def test_a_fuller_version_takes_the_place_of_its_text_alone(project: Project, now: datetime) -> None:
    pipeline.store(project.pk, [said(1, now, "open", None), said(2, now, "words 2"), said(3, now, "words 3")], now)
    pipeline.store(project.pk, [said(1, now, "ended"), said(4, now, "words 4")], now)
    assert found(project, 1, 2, 3, 4) == {1: "ended", 2: "words 2", 3: "words 3", 4: "words 4"}
    assert texts(project.pk) == {(TRACE, n) for n in (1, 2, 3, 4)}


def test_a_span_with_the_same_id_in_another_trace_keeps_its_text(project: Project, now: datetime) -> None:
    other = sent_span(1, trace=2, start=now, input__value="other")
    pipeline.store(project.pk, [said(1, now, "open", None), other], now)
    pipeline.store(project.pk, [said(1, now, "ended")], now)
    assert span_store().payloads(project.pk, Extent(UUID(int=2), now, now), [1])[1].input == "other"
    assert found(project, 1) == {1: "ended"}


def test_a_version_that_starts_later_leaves_the_others_where_they_are_found(
    project: Project, now: datetime, midnight: datetime
) -> None:
    before, after = midnight - timedelta(seconds=1), midnight + timedelta(seconds=1)
    first = [said(1, before, "open", None), said(2, before, "before"), said(3, after, "after")]
    pipeline.store(project.pk, first, now)
    assert Payload.objects.count() == 2
    moved = said(1, before + timedelta(milliseconds=500), "ended")
    pipeline.store(project.pk, [moved], now)
    assert found(project, 1, 2, 3) == {1: "ended", 2: "before", 3: "after"}
    pipeline.store(project.pk, [said(3, after + timedelta(seconds=1), "after, longer", 9)], now)
    assert found(project, 1, 2, 3) == {1: "ended", 2: "before", 3: "after, longer"}
    assert texts(project.pk) == {(TRACE, n) for n in (1, 2, 3)}


def test_it_forgets_them_with_their_trace(project: Project, now: datetime) -> None:
    pipeline.store(project.pk, [said(1, now, "open", None), said(2, now + timedelta(seconds=2), "later")], now)
    pipeline.store(project.pk, [said(1, now + timedelta(seconds=1), "ended")], now)
    span_store().delete(project.pk, [Trace.objects.get(project=project).extent])
    assert texts(project.pk) == set()
