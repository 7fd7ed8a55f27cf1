"""What runs with bad labels have in common."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from catalyst.core.models import Project
from halo.analyst.material import Candidate
from halo.analyst.rules.bad_labels import BadLabels
from signals.models import Signal
from tests import factories
from tests.factories import make_agent, make_label, make_signal
from tests.halo import traffic
from tests.halo.analyst.in_memory import Material, of_spans
from tests.halo.traffic import SUPPORT
from traces.ingest import pipeline

type Find = Callable[[Signal, float], tuple[dict[str, Candidate], set[UUID], Material]]


@pytest.fixture
def find(project: Project, now: datetime) -> Find:
    def find(signal: Signal, rate: float) -> tuple[dict[str, Candidate], set[UUID], Material]:
        """Label two of three runs that call a tool, and one of thirty others, and store their traces."""
        made = traffic.make(now, seed=4, runs=200, plants={"bad_label": rate}, agents=[SUPPORT])
        traffic.write(project, made, now)
        runs = made.runs[SUPPORT.name]
        bad = {each for number, each in enumerate(sorted(made.planted["bad_label"])) if number % 3}
        bad |= set(runs[::40])
        for trace_id in runs:
            value = "unhelpful" if trace_id in bad else "helpful"
            about: dict[str, Any] = {"trace_id": trace_id, "target_key": trace_id.hex, "target_time": made.start}
            make_label(signal, now=now, value=value, is_effective=True, **about)
        material = of_spans(made.spans, made.start, made.end)
        material.window.project_id, material.window.agent_id = project.pk, signal.agent_id
        return material.found(BadLabels()), set(made.planted["bad_label"]) & bad, material

    return find


@pytest.mark.parametrize("rate", [0.03, 0.1])
def test_a_tool_that_bad_labels_have_in_common_is_found(project: Project, find: Find, rate: float) -> None:
    signal = make_signal(make_agent(project, SUPPORT.name), name="Helpful", labels=["helpful", "unhelpful"])
    candidates, bad, _ = find(signal, rate)
    (found,) = candidates.values()
    assert found.signature == f"bad_label:{signal.pk}:unhelpful:tool:legacy_search"
    assert found.traces == bad
    assert f"{len(bad)} of {round(rate * 200)} runs that call legacy_search get “unhelpful” from Helpful" in found.title
    assert found.p_value is not None
    assert found.p_value < 0.01


def test_a_good_label_is_no_finding(project: Project, find: Find) -> None:
    signal = make_signal(make_agent(project, SUPPORT.name), labels=["unhelpful", "helpful"])
    candidates, _, _ = find(signal, 0.1)
    assert all(each.signature.startswith(f"bad_label:{signal.pk}:helpful:") for each in candidates.values())


def test_labels_of_another_project_do_not_count(project: Project, other_project: Project, find: Find) -> None:
    signal = make_signal(make_agent(project, SUPPORT.name), labels=["helpful", "unhelpful"])
    _, _, material = find(signal, 0.1)
    material.window.project_id = other_project.pk
    assert not material.found(BadLabels())


def test_a_word_that_users_of_bad_sessions_say_is_found(project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), name="Outcome", scope="session", labels=["completed", "failed"])
    spans = []
    for number in range(1, 121):
        key, start = f"chat-{number}", now - timedelta(hours=number)
        asked = "Please cancel my booking" if number % 4 == 0 else "Where is my parcel"
        for turn in (1, 2):
            spans += factories.turn(1000 * turn + number, start=start, said=(asked, "Sure."), session=key)
        value = "failed" if number % 4 == 0 and number % 5 else "completed"
        about: dict[str, Any] = {
            "scope": "session",
            "session_key": key,
            "trace_id": None,
            "target_key": key,
            "target_time": start,
        }
        make_label(signal, number, now=now, value=value, is_effective=True, **about)
    pipeline.store(project.pk, spans, now)
    material = of_spans(spans, now - timedelta(days=7), now)
    material.window.project_id, material.window.agent_id = project.pk, signal.agent_id
    (found,) = material.found(BadLabels()).values()
    assert found.signature in {f"bad_label:{signal.pk}:failed:word:{word}" for word in ("booking", "cancel")}
    assert found.title.startswith("24 of 30 sessions whose user says “")
    assert len(found.traces) == 48
    assert found.evidence.startswith("The first messages of 120 sessions were read. The label is also more frequent")
