"""Which targets get a label to be judged, and when."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalyst.core.models import Project
from signals import operations
from signals.definitions.definition import Definition
from signals.models import Label, Signal
from signals.sampling import is_sampled, span_key, trace_key
from signals.targets.settling import Settled, settle
from tests.factories import AGENT, make_agent, make_session, make_signal, make_trace, make_traces, settle_all, turn
from tests.traces.sent import sent_span
from traces.filters import Filter
from traces.ingest import pipeline
from traces.models import Trace, Unsettled
from traces.otlp import DecodedSpan

MINUTE = timedelta(minutes=1)


def keys(signal: Signal) -> set[str]:
    return set(Label.objects.filter(signal=signal).values_list("target_key", flat=True))


def test_it_queues_a_label_with_all_it_needs_when_a_trace_is_quiet(project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), active_since=now)
    trace = make_trace(project, now=now)
    assert settle(now + timedelta(seconds=9)).labels == 0
    assert settle(now + timedelta(seconds=10)) == Settled(targets=1, labels=1)
    label = Label.objects.get()
    assert (label.version, label.signal, label.project) == (signal.current_version, signal, project)
    assert (label.target_key, label.trace_id, label.span_id) == (trace.trace_id.hex, trace.trace_id, None)
    assert (label.status, label.value, label.attempts) == ("queued", "", 0)
    assert (label.wanted_revision, label.judged_revision) == (trace.revision, 0)
    assert (label.target_time, label.not_before) == (trace.start_time, now + timedelta(seconds=10))


def test_it_queues_a_session_when_it_is_quiet(project: Project, now: datetime) -> None:
    make_signal(make_agent(project), scope="session", active_since=now)
    session = make_session(project, "chat 1", now=now)
    assert settle(now + 29 * MINUTE).labels == 0
    assert settle(now + 30 * MINUTE).labels == 1
    label = Label.objects.get()
    assert (label.target_key, label.session_key, label.trace_id) == ("chat 1", "chat 1", None)
    assert (label.target_time, label.wanted_revision) == (session.start_time, session.revision)


def test_it_queues_model_calls_as_soon_as_their_agent_is_known(project: Project, now: datetime) -> None:
    make_signal(make_agent(project), scope="span", active_since=now)
    trace = make_trace(project, now=now, error="No such order")
    assert settle(now).labels == 1
    label = Label.objects.get()
    assert label.target_key == span_key(trace.trace_id, 18)
    assert (label.trace_id, label.span_id, label.wanted_revision) == (trace.trace_id, 18, 1)


def test_it_queues_each_new_model_call_of_a_growing_trace_once(project: Project, now: datetime) -> None:
    make_signal(make_agent(project), scope="span", active_since=now)
    make_trace(project, now=now)
    settle(now)
    later = now + MINUTE
    more = sent_span(99, 17, start=now, openinference__span__kind="LLM", output__value="More.")
    pipeline.store(project.pk, [*turn(1, start=now - timedelta(seconds=2)), more], later)
    assert settle(later).labels == 1
    assert set(Label.objects.values_list("span_id", flat=True)) == {18, 99}


@pytest.mark.parametrize("root_first", [True, False])
def test_it_labels_the_same_spans_in_whatever_order_they_arrive(
    project: Project, now: datetime, root_first: bool
) -> None:
    signal = make_signal(make_agent(project), scope="span", active_since=now)
    root, call = turn(1, start=now)
    for number, one in enumerate((root, call) if root_first else (call, root)):
        pipeline.store(project.pk, [one], now + timedelta(seconds=number))
        settle(now + timedelta(seconds=number))
    settle_all(now)
    assert keys(signal) == {span_key(UUID(int=1), 18)}


def test_it_labels_the_root_of_a_trace_that_settled_without_a_model_call(project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), scope="span", active_since=now)
    root, _ = turn(1, start=now)
    pipeline.store(project.pk, [root], now)
    settle(now + timedelta(seconds=9))
    assert keys(signal) == set()
    assert settle(now + timedelta(seconds=10)).labels == 1
    assert keys(signal) == {span_key(UUID(int=1), 17)}


def test_it_waits_until_it_knows_whose_span_it_is(project: Project, now: datetime) -> None:
    writer, critic = (make_signal(make_agent(project, name), scope="span", active_since=now) for name in ("w", "c"))
    kinds: dict[str, dict[str, Any]] = {
        kind: {"openinference__span__kind": kind, "output__value": "Hm."} for kind in ("LLM", "AGENT", "CHAIN")
    }
    arriving = [
        sent_span(3, 2, start=now, **kinds["LLM"]),
        sent_span(5, 4, start=now, **kinds["LLM"]),
        sent_span(2, 1, start=now, agent__name="w", **kinds["AGENT"]),
        sent_span(4, 1, start=now, agent__name="c", **kinds["AGENT"]),
        sent_span(1, start=now, **kinds["CHAIN"]),
    ]
    for number, one in enumerate(arriving):
        pipeline.store(project.pk, [one], now + timedelta(seconds=number))
        settle(now + timedelta(seconds=number))
    settle_all(now)
    assert keys(writer) == {span_key(UUID(int=1), 3)}
    assert keys(critic) == {span_key(UUID(int=1), 5)}


def test_it_asks_the_signals_of_the_spans_own_agent(project: Project, now: datetime) -> None:
    outer = make_signal(make_agent(project), scope="span", active_since=now)
    inner = make_signal(make_agent(project, "helper"), scope="span", active_since=now)
    spans = turn(1, start=now)
    helper = sent_span(90, 17, start=now, openinference__span__kind="AGENT", agent__name="helper")
    call = sent_span(91, 90, start=now, openinference__span__kind="LLM", output__value="Hm.")
    pipeline.store(project.pk, [*spans, helper, call], now)
    settle(now)
    assert keys(outer) == {span_key(UUID(int=1), 18)}
    assert keys(inner) == {span_key(UUID(int=1), 91)}


@pytest.mark.parametrize("scope", ["span", "trace", "session"])
@pytest.mark.parametrize(
    "wanted",
    [
        {"environment": "prod"},
        {"service": "desk"},
        {"model": "gpt-4o"},
        {"status": "error"},
        {"min_duration_ms": 5000},
        {"max_tokens": 50},
        {"attributes": {"tenant": "acme"}},
    ],
)
def test_it_looks_only_at_traffic_that_passes_the_filter(
    project: Project, now: datetime, scope: str, wanted: dict[str, Any]
) -> None:
    signal = make_signal(make_agent(project), scope=scope, traffic_filter=Filter.parse(wanted), active_since=now)
    everything = make_signal(make_agent(project), scope=scope, active_since=now)
    make_trace(project, 1, now=now, session="a")
    fitting = sent_span(
        34, trace=2, start=now, seconds=6, status="error", agent__name=AGENT, session__id="b", tenant="acme",
        llm__model_name="gpt-4o", llm__token_count__prompt=50, openinference__span__kind="LLM",
        resource={"service.name": "desk", "deployment.environment.name": "prod"},
    )  # fmt: skip
    pipeline.store(project.pk, [fitting], now)
    settle_all(now)
    assert keys(signal) == {{"span": span_key(UUID(int=2), 34), "trace": trace_key(UUID(int=2)), "session": "b"}[scope]}
    assert len(keys(everything)) == 2


def model_call(span: int, now: datetime) -> DecodedSpan:
    """A further model call of trace 1."""
    return sent_span(span, 17, start=now, openinference__span__kind="LLM", output__value=f"Call {span}.")


def test_a_new_version_asks_of_a_trace_that_grows_only_its_new_spans(project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), scope="span", active_since=now)
    make_trace(project, now=now)
    settle_all(now)
    Label.objects.update(status="done", value="yes", labelled_at=now, judged_revision=1)
    version = operations.publish_version(signal, Definition("binary", "Else?", 100))
    for number, later in enumerate((MINUTE, 2 * MINUTE)):
        pipeline.store(project.pk, [model_call(98 + number, now)], now + later)
        settle_all(now + later)
    assert set(Label.objects.filter(version=version).values_list("span_id", flat=True)) == {98, 99}


def test_every_span_that_waits_is_looked_at_when_more_arrive_before_it_settles(project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), scope="span", active_since=now)
    pipeline.store(project.pk, [model_call(98, now), turn(1, start=now)[0]], now)
    pipeline.store(project.pk, [model_call(99, now)], now + MINUTE)
    settle_all(now + MINUTE)
    assert keys(signal) == {span_key(UUID(int=1), span) for span in (98, 99)}


def test_it_looks_at_a_target_that_comes_to_pass_the_filter(project: Project, now: datetime) -> None:
    passing = Filter.parse({"attributes": {"escalated": True}})
    signal = make_signal(make_agent(project), traffic_filter=passing, active_since=now)
    make_trace(project, now=now)
    settle_all(now)
    assert keys(signal) == set()
    pipeline.store(project.pk, [sent_span(8, 17, start=now, escalated=True)], now + MINUTE)
    settle_all(now + MINUTE)
    assert keys(signal) == {trace_key(UUID(int=1))}


@pytest.mark.parametrize("state", ["draft", "disabled", "archived", "another agent's", "another scope's"])
def test_it_asks_no_signal_that_is_not_for_this_target(project: Project, now: datetime, state: str) -> None:
    agent = make_agent(project, "other" if state == "another agent's" else AGENT)
    since = None if state == "draft" else now
    signal = make_signal(agent, scope="session" if state == "another scope's" else "trace", active_since=since)
    if state == "disabled":
        operations.disable(signal, now)
    if state == "archived":
        operations.archive(signal, now)
    make_trace(project, now=now)
    assert settle_all(now) == 0
    assert not Unsettled.objects.exists()


def test_it_keeps_projects_apart(project: Project, other_project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), active_since=now)
    make_signal(make_agent(other_project, "another"), active_since=now)
    make_trace(other_project, 1, now=now)
    make_trace(project, 2, now=now)
    settle_all(now)
    assert list(Label.objects.values_list("signal_id", "project_id")) == [(signal.pk, project.pk)]


@pytest.mark.parametrize("scope", ["span", "trace", "session"])
def test_it_looks_only_at_what_arrived_since_activation(project: Project, now: datetime, scope: str) -> None:
    signal = make_signal(make_agent(project), scope=scope, active_since=now)
    before, after = now - timedelta(seconds=1), now + timedelta(seconds=1)
    make_trace(project, 1, now=before, session="a")
    make_trace(project, 2, now=now, session="b")
    settle_all(now)
    only_second = {"span": span_key(UUID(int=2), 34), "trace": trace_key(UUID(int=2)), "session": "b"}[scope]
    assert keys(signal) == {only_second}

    late = sent_span(3, 17, start=now, openinference__span__kind="LLM", output__value="Late.")
    pipeline.store(project.pk, [late], after)
    settle_all(after)
    grown = {"span": span_key(UUID(int=1), 3), "trace": trace_key(UUID(int=1)), "session": "a"}[scope]
    assert keys(signal) == {only_second, grown}


def test_it_forgets_an_earlier_activation(project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), active_since=now - MINUTE)
    make_trace(project, now=now)
    operations.disable(signal, now)
    operations.activate(signal, now + timedelta(seconds=1))
    assert settle_all(now) == 0


def test_it_samples_nested_and_coinciding(project: Project, now: datetime) -> None:
    agent = make_agent(project)
    rates = (0, 25, 25, 50, 100)
    none, quarter, same_quarter, half, whole = [make_signal(agent, sample_rate=r, active_since=now) for r in rates]
    make_traces(project, range(1, 41), now=now)
    settle_all(now)
    assert keys(none) == set()
    assert keys(quarter) == keys(same_quarter) < keys(half) < keys(whole)
    assert len(keys(whole)) == 40
    assert keys(half) == {key for key in keys(whole) if is_sampled(key, 50)}


def grow(project: Project, now: datetime) -> None:
    pipeline.store(project.pk, [sent_span(8, 17, start=now, name="more", output__value=now.isoformat())], now)


@pytest.mark.parametrize(
    ("status", "judged", "expected"),
    [
        ("queued", 0, ("queued", 3)),
        ("running", 0, ("running", 3)),
        ("done", 1, ("queued", 0)),
        ("failed", 1, ("queued", 0)),
        ("skipped", 1, ("queued", 0)),
        ("done", 99, ("done", 3)),
    ],
)
def test_it_judges_again_what_grew(
    project: Project, now: datetime, status: str, judged: int, expected: tuple[str, int]
) -> None:
    make_signal(make_agent(project), active_since=now)
    make_trace(project, now=now)
    settle_all(now)
    Label.objects.update(
        status=status, value="yes", reason="Before.", labelled_at=now, judged_revision=judged, attempts=3
    )
    grow(project, now + MINUTE)
    settle_all(now + MINUTE)
    label = Label.objects.get()
    assert (label.status, label.attempts) == expected
    assert (label.value, label.reason) == ("yes", "Before.")
    assert label.wanted_revision == (1 if judged == 99 else Trace.objects.get().revision)


def test_a_label_follows_the_start_of_its_target(project: Project, now: datetime) -> None:
    make_signal(make_agent(project), active_since=now)
    make_trace(project, now=now)
    settle_all(now)
    earlier = now - timedelta(minutes=10)
    pipeline.store(project.pk, [sent_span(8, 17, start=earlier, output__value="Before.")], now + MINUTE)
    settle_all(now + MINUTE)
    assert Label.objects.get().target_time == Trace.objects.get().start_time == earlier


def test_it_does_not_judge_again_what_only_came_twice(project: Project, now: datetime) -> None:
    make_signal(make_agent(project), active_since=now)
    make_trace(project, now=now)
    settle_all(now)
    Label.objects.update(status="done", value="yes", labelled_at=now, judged_revision=1)
    pipeline.store(project.pk, turn(1, start=now - timedelta(seconds=2)), now + MINUTE)
    assert settle_all(now + MINUTE) == 0
    assert Label.objects.get().status == "done"


def test_it_takes_the_longest_due_first_and_no_more_than_asked(project: Project, now: datetime) -> None:
    make_signal(make_agent(project), active_since=now)
    for number in range(1, 5):
        make_trace(project, number, now=now + number * MINUTE)
    Unsettled.objects.filter(scope="span").delete()
    assert settle(now + timedelta(hours=1), limit=3) == Settled(3, 3)
    assert not Label.objects.filter(trace_id=UUID(int=4)).exists()
    assert settle(now + timedelta(hours=1), limit=3) == Settled(1, 1)
    assert settle(now + timedelta(hours=1), limit=3) == Settled(0, 0)


@pytest.mark.parametrize("scope", ["span", "trace", "session"])
def test_it_asks_the_database_as_often_for_many_targets_as_for_few(project: Project, now: datetime, scope: str) -> None:
    make_signal(make_agent(project), scope=scope, active_since=now)
    wanted = Filter.parse({"service": "shop", "attributes": {"agent.name": AGENT}})
    make_signal(make_agent(project), scope=scope, traffic_filter=wanted, active_since=now)

    def queries(first: int, count: int) -> int:
        start, numbers = now - timedelta(seconds=2), range(first, first + count)
        turns = [turn(number, start=start, session=f"session {number}") for number in numbers]
        pipeline.store(project.pk, [span for spans in turns for span in spans], now)
        with CaptureQueriesContext(connection) as captured:
            assert settle(now + timedelta(hours=1)).labels == count * (1 if scope == "span" else 2)
        return len(captured)

    assert queries(1, 10) == queries(11, 20)


@pytest.mark.django_db(transaction=True)
def test_two_settlers_at_once_queue_each_target_once(project: Project, now: datetime) -> None:
    make_signal(make_agent(project), active_since=now)
    make_traces(project, range(1, 31), now=now)
    counts = together(3, lambda: settle(now + timedelta(hours=1), limit=7))
    assert sum(settled.labels for settled in counts) == Label.objects.count() == 30
    assert not Unsettled.objects.exists()


def together(workers: int, work: Callable[[], Settled]) -> list[Settled]:
    """Run the work on threads of their own, again and again until it finds nothing."""
    start, done = threading.Barrier(workers), list[Settled]()

    def until_empty() -> None:
        try:
            start.wait(10)
            while (settled := work()).targets:
                done.append(settled)
        finally:
            connection.close()

    threads = [threading.Thread(target=until_empty) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return done
