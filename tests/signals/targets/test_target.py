"""Which targets of an agent there are in a stretch of time."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalyst.agents.models import Agent
from catalyst.core.models import Project
from signals.models import Label
from signals.sampling import span_key, trace_key
from signals.targets import spans
from signals.targets.base import Chunk, Targets
from signals.targets.scopes import targets_of
from signals.targets.settling import settle
from signals.targets.target import Target, agents_of, judged_spans
from tests.factories import make_agent, make_session, make_signal, make_trace, settle_all, turn
from tests.traces.sent import sent_span
from traces.filters import Filter
from traces.ingest import pipeline
from traces.models import Trace
from traces.records import SpanRecord

HOUR = timedelta(hours=1)
SCOPES = ("span", "trace", "session")
LLM: dict[str, Any] = {"openinference__span__kind": "LLM"}


def keys(found: Iterable[Chunk]) -> list[str]:
    return [match.target_key for chunk in found for match in chunk.targets]


def lately(agent: Agent, scope: str, now: datetime, **about: Any) -> Targets:
    """The traffic of the last hour."""
    return targets_of(scope)(agent, now - HOUR, now + HOUR, **about)


def key_of(scope: str, number: int) -> str:
    """The target that `make_trace(project, number, session=f"chat {number}")` makes."""
    trace = UUID(int=number)
    return {"span": span_key(trace, number * 16 + 2), "trace": trace_key(trace), "session": f"chat {number}"}[scope]


def span(
    number: int, parent: int | None = None, *, agent: int | None = None, kind: str = "LLM", ended: bool = True
) -> SpanRecord:
    start = datetime.fromisoformat("2026-11-20T12:00:00+00:00")
    return SpanRecord(
        project_id=1,
        trace_id=UUID(int=1),
        span_id=number,
        start_time=start,
        parent_id=parent,
        duration_us=1 if ended else None,
        received_at=start,
        agent_id=agent,
        kind=kind,
    )


@pytest.mark.parametrize("scope", SCOPES)
def test_it_finds_what_settling_would_label(project: Project, now: datetime, scope: str) -> None:
    agent = make_agent(project)
    make_signal(agent, scope=scope, active_since=now)
    for number in range(1, 4):
        make_trace(project, number, now=now, session=f"chat {number}", error="No such order" if number == 2 else "")
    settle_all(now)
    traffic = lately(agent, scope, now)
    fields = [field for field in Target.__slots__ if field not in ("scope", "user")]
    labelled = set(Label.objects.values_list(*fields))
    found = [match for chunk in traffic.chunks() for match in chunk.targets]
    assert {tuple(getattr(match, field) for field in fields) for match in found} == labelled
    assert {match.scope for match in found} == {scope}
    assert traffic.count() == len(found) == 3
    assert set(traffic.newest(5)) == set(found)


@pytest.mark.parametrize("scope", SCOPES)
def test_it_takes_the_start_of_the_window_and_leaves_its_end_out(project: Project, now: datetime, scope: str) -> None:
    agent = make_agent(project)
    for number in range(4):
        pipeline.store(project.pk, turn(number + 1, start=now + number * HOUR, session=f"chat {number + 1}"), now)
    traffic = targets_of(scope)(agent, now + HOUR, now + 3 * HOUR)
    assert keys(traffic.chunks()) == [key_of(scope, 3), key_of(scope, 2)]
    assert traffic.count() == 2


@pytest.mark.parametrize("scope", SCOPES)
def test_it_keeps_agents_and_projects_apart(
    project: Project, other_project: Project, now: datetime, scope: str
) -> None:
    make_trace(project, 1, now=now, session="chat 1")
    make_trace(project, 2, now=now, session="chat 2", agent="other-bot")
    make_trace(other_project, 3, now=now, session="chat 3")
    traffic = lately(make_agent(project), scope, now)
    assert (keys(traffic.chunks()), traffic.count()) == ([key_of(scope, 1)], 1)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize(
    "wanted",
    [{"environment": "prod"}, {"model": "gpt-4o"}, {"min_tokens": 50}, {"attributes": {"tenant": "acme"}}],
)
def test_it_finds_only_what_passes_the_filter(
    project: Project, now: datetime, scope: str, wanted: dict[str, Any]
) -> None:
    agent = make_agent(project)
    for number, environment in ((1, "prod"), (2, "staging")):
        fits = environment == "prod"
        about: dict[str, Any] = {"llm__model_name": "gpt-4o", "tenant": "acme"} if fits else {}
        call = sent_span(
            number * 16 + 2, trace=number, start=now, agent__name=agent.identity, session__id=f"chat {number}",
            resource={"deployment.environment.name": environment}, llm__token_count__prompt=50 if fits else 5,
            **about, **LLM,
        )  # fmt: skip
        pipeline.store(project.pk, [call], now)
    traffic = lately(agent, scope, now, traffic_filter=Filter.parse(wanted))
    assert (keys(traffic.chunks()), traffic.count()) == ([key_of(scope, 1)], 1)
    assert [match.target_key for match in traffic.newest(5)] == [key_of(scope, 1)]


@pytest.mark.parametrize("scope", SCOPES)
def test_it_goes_on_where_it_stopped(
    project: Project, now: datetime, scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Targets, "rows_at_once", 2)
    monkeypatch.setattr(spans.SpanTargets, "rows_at_once", 2)
    agent = make_agent(project)
    for number in range(1, 8):
        make_trace(project, number, now=now + timedelta(seconds=number // 3), session=f"chat {number}")
    traffic = lately(agent, scope, now)
    chunks = list(traffic.chunks())
    assert [len(chunk.targets) for chunk in chunks] == [2, 2, 2, 1]
    assert keys(chunks) == [key_of(scope, number) for number in range(7, 0, -1)]
    for done, chunk in enumerate(chunks, start=1):
        assert keys(traffic.chunks(chunk.last)) == keys(chunks[done:])


def test_it_misses_no_session_that_goes_on_meanwhile(
    project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Targets, "rows_at_once", 2)
    agent = make_agent(project)
    for number in range(1, 6):
        make_trace(project, number, now=now, session=f"chat {number}")
    chunks = lately(agent, "session", now).chunks()
    first = next(chunks)
    for number in range(11, 16):
        make_trace(project, number, now=now + timedelta(minutes=number), session=f"chat {number - 10}")
    assert set(keys([first, *chunks])) == {f"chat {number}" for number in range(1, 6)}


def test_it_reads_traces_of_many_spans_few_at_once(
    project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "SPANS_AT_ONCE", 3)
    agent = make_agent(project)
    for number in range(1, 4):
        make_trace(project, number, now=now)
    assert [len(chunk.targets) for chunk in lately(agent, "span", now).chunks()] == [1, 1, 1]


@pytest.mark.parametrize("scope", SCOPES)
def test_it_gives_the_newest(project: Project, now: datetime, scope: str) -> None:
    agent = make_agent(project)
    for number in range(1, 6):
        make_trace(project, number, now=now + timedelta(seconds=number), session=f"chat {number}")
    found = [match.target_key for match in lately(agent, scope, now).newest(2)]
    assert found == [key_of(scope, 5), key_of(scope, 4)]


@pytest.mark.parametrize("scope", SCOPES)
def test_it_leaves_to_live_judging_what_still_waits_to_settle(project: Project, now: datetime, scope: str) -> None:
    """What came before the signal was live is not, for live judging does not look at it."""
    agent = make_agent(project)
    make_trace(project, 1, now=now, session="chat 1")
    make_trace(project, 2, now=now + timedelta(minutes=20), session="chat 2")
    whole, rest = lately(agent, scope, now), lately(agent, scope, now, live_since=now + timedelta(minutes=5))
    assert (set(keys(whole.chunks())), whole.count()) == ({key_of(scope, 1), key_of(scope, 2)}, 2)
    assert (keys(rest.chunks()), rest.count()) == ([key_of(scope, 1)], 1)
    settle(now + 2 * HOUR)
    assert (set(keys(rest.chunks())), rest.count()) == ({key_of(scope, 1), key_of(scope, 2)}, 2)


def test_it_finds_the_model_calls_of_an_agent_in_the_traces_of_others(project: Project, now: datetime) -> None:
    helper = sent_span(90, 17, start=now, openinference__span__kind="AGENT", agent__name="helper")
    own = sent_span(91, 90, start=now, agent__name="helper", **LLM)
    inherited = sent_span(92, 90, start=now, **LLM)
    pipeline.store(project.pk, [*turn(1, start=now), helper, own, inherited], now)
    inner, outer = (lately(make_agent(project, name), "span", now) for name in ("helper", "support-bot"))
    key = UUID(int=1)
    assert set(keys(inner.chunks())) == {span_key(key, 91), span_key(key, 92)}
    assert keys(outer.chunks()) == [span_key(key, 18)]
    assert (inner.count(), outer.count()) == (1, 2), "the unnamed call counts for the agent of its trace"


def test_it_finds_the_root_of_a_trace_without_a_model_call(project: Project, now: datetime) -> None:
    agent = make_agent(project)
    root, _ = turn(1, start=now)
    child = sent_span(5, 17, start=now, openinference__span__kind="TOOL")
    unnamed = sent_span(6, start=now, openinference__span__kind="CHAIN")
    still_open = sent_span(7, start=now, seconds=None, agent__name=agent.identity)
    pipeline.store(project.pk, [root, child, unnamed, still_open], now)
    traffic = lately(agent, "span", now)
    assert set(keys(traffic.chunks())) == {span_key(UUID(int=1), 17), span_key(UUID(int=1), 6)}
    assert traffic.count() == 2


def test_it_finds_spans_of_a_trace_that_began_before_the_window(project: Project, now: datetime) -> None:
    agent = make_agent(project)
    late = sent_span(99, 17, start=now + 3 * HOUR, **LLM)
    pipeline.store(project.pk, [*turn(1, start=now), late], now)
    traffic = targets_of("span")(agent, now + 2 * HOUR, now + 4 * HOUR)
    assert (keys(traffic.chunks()), traffic.count()) == ([span_key(UUID(int=1), 99)], 1)


def test_it_finds_no_session_that_lost_its_traces(project: Project, now: datetime) -> None:
    session = make_session(project, "chat", now=now)
    Trace.objects.all().delete()
    type(session).objects.update(trace_count=0)
    traffic = lately(make_agent(project), "session", now)
    assert (keys(traffic.chunks()), traffic.count()) == ([], 0)


@pytest.mark.parametrize("scope", SCOPES)
def test_it_asks_the_database_as_often_for_many_as_for_few(project: Project, now: datetime, scope: str) -> None:
    agent = make_agent(project)
    traffic = lately(agent, scope, now, live_since=now - HOUR)

    def queries(first: int, count: int) -> int:
        for number in range(first, first + count):
            make_trace(project, number, now=now, session=f"chat {number}")
        while settle(now + 2 * HOUR).targets:
            pass
        with CaptureQueriesContext(connection) as captured:
            assert len(keys(traffic.chunks())) == first + count - 1
        return len(captured)

    assert queries(1, 5) == queries(6, 15)


def test_it_judges_a_trace_without_a_model_call_by_its_root() -> None:
    root, tool, child = span(1, kind="AGENT"), span(2, 1, kind="TOOL"), span(3, 1, kind="CHAIN")
    assert judged_spans([root, tool, child]) == [root]
    call, open_call = span(4, 1), span(5, 1, ended=False)
    assert judged_spans([root, tool, call, open_call]) == [call]
    assert judged_spans([root, open_call]) == []


def test_it_finds_the_agent_of_a_span_up_its_ancestors() -> None:
    spans = [span(1, agent=7), span(2, 1), span(3, 2, agent=8), span(4, 3), span(5, 4), span(6, 60), span(7, 2)]
    assert agents_of(spans, 9) == {1: 7, 2: 7, 3: 8, 4: 8, 5: 8, 6: 9, 7: 7}
    assert agents_of([span(1, 2), span(2, 1)], 9) == {1: 9, 2: 9}
    deep = [span(1, agent=7), *(span(n, n - 1) for n in range(2, 20_000))]
    assert set(agents_of(deep[::-1], None).values()) == {7}
