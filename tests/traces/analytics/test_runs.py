"""Runs of an agent against those of the period before."""

from datetime import UTC, datetime, timedelta

import pytest

from catalyst import timerange
from catalyst.core.models import Project
from tests.factories import make_trace_row
from traces import usage
from traces.analytics import runs

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 20, 12, 41, 30, tzinfo=UTC)


@pytest.mark.parametrize("key", ["1h", "6h", "1d", "3d", "7d"])
def test_the_period_before_is_as_long_as_what_has_passed(project: Project, key: str) -> None:
    time_range = timerange.named(key, NOW)
    until = datetime(2026, 11, 20, 12, 41, tzinfo=UTC)
    since = time_range.start - (until - time_range.start)
    # Rows start two seconds before the time given. The first one is older than both periods.
    minute, start_of_row = timedelta(minutes=1), timedelta(seconds=2)
    starts = [since - minute, since, time_range.start - minute, time_range.start, NOW - minute]
    for number, start in enumerate(starts, start=1):
        make_trace_row(project, number, now=start + start_of_row)
    agent = runs.with_run_times(project).get()
    found = runs.against_before(project, agent, time_range, NOW)
    assert (found.since, found.until) == (since, until)
    assert usage.total(found.bars.values()).usage.trace_count == 2
    before = usage.total(found.earlier)
    assert (before.usage.trace_count, sum(before.latencies.values())) == (2, 2)
