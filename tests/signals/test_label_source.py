"""Labels beside traces, and what a signal's page counts."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from catalyst.core.models import Project
from catalyst.pagination import Cursor
from catalyst.timerange import between
from signals import operations
from signals.definitions.definition import Definition
from signals.models import Label, Signal
from signals.models.label_rollup import Coverage
from signals.results.rollups import sums
from tests.factories import make_agent, make_labels, make_session, make_signal, make_trace, settle_all
from traces import label_sources
from traces.label_sources import TracePills


def give(signal: Signal, value: str, *, now: datetime, **which: Any) -> None:
    Label.objects.filter(signal=signal, **which).update(
        status="done", value=value, reason=f"Because {value}.", judge="judge-1", labelled_at=now
    )


@pytest.fixture
def signal(project: Project, now: datetime) -> Signal:
    return make_signal(make_agent(project), active_since=now)


def test_it_shows_the_label_of_a_trace_with_its_reason(signal: Signal, project: Project, now: datetime) -> None:
    make_labels(signal, project, 2, now=now)
    give(signal, "yes", now=now, trace_id=UUID(int=1))
    (pill,) = label_sources.pills_for_trace(project, UUID(int=1)).own
    assert (pill.name, pill.value, pill.sentiment, pill.reason) == ("Refund wanted", "yes", "negative", "Because yes.")
    assert (pill.judged_by, pill.labelled_at, pill.status, pill.note) == ("judge-1", now, "done", "")
    label = Label.objects.get(trace_id=UUID(int=1))
    assert pill.href == reverse("signals:label-detail", args=[project.slug, signal.pk, label.pk])
    (waiting,) = label_sources.pills_for_trace(project, UUID(int=2)).own
    assert (waiting.value, waiting.sentiment, waiting.note) == ("", "neutral", "Pending")


def test_it_says_why_there_is_no_label_and_when_it_is_of_an_older_state(
    signal: Signal, project: Project, now: datetime
) -> None:
    make_labels(signal, project, 1, now=now)
    Label.objects.update(status="failed", error="The judge is broken.")
    assert label_sources.pills_for_trace(project, UUID(int=1)).own[0].note == "The judge is broken."
    give(signal, "no", now=now)
    Label.objects.update(status="queued", error="")
    (pill,) = label_sources.pills_for_trace(project, UUID(int=1)).own
    assert (pill.value, pill.note) == ("no", "Judged before it grew. Pending")


def test_it_lists_traces_with_their_labels_and_those_of_their_spans(project: Project, now: datetime) -> None:
    agent = make_agent(project)
    whole = make_signal(agent, name="Whole", active_since=now)
    steps = make_signal(agent, name="Steps", scope="span", active_since=now)
    make_labels(whole, project, 3, now=now)
    give(whole, "no", now=now, trace_id=UUID(int=1))
    give(steps, "yes", now=now)
    found = label_sources.pills_for_traces(project, [UUID(int=n) for n in (1, 2, 9)])
    assert {trace_id.int: [(p.name, p.value, p.count) for p in pills] for trace_id, pills in found.items()} == {
        1: [("Whole", "no", 1), ("Steps", "yes", 1)],
        2: [("Steps", "yes", 1)],
    }
    assert label_sources.pills_for_trace(project, UUID(int=1)).by_span[18][0].reason == "Because yes."


def test_it_reads_a_part_of_many_labels(project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = make_agent(project)
    signals = [make_signal(agent, name=f"Whole {number}", active_since=now) for number in range(3)]
    signals += [make_signal(agent, name=f"Step {number}", scope="span", active_since=now) for number in range(3)]
    make_labels(signals[0], project, 1, now=now)
    monkeypatch.setattr(label_sources, "MAX_LABELS", 2)
    names, start = [], 0
    while True:
        with CaptureQueriesContext(connection) as captured:
            part = label_sources.pills_for_trace(project, UUID(int=1), start)
        assert len(captured) == 1
        names += [pill.name for pills in (part.own, *part.by_span.values()) for pill in pills]
        if part.more is None:
            break
        start = part.more
    assert names[:3] == ["Whole 0", "Whole 1", "Whole 2"]
    assert names == sorted(names[:3]) + names[3:]
    assert len(names) == Label.objects.count()
    (span_id, *_) = label_sources.pills_for_trace(project, UUID(int=1), 3).by_span
    first = label_sources.pills_for_span(project, UUID(int=1), span_id)
    rest = label_sources.pills_for_span(project, UUID(int=1), span_id, first.more or 0)
    assert [pill.name for pill in first.by_span[span_id] + rest.by_span[span_id]] == ["Step 0", "Step 1", "Step 2"]
    assert rest.more is None


def test_it_shows_the_labels_of_sessions(project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), scope="session", active_since=now)
    make_session(project, "chat", now=now)
    settle_all(now)
    give(signal, "yes", now=now)
    found = label_sources.pills_for_sessions(project, ["chat", "", "other"])
    assert {key: [pill.value for pill in pills] for key, pills in found.items()} == {"chat": ["yes"]}


def test_it_shows_the_newest_version_that_has_a_label(signal: Signal, project: Project, now: datetime) -> None:
    make_labels(signal, project, 1, now=now)
    give(signal, "yes", now=now)
    operations.publish_version(signal, Definition(type="binary", prompt="Else?", sample_rate=100))
    make_trace(project, 1, now=now + timedelta(minutes=1), said=("More?", "More."))
    settle_all(now + timedelta(minutes=1))
    assert [pill.value for pill in label_sources.pills_for_trace(project, UUID(int=1)).own] == ["yes"]
    give(signal, "no", now=now, version=signal.current_version)
    assert [pill.value for pill in label_sources.pills_for_trace(project, UUID(int=1)).own] == ["no"]
    assert [pill.value for pill in label_sources.pills_for_traces(project, [UUID(int=1)])[UUID(int=1)]] == ["no"]
    give(signal, "yes", now=now)
    (pill,) = label_sources.pills_for_traces(project, [UUID(int=1)])[UUID(int=1)]
    assert (pill.value, pill.count) == ("yes", 1)


def test_it_shows_nothing_of_archived_signals_and_of_other_projects(
    signal: Signal, project: Project, other_project: Project, now: datetime
) -> None:
    make_labels(signal, project, 1, now=now)
    give(signal, "yes", now=now)
    assert label_sources.pills_for_traces(other_project, [UUID(int=1)]) == {}
    assert label_sources.pills_for_trace(other_project, UUID(int=1)) == TracePills([], {})
    operations.archive(signal, now)
    assert label_sources.pills_for_traces(project, [UUID(int=1)]) == {}
    assert label_sources.pills_for_trace(project, UUID(int=1)) == TracePills([], {})


def test_it_asks_the_database_as_often_for_20_traces_as_for_10(signal: Signal, project: Project, now: datetime) -> None:
    make_labels(signal, project, 20, now=now)
    give(signal, "yes", now=now)

    def queries(count: int) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert len(label_sources.pills_for_traces(project, [UUID(int=n) for n in range(1, count + 1)])) == count
        return len(captured)

    assert queries(10) == queries(20) == 1


def test_it_counts_values_over_time(signal: Signal, project: Project, now: datetime) -> None:
    hour = timedelta(hours=1)
    for number in range(1, 7):
        make_trace(project, number, now=now + number * hour / 2)
    settle_all(now + 4 * hour)
    give(signal, "no", now=now)
    give(signal, "yes", now=now, trace_id__in=[UUID(int=n) for n in (1, 2, 3)])
    Label.objects.filter(trace_id=UUID(int=6)).update(status="failed", value="")
    time_range = between(now, now + 12 * hour)
    counts = sums(signal=signal).over_time(time_range)[signal.pk]
    said = Counter[str]()
    for (_, value), count in counts.items():
        said[value] += count
    assert said == {"no": 2, "yes": 3}
    assert {start for start, _ in counts} <= set(time_range.buckets())
    assert signal.hours.coverage() == Coverage(done=5, failed=1)


def test_it_pages_labels_from_the_newest_target_on(signal: Signal, project: Project, now: datetime) -> None:
    make_labels(signal, project, 9, now=now)
    seen: list[int] = []
    after: Cursor | None = None
    while page := list(Label.objects.filter(signal=signal).newest(after)[:4]):
        seen += [label.pk for label in page]
        after = Cursor(page[-1].target_time, page[-1].pk)
    expected = Label.objects.order_by("-target_time", "-id").values_list("pk", flat=True)
    assert seen == list(expected)


def test_it_tells_which_traces_of_a_range_have_a_bad_label(
    signal: Signal, project: Project, other_project: Project, now: datetime
) -> None:
    make_labels(signal, project, 4, now=now)
    give(signal, "no", now=now)
    give(signal, "yes", now=now, trace_id=UUID(int=2))
    range_of_day = between(now - timedelta(days=1), now + timedelta(days=1))
    (bad,) = label_sources.bad_labels(project, signal.agent_id, range_of_day)
    assert (bad.key, bad.signal, bad.value, bad.of_sessions) == (f"{signal.pk}:yes", "Refund wanted", "yes", False)
    assert bad.traces == {UUID(int=2)}
    assert bad.others == {UUID(int=1), UUID(int=3), UUID(int=4)}
    earlier = between(now - timedelta(days=2), now - timedelta(days=1))
    assert label_sources.bad_labels(project, signal.agent_id, earlier) == []
    assert label_sources.bad_labels(other_project, signal.agent_id, range_of_day) == []
    operations.archive(signal, now)
    assert label_sources.bad_labels(project, signal.agent_id, range_of_day) == []
