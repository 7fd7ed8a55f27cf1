"""The estimate of what each project takes on disk."""

from datetime import datetime, timedelta

import pytest
from django.db import connection

from catalyst.core.models import Project
from tests.traces.sent import sent_span
from traces.ingest import pipeline
from traces.store.disk import disk_use

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
TABLES = "'traces_span'::regclass, 'traces_payload'::regclass"


def size_of_all() -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent IN ({TABLES})")
        return int(cursor.fetchone()[0])


def test_it_shares_each_day_out_by_spans(project: Project, other_project: Project, now: datetime) -> None:
    for each, spans, start in ((project, 300, now), (other_project, 100, now), (other_project, 100, now - DAY)):
        sent = [sent_span(n, trace=spans + start.day, start=start, input__value="x" * 500) for n in range(1, spans + 1)]
        pipeline.store(each.pk, sent, now)
    use = {row.project_id: row for row in disk_use(now)}
    assert {pk: row.spans for pk, row in use.items()} == {project.pk: 300, other_project.pk: 200}
    assert abs(sum(row.bytes for row in use.values()) - size_of_all()) <= 2
    assert use[project.pk].bytes > use[other_project.pk].bytes > 0


def test_it_counts_nothing_that_a_project_keeps_no_longer(project: Project, now: datetime) -> None:
    for trace, start in enumerate((now, now - 3 * DAY), start=1):
        pipeline.store(project.pk, [sent_span(1, trace=trace, start=start)], now)
    Project.objects.update(retention_days=2)
    assert [(row.project_id, row.spans) for row in disk_use(now)] == [(project.pk, 1)]


def test_nothing_takes_nothing(now: datetime) -> None:
    assert disk_use(now) == []
