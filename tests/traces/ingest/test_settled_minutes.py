"""Each trace is counted once, in the minute in which it settled, with its agent's other traces."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from catalyst.core.models import Project
from catalyst.timerange import DAY, HOUR, MINUTE
from signals.targets import settling
from tests.factories import make_agent, make_trace, make_traces, settle_all, turn
from tests.traces.sent import sent_span
from traces import retention
from traces.ingest import moves, pipeline
from traces.models import AgentMinute, Trace
from traces.summary import latency_bucket

pytestmark = pytest.mark.django_db
SETTLED = timedelta(seconds=10)


def rows(project: Project) -> list[tuple[Any, ...]]:
    """Minute of the hour, traces, failed traces and tokens."""
    found = AgentMinute.objects.filter(project=project).order_by("agent", "minute")
    return [(row.minute.minute, row.trace_count, row.error_trace_count, row.tokens) for row in found]


def test_it_counts_what_settles_in_a_minute(project: Project, now: datetime) -> None:
    make_traces(project, range(1, 4), now=now)
    settling.settle(now)
    assert rows(project) == []
    settling.settle(now + SETTLED)
    trace = Trace.objects.first()
    assert trace is not None
    row = AgentMinute.objects.get()
    assert (row.agent, row.minute, row.trace_count, row.error_trace_count) == (make_agent(project), now, 3, 0)
    assert (row.tokens, row.cost, row.unpriced_count) == (3 * 110, 3 * trace.cost, 0)
    assert row.cost > Decimal(0)
    assert row.latencies == {str(latency_bucket(trace.duration_us)): 3}


def test_it_adds_to_a_minute_that_has_traces(project: Project, now: datetime) -> None:
    for number, seconds in enumerate((1, 20, 1), start=1):
        start = now - timedelta(seconds=seconds)
        root = sent_span(number, trace=number, start=start, seconds=seconds, agent__name="support-bot")
        root.status = "error" if number == 2 else "ok"
        pipeline.store(project.pk, [root], now)
        settling.settle(now + SETTLED + timedelta(seconds=number))
    row = AgentMinute.objects.get()
    assert (row.trace_count, row.error_trace_count) == (3, 1)
    assert row.latencies == {str(latency_bucket(1_000_000)): 2, str(latency_bucket(20_000_000)): 1}


def test_a_trace_that_settles_again_is_not_counted_again(project: Project, now: datetime) -> None:
    make_trace(project, now=now)
    settling.settle(now + SETTLED)
    late = sent_span(99, 17, start=now, status="error")
    pipeline.store(project.pk, [late], now + MINUTE)
    settling.settle(now + MINUTE + SETTLED)
    assert rows(project) == [(0, 1, 0, 110)]


def test_a_trace_that_grows_before_it_settles_is_counted_once_and_whole(project: Project, now: datetime) -> None:
    root, call = turn(1, start=now)
    pipeline.store(project.pk, [root], now)
    pipeline.store(project.pk, [call], now + timedelta(seconds=5))
    settling.settle(now + SETTLED)
    settle_all(now)
    assert [row[1:] for row in rows(project)] == [(1, 0, 110)]


def test_a_batch_that_was_received_earlier_and_comes_later_counts_nothing(project: Project, now: datetime) -> None:
    root, call = turn(1, start=now - 2 * HOUR)
    pipeline.store(project.pk, [root], now)
    settling.settle(now)
    pipeline.store(project.pk, [call], now - timedelta(seconds=1))
    settling.settle(now)
    assert [row[1] for row in rows(project)] == [1]


def test_projects_and_agents_are_counted_apart(project: Project, other_project: Project, now: datetime) -> None:
    make_traces(project, range(1, 3), now=now)
    make_trace(project, 3, now=now, agent="other-bot")
    make_trace(project, 4, now=now, agent="")
    make_trace(other_project, now=now)
    settle_all(now)
    assert [row[1] for row in rows(project)] == [2, 1]
    assert [row[1] for row in rows(other_project)] == [1]


def test_a_merged_agent_gives_its_minutes(project: Project, now: datetime) -> None:
    make_traces(project, range(1, 3), now=now)
    make_trace(project, 3, now=now, agent="other-bot")
    settle_all(now)
    make_trace(project, 4, now=now + HOUR, agent="other-bot")
    settle_all(now + HOUR)
    into = make_agent(project)
    moves.merge([make_agent(project, "other-bot")], into, now)
    assert list(AgentMinute.objects.order_by("minute").values_list("agent", "trace_count")) == [
        (into.pk, 3),
        (into.pk, 1),
    ]
    assert sum(AgentMinute.objects.earliest("minute").latencies.values()) == 3


def test_minutes_are_kept_for_three_days(project: Project, now: datetime) -> None:
    for day in range(5):
        make_trace(project, day + 1, now=now - day * DAY)
        settle_all(now - day * DAY)
    assert retention.delete_expired_minutes(now) == 1
    assert AgentMinute.objects.count() == 4
