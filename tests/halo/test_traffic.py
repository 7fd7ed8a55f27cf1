"""The traffic in which findings are planted."""

from collections import Counter
from datetime import datetime

from catalyst.core.models import Project
from tests.halo import traffic
from traces.models import Span, Trace


def test_traffic_is_stored_with_what_was_planted(project: Project, now: datetime) -> None:
    made = traffic.make(now, runs=60, plants={"slow_tail": 0.1, "unanswered": 0.05, "regression": 0.1})
    traffic.write(project, made, now)
    traces = Trace.objects.filter(project=project)
    assert traces.count() == 3 * 2 * 60
    assert Span.objects.filter(project_id=project.pk).count() == len(made.spans)
    counted = Counter(traces.filter(start_time__gte=made.start).values_list("agent__identity", flat=True))
    assert counted == {agent.name: 60 for agent in traffic.AGENTS}
    assert {kind: len(ids) for kind, ids in made.planted.items()} == {
        "slow_tail": 18,
        "unanswered": 9,
        "regression": 18,
    }
    assert {kind: len(ids) for kind, ids in made.before.items()} == {"slow_tail": 18, "unanswered": 9, "regression": 0}
    slow = traces.filter(trace_id__in=made.planted["slow_tail"])
    assert all(trace.duration_us > 20_000_000 for trace in slow)
    assert not traces.filter(trace_id__in=made.planted["regression"]).exclude(status="error").exists()


def test_a_seed_gives_the_same_traffic_again(now: datetime) -> None:
    made, again, other = (traffic.make(now, seed=seed, runs=8, plants={"loop": 0.3}) for seed in (1, 1, 2))
    assert (made.spans, made.planted) == (again.spans, again.planted)
    assert made.planted != other.planted
