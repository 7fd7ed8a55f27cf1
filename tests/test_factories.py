"""Rows that factories write directly equal those that ingest writes."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import models

from catalyst.agents.models import Agent
from catalyst.core.models import Project
from tests.factories import make_trace, make_trace_row, make_trace_rows, make_traces
from traces.models import AgentHour, AgentHourCalls, AgentHourLatency, Session, Trace

TABLES: tuple[type[models.Model], ...] = (Agent, Session, Trace, AgentHour, AgentHourLatency, AgentHourCalls)
NAMES = {"agent": "agent__identity", "session": "session__key"}


def rows_of(project: Project, table: type[models.Model]) -> list[dict[str, Any]]:
    """The rows of a project without keys, with names of agents and sessions, in a fixed order."""
    fields = [field.name for field in table._meta.concrete_fields if field.name not in {"id", "project"}]
    rows = table._base_manager.filter(project=project).values(*(NAMES.get(name, name) for name in fields))
    return sorted(rows, key=repr)


@pytest.mark.parametrize("about", [{}, {"agent": ""}, {"session": "chat"}])
def test_rows_of_traces_equal_those_of_ingest(
    project: Project, other_project: Project, now: datetime, about: dict[str, Any]
) -> None:
    ingested, direct = project, other_project
    for time in (now - timedelta(hours=1), now):
        first = 1 + 10 * (time == now)
        make_trace(ingested, first, now=time, **about)
        make_trace_row(direct, first, now=time, **about)
        make_traces(ingested, range(first + 1, first + 4), now=time, **about)
        make_trace_rows(direct, range(first + 1, first + 4), now=time, **about)
    assert Trace.objects.filter(project=direct).count() == 8
    for table in TABLES:
        assert rows_of(direct, table) == rows_of(ingested, table)
