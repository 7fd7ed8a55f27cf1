"""What expires goes, in batches, and takes nothing else with it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.db import connection
from pytest_django import Settings

from catalyst.core.models import Project
from tests.factories import make_session, make_trace, turn
from tests.traces.sent import sent_span
from traces import retention
from traces.ingest import pipeline
from traces.models import AgentHour, AgentHourCalls, AgentHourLatency, Payload, Session, Span, Trace, Unsettled

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def kept(project: Project) -> list[int]:
    """The numbers of the traces that are left; nothing of the others is."""
    traces = Trace.objects.filter(project=project)
    ids = set(traces.values_list("trace_id", flat=True))
    assert set(Span.objects.filter(project_id=project.pk).values_list("trace_id", flat=True)) <= ids
    assert set(Payload.objects.filter(project_id=project.pk).values_list("trace_id", flat=True)) <= ids
    queued = Unsettled.objects.exclude(scope="session").values_list("target_id", flat=True)
    assert set(queued) <= set(Trace.objects.values_list("pk", flat=True))
    return sorted(each.int for each in ids)


def test_it_deletes_traces_that_began_before_the_retention(project: Project, now: datetime) -> None:
    for trace, age in enumerate((32, 31, 30, 29, 0), start=1):
        make_trace(project, trace, now=now - age * DAY)
    hours = list(AgentHour.objects.values_list("hour", "trace_count", "span_count").order_by("hour"))
    assert retention.delete_expired_traces(now) == 2
    assert kept(project) == [3, 4, 5]
    assert list(AgentHour.objects.values_list("hour", "trace_count", "span_count").order_by("hour")) == hours
    assert retention.delete_expired_traces(now) == 0


def test_a_clock_that_is_off_counts_from_the_arrival(project: Project, now: datetime) -> None:
    pipeline.store(project.pk, [sent_span(1, trace=1, start=datetime(1999, 1, 1, tzinfo=UTC))], now)
    pipeline.store(project.pk, [sent_span(1, trace=2, start=datetime(2039, 1, 1, tzinfo=UTC))], now)
    pipeline.store(project.pk, [sent_span(1, trace=3, start=now - 20 * DAY)], now)
    retention.delete_expired_traces(now + 10 * DAY)
    assert kept(project) == [1, 2, 3]
    retention.delete_expired_traces(now + 11 * DAY)
    assert kept(project) == [1, 2]
    retention.delete_expired_traces(now + 30 * DAY)
    assert kept(project) == [1, 2]
    retention.delete_expired_traces(now + 31 * DAY)
    assert kept(project) == []


def test_a_project_may_keep_less_and_never_more(project: Project, other_project: Project, now: datetime) -> None:
    for each in (project, other_project):
        for trace, age in enumerate((31, 8, 7), start=1):
            make_trace(each, trace, now=now - age * DAY)
    Project.objects.filter(pk=project.pk).update(retention_days=7)
    Project.objects.filter(pk=other_project.pk).update(retention_days=90)
    pipeline.store(project.pk, [sent_span(1, trace=4, start=now - 20 * DAY)], now)
    assert retention.delete_expired_traces(now) == 4
    assert kept(project) == [3]
    assert kept(other_project) == [2, 3]


def test_it_deletes_so_much_at_a_time_and_projects_take_turns(
    project: Project, other_project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in (project, other_project):
        for trace in range(1, 7):
            make_trace(each, trace, now=now - 40 * DAY + trace * timedelta(minutes=1))
    monkeypatch.setattr(retention, "MAX_TRACES", 2)
    assert retention.delete_expired_traces(now, batches=3) == 6
    assert kept(project) == [5, 6]
    assert kept(other_project) == [3, 4, 5, 6]
    monkeypatch.setattr(retention, "MAX_SPANS", 1)
    assert retention.delete_expired_traces(now, batches=1) == 1
    assert kept(project) == [6]


def test_a_session_is_what_is_left_of_it_and_goes_with_its_last_trace(project: Project, now: datetime) -> None:
    make_session(project, "long", turns=2, now=now - 40 * DAY)
    make_session(project, "long", turns=1, first=3, now=now)
    make_session(project, "old", turns=2, first=4, now=now - 40 * DAY)
    retention.delete_expired_traces(now)
    left = Session.objects.get()
    assert (left.key, left.trace_count, left.start_time) == ("long", 1, Trace.objects.get().start_time)
    assert left.span_count == Trace.objects.get().span_count
    assert set(Unsettled.objects.filter(scope="session").values_list("target_id", flat=True)) == {left.pk}


def test_a_late_span_of_an_expired_trace_changes_no_sum(project: Project, now: datetime) -> None:
    make_trace(project, 1, now=now)
    sums = (
        list(AgentHour.objects.values()),
        list(AgentHourLatency.objects.values()),
        list(AgentHourCalls.objects.values()),
    )
    later = now + 31 * DAY
    retention.expire_spans(later)
    assert not Span.objects.filter(project_id=project.pk).exists()
    stored = pipeline.store(project.pk, [sent_span(99, 1, trace=1, start=now)], later)
    assert stored.inserted == 0
    assert sums == (
        list(AgentHour.objects.values()),
        list(AgentHourLatency.objects.values()),
        list(AgentHourCalls.objects.values()),
    )
    retention.delete_expired_traces(later)
    assert kept(project) == []


def test_what_comes_after_its_trace_has_gone_is_a_trace_of_its_own(project: Project, now: datetime) -> None:
    make_trace(project, 1, now=now - 40 * DAY)
    retention.delete_expired_traces(now)
    pipeline.store(project.pk, [sent_span(99, 1, trace=1, start=now)], now)
    assert Trace.objects.get().span_count == 1
    assert AgentHour.objects.get(hour__gte=now - DAY).trace_count == 1


@pytest.mark.django_db(transaction=True)
def test_it_passes_over_what_ingest_holds(project: Project, now: datetime) -> None:
    for trace in (1, 2):
        make_trace(project, trace, now=now - 40 * DAY)
    writer = connection.copy()
    try:
        writer.set_autocommit(False)
        with writer.cursor() as cursor:
            cursor.execute("SELECT FROM traces_trace WHERE trace_id = %s FOR NO KEY UPDATE", [UUID(int=1)])
        assert retention.delete_expired_traces(now) == 1
        assert kept(project) == [1]
    finally:
        writer.close()
    assert retention.delete_expired_traces(now) == 1


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_it_is_exact_while_old_sessions_resume(project: Project, now: datetime) -> None:
    """Sessions that are about to be deleted get spans at the same time: none is lost, no writer fails."""
    for number in range(1, 41):
        make_session(project, f"s{number}", turns=1, first=number, now=now - 40 * DAY)

    def resume(number: int) -> None:
        try:
            make_session(project, f"s{number}", turns=1, first=100 + number, now=now)
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as pool:
        resumed = pool.map(resume, range(1, 41))
        while retention.delete_expired_traces(now, batches=1):
            pass
        list(resumed)
    retention.delete_expired_traces(now)
    assert kept(project) == list(range(101, 141))
    sessions = Session.objects.filter(project=project).values_list("key", "trace_count", "span_count")
    spans = Trace.objects.values_list("span_count", flat=True)[0]
    assert sorted(sessions) == sorted((f"s{number}", 1, spans) for number in range(1, 41))


def test_it_keeps_hours_longer(project: Project, now: datetime, settings: Settings) -> None:
    make_trace(project, 1, now=now - 402 * DAY)
    make_trace(project, 2, now=now - 399 * DAY)
    retention.delete_expired_hours(now)
    for model in (AgentHour, AgentHourLatency, AgentHourCalls):
        assert {row.hour.date() for row in model._default_manager.all()} == {(now - 399 * DAY).date()}
    settings.KEEP_ROLLUPS_DAYS = 100
    retention.delete_expired_hours(now, batches=1)
    assert not AgentHour.objects.exists()


def test_hours_of_a_clock_far_ahead_go_after_their_traces(
    project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, year in enumerate((2500, 2501), start=1):
        pipeline.store(project.pk, turn(number, start=now.replace(year=year), session=f"s{year}"), now)
    pipeline.store(project.pk, turn(3, start=now + 100 * DAY), now + 90 * DAY)
    retention.delete_expired_hours(now)
    assert AgentHour.objects.count() == 3
    later = now + 31 * DAY
    retention.delete_expired_traces(later)
    retention.delete_expired_traces(later)
    assert kept(project) == [3]
    assert not Session.objects.exists()
    monkeypatch.setattr(retention, "MAX_HOURS", 1)
    assert retention.delete_expired_hours(later) > 0
    for model in (AgentHour, AgentHourLatency, AgentHourCalls):
        assert {row.hour.year for row in model._default_manager.all()} == {2027}
