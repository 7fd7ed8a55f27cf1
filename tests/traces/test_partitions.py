"""Day partitions are made ahead, by us alone."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from catalyst.core.models import Project
from tests.traces.sent import sent_span
from traces import ingest
from traces.models import Payload, Span
from traces.store import partitions

pytestmark = pytest.mark.django_db
FAR = datetime(2031, 5, 1, 12, tzinfo=UTC)


def table_of(model: type[Span] | type[Payload], project: Project) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT tableoid::regclass::text FROM {model._meta.db_table} WHERE project_id = %s", [project.pk]
        )
        return str(cursor.fetchone()[0])


def test_it_makes_the_window_and_three_days_ahead_once() -> None:
    made = partitions.ensure(FAR)
    assert "traces_span_20310504" in made
    assert "traces_payload_20310401" in made
    assert partitions.ensure(FAR) == []


def test_it_lets_no_sender_make_one(project: Project, now: datetime) -> None:
    ingest.store(project.pk, [sent_span(1, start=FAR)], now)
    assert table_of(Span, project) == "traces_span_default"
    assert Span.objects.get(project_id=project.pk).skewed


def test_it_moves_waiting_spans_into_the_day_that_is_made(project: Project, now: datetime) -> None:
    ingest.store(project.pk, [sent_span(1, start=FAR + timedelta(hours=11, minutes=59))], now)
    partitions.ensure(FAR)
    assert table_of(Span, project) == "traces_span_20310501"
    assert table_of(Payload, project) == "traces_payload_20310501"
    assert Span.objects.get(project_id=project.pk).start_time == FAR + timedelta(hours=11, minutes=59)
