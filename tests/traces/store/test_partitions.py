"""Day partitions are made ahead and dropped when they expire, by us alone."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from catalyst.core.models import Project
from tests.traces.sent import sent_span
from traces import retention
from traces.ingest import pipeline
from traces.models import Payload, Span
from traces.store import partitions

pytestmark = [pytest.mark.slow, pytest.mark.django_db]
FAR = datetime(2031, 5, 1, 12, tzinfo=UTC)
LONG_AGO = datetime(2019, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def tables_of(model: type[Span] | type[Payload], project: Project) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT tableoid::regclass::text FROM {model._meta.db_table} WHERE project_id = %s", [project.pk]
        )
        return {name for (name,) in cursor.fetchall()}


@pytest.fixture
def committed() -> Iterator[list[str]]:
    """Names of tables to drop in the end, where a test commits."""
    names: list[str] = []
    yield names
    with connection.cursor() as cursor:
        for name in names:
            cursor.execute(f"DROP TABLE IF EXISTS {name}")


def test_it_makes_the_window_and_three_days_ahead_once() -> None:
    made = partitions.ensure(FAR)
    assert "traces_span_20310504" in made
    assert "traces_payload_20310401" in made
    assert partitions.ensure(FAR) == []


def test_it_lets_no_sender_make_one(project: Project, now: datetime) -> None:
    pipeline.store(project.pk, [sent_span(1, start=FAR)], now)
    assert tables_of(Span, project) == {"traces_span_default"}
    assert Span.objects.get(project_id=project.pk).skewed


def test_it_moves_waiting_spans_into_the_day_that_is_made(project: Project, now: datetime) -> None:
    pipeline.store(project.pk, [sent_span(1, start=FAR + timedelta(hours=11, minutes=59))], now)
    partitions.ensure(FAR)
    assert tables_of(Span, project) == {"traces_span_20310501"}
    assert tables_of(Payload, project) == {"traces_payload_20310501"}
    assert Span.objects.get(project_id=project.pk).start_time == FAR + timedelta(hours=11, minutes=59)


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_it_moves_them_while_more_arrive(project: Project, now: datetime, committed: list[str]) -> None:
    committed += ["traces_span_20310601", "traces_payload_20310601"]
    first = datetime(2031, 6, 1, 12, tzinfo=UTC)

    def write(trace: int) -> int:
        try:
            return pipeline.store(
                project.pk, [sent_span(span, trace=trace, start=first) for span in (1, 2)], now
            ).inserted
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        written = pool.map(write, range(1, 61))
        made: list[str] = []
        while len(made) < 2:
            made += partitions.import_days(first.date(), first.date(), now)
        assert sum(written) == 120
    assert tables_of(Span, project) == {"traces_span_20310601"}
    assert tables_of(Payload, project) == {"traces_payload_20310601"}
    assert Span.objects.filter(project_id=project.pk).count() == 120


def test_ingest_makes_today_when_nothing_else_has(project: Project) -> None:
    today = FAR + 400 * DAY
    pipeline.store(project.pk, [sent_span(1, start=today)], today)
    assert tables_of(Span, project) == {f"traces_span_{today:%Y%m%d}"}
    assert not Span.objects.get(project_id=project.pk).skewed
    assert f"traces_span_{today + DAY:%Y%m%d}" not in partitions.ensure(today)


def test_it_drops_whole_days_before_the_retention(project: Project) -> None:
    partitions.ensure(FAR)
    pipeline.store(project.pk, [sent_span(1, start=FAR - 30 * DAY)], FAR)
    assert not [name for name in retention.expire_spans(FAR) if "2031" in name]
    assert [name for name in retention.expire_spans(FAR + DAY) if "2031" in name] == [
        "traces_payload_20310401",
        "traces_span_20310401",
    ]
    assert not Span.objects.filter(project_id=project.pk).exists()
    assert retention.expire_spans(FAR + DAY) == []


def test_it_keeps_days_made_for_an_import_as_long_as_others(project: Project, now: datetime) -> None:
    made = partitions.import_days(LONG_AGO.date(), (LONG_AGO + DAY).date(), now)
    assert len(made) == 4
    pipeline.store(project.pk, [sent_span(1, start=LONG_AGO)], now)
    assert tables_of(Span, project) == {"traces_span_20190301"}
    assert not set(made) & set(retention.expire_spans(now + 30 * DAY))
    assert set(made) <= set(retention.expire_spans(now + 31 * DAY))


def test_an_operator_makes_days_of_the_past(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("make_days", "2019-03-01", "2019-03-03")
    assert "6 tables made" in capsys.readouterr().out
    for first, last in (("2019-03-02", "2019-03-01"), ("2019-03-01", "2990-01-01"), ("1970-01-01", "2019-01-01")):
        with pytest.raises(CommandError):
            call_command("make_days", first, last)


@pytest.mark.django_db(transaction=True)
def test_it_waits_for_no_reader_and_drops_the_next_time(now: datetime, committed: list[str]) -> None:
    made = partitions.import_days(LONG_AGO.date(), LONG_AGO.date(), LONG_AGO)
    committed += made
    reader = connection.copy()
    try:
        reader.set_autocommit(False)
        with reader.cursor() as cursor:
            cursor.execute("SELECT FROM traces_span")
        assert set(made) & set(retention.expire_spans(now)) == {"traces_payload_20190301"}
        reader.rollback()
    finally:
        reader.close()
    assert set(made) & set(retention.expire_spans(now)) == {"traces_span_20190301"}
