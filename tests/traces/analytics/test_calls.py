"""The tables of models and tools on the page of an agent."""

from datetime import UTC, datetime, timedelta

import pytest

from catalyst import timerange
from catalyst.core.models import Project
from tests.factories import make_trace, turn
from tests.traces.sent import sent_span
from traces.analytics.calls import MAX_READ_SPANS, tables
from traces.ingest import pipeline

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def shown_message(project: Project, agent: int) -> str:
    (cause,) = tables(project, agent, timerange.named("1d", NOW)).causes
    assert (cause.name, cause.kind) == ("lookup", "TOOL")
    return cause.message


def test_messages_come_from_few_spans(project: Project) -> None:
    for number in (1, 2):
        older = make_trace(project, number, now=NOW - timedelta(hours=number), error="No such order.")
    assert older.agent_id
    assert shown_message(project, older.agent_id) == "No such order."
    start = NOW - timedelta(minutes=1)
    spans = turn(3, start=start, error="Timed out.")
    spans += [sent_span(100 + number, trace=3, start=start) for number in range(MAX_READ_SPANS)]
    pipeline.store(project.pk, spans, NOW)
    assert shown_message(project, older.agent_id) == "Timed out."
