"""The numbers above the list of traces."""

from datetime import UTC, datetime

from catalyst import timerange
from traces.analytics.overview import overview
from traces.models.trace import TraceFilter
from traces.models.volumes import Volume, Volumes


def test_agents_that_ran_as_often_keep_their_order() -> None:
    ran = {3: Volume(traces=1), 0: Volume(traces=1), 9: Volume(traces=2, errors=1), 2: Volume(traces=1), 5: Volume()}
    time_range = timerange.named("1d", datetime(2026, 11, 20, 12, tzinfo=UTC))
    for agents in (ran, dict(reversed(ran.items()))):
        shown = overview(Volumes(agents, {}), time_range, TraceFilter(project_id=1), {})
        assert shown.agents == [(9, 2), (0, 1), (2, 1), (3, 1)]
