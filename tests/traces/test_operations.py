"""Operations on traces: lists narrowed by the typed filter, page by page."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from catalyst.core.models import Project
from catalyst.core.operation_context import for_system
from catalyst.operations import InvalidInput, NotFound, find
from tests.factories import make_session, make_trace
from tests.traces.sent import sent_span
from traces.ingest import pipeline

pytestmark = pytest.mark.django_db


def call(project: Project, now: datetime, name: str, **given: Any) -> Any:
    return find(name).call(for_system(project, now), given)


def test_it_lists_traces_page_by_page(project: Project, now: datetime) -> None:
    for number in range(1, 4):
        make_trace(project, number, now=now - timedelta(minutes=number))
    first = call(project, now, "traces.list", limit=2)
    second = call(project, now, "traces.list", limit=2, after=first.next)
    assert [int(trace.trace_id, 16) for trace in first.items] == [1, 2]
    assert ([int(trace.trace_id, 16) for trace in second.items], second.next) == ([3], None)


def test_it_narrows_traces_by_agent_time_text_and_filter(project: Project, now: datetime) -> None:
    make_trace(project, 1, now=now, said=("A refund?", "Yes."), agent="support-bot")
    make_trace(project, 2, now=now - timedelta(days=2), said=("Hello?", "Hi."), agent="other")
    wanted: dict[str, dict[str, Any]] = {
        "agent": {"agent": "support-bot"},
        "search": {"search": "refund"},
        "range": {"range": "1d"},
        "filter": {"filter": {"min-tokens": "1"}, "from": (now - timedelta(days=1)).isoformat()},
    }
    found = {name: call(project, now, "traces.list", **{"range": "7d", **given}) for name, given in wanted.items()}
    for name, page in found.items():
        assert [trace.agent for trace in page.items] == ["support-bot"], name
    assert call(project, now, "traces.list", filter={"attribute.tier": "gold"}).items == []
    several = call(project, now, "traces.list", range="7d", filter={"service": ["shop", "till"], "user": ""})
    assert len(several.items) == 2


def test_it_lists_traces_whose_clock_is_off_by_when_they_arrived(project: Project, now: datetime) -> None:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    make_trace(project, 9, now=now)
    for number in range(1, 4):
        start = epoch + timedelta(hours=number)
        pipeline.store(project.pk, [sent_span(1, trace=number, start=start)], now - timedelta(minutes=number))
    first = call(project, now, "traces.list", skewed=True, limit=2)
    second = call(project, now, "traces.list", skewed=True, limit=2, after=first.next)
    listed = [*first.items, *second.items]
    assert [(int(trace.trace_id, 16), trace.is_skewed) for trace in listed] == [(1, True), (2, True), (3, True)]
    assert call(project, now, "traces.overview", skewed=True).trace_count == 3
    assert [trace.is_skewed for trace in call(project, now, "traces.list").items] == [False]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"agent": "nobody"}, "agent"),
        ({"filter": {"colour": "red"}}, "filter"),
        ({"filter": {"attributes": "red", "attribute.tier": "gold"}}, "filter"),
        ({"after": "soon"}, "after"),
        ({"from": "2026-11-20", "to": "2026-11-19"}, "from"),
        ({"to": "2026-11-19"}, "from"),
        ({"limit": 1_001}, "limit"),
    ],
)
def test_it_says_what_is_wrong_and_where(project: Project, now: datetime, given: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        call(project, now, "traces.list", **given)
    assert list(caught.value.errors) == [field]


def test_it_shows_a_trace_with_its_spans_and_a_session_with_its_traces(project: Project, now: datetime) -> None:
    make_session(project, "talk", turns=2, now=now)
    found = call(project, now, "traces.show", trace=f"{1:032x}")
    assert (found.trace.session_id, len(found.spans)) == ("talk", found.trace.span_count)
    assert found.spans[0].parent_span_id is None
    shown = call(project, now, "traces.session", session="talk")
    assert [trace.session_id for trace in shown.traces] == ["talk", "talk"]
    (listed,) = call(project, now, "traces.sessions").items
    assert listed == shown.session


def test_it_lists_agents_busiest_first(project: Project, now: datetime) -> None:
    for number in range(1, 3):
        make_trace(project, number, now=now, agent="busy")
    make_trace(project, 3, now=now, agent="calm")
    found = call(project, now, "traces.agents", limit=1)
    assert ([agent.identity for agent in found.items], found.items[0].run_count, found.next) == (["busy"], 2, "1")


def test_it_sums_up_a_list_of_traces(project: Project, now: datetime) -> None:
    make_trace(project, 1, now=now, agent="busy")
    make_trace(project, 2, now=now, agent="busy")
    make_trace(project, 3, now=now, agent="calm")
    found = call(project, now, "traces.overview")
    assert (found.trace_count, found.error_count) == (3, 0)
    assert [(each.agent, each.trace_count) for each in found.agents] == [("busy", 2), ("calm", 1)]
    assert sum(bar.trace_count for bar in found.buckets) == 3
    narrowed = call(project, now, "traces.overview", agent="calm")
    assert (narrowed.trace_count, sum(bar.trace_count for bar in narrowed.buckets)) == (1, 1)


def test_it_shows_an_agent_against_the_period_before(project: Project, now: datetime) -> None:
    make_trace(project, 1, now=now - timedelta(hours=30), agent="busy")
    make_trace(project, 2, now=now, agent="busy")
    found = call(project, now, "traces.agent", agent="busy", range="1d")
    assert (found.agent.identity, found.usage.run_count) == ("busy", 1)
    assert sum(bar.run_count for bar in found.buckets) == 1
    assert found.models[0].call_count >= 1
    with pytest.raises(InvalidInput, match="has no agent nobody"):
        call(project, now, "traces.agent", agent="nobody")


def test_it_shows_a_span_with_its_text(project: Project, now: datetime) -> None:
    make_trace(project, 1, now=now, said=("A refund?", "Yes."))
    spans = call(project, now, "traces.show", trace=f"{1:032x}").spans
    texts = [call(project, now, "traces.span", trace=f"{1:032x}", span=span.span_id) for span in spans]
    assert any("A refund?" in str((found.input, found.input_messages)) for found in texts)
    with pytest.raises(NotFound, match="has no span 00000000000000ff"):
        call(project, now, "traces.span", trace=f"{1:032x}", span="00000000000000ff")


def test_it_shows_what_was_said(project: Project, now: datetime) -> None:
    make_session(project, "talk", turns=2, now=now)
    turn = call(project, now, "traces.transcript", trace=f"{1:032x}")
    assert [(said.role, said.text) for said in turn.messages if said.role in {"user", "assistant"}] == [
        ("user", "Question 1?"),
        ("assistant", "Answer 1."),
    ]
    talk = call(project, now, "traces.transcript", session="talk")
    asked = [(said.trace_id, said.text) for said in talk.messages if said.role == "user"]
    assert asked == [(f"{1:032x}", "Question 1?"), (f"{2:032x}", "Question 2?")]
    assert (talk.unread_span_count, talk.next) == (0, None)
    span = next(said.span_id for said in turn.messages if said.role == "user")
    alone = call(project, now, "traces.transcript", trace=f"{1:032x}", span=span)
    assert "Question 1?" in [said.text for said in alone.messages]


def test_it_continues_a_long_transcript(project: Project, now: datetime) -> None:
    make_session(project, "talk", turns=3, now=now)
    rest = call(project, now, "traces.transcript", session="talk", after=2)
    assert [said.text for said in rest.messages if said.role == "user"] == ["Question 3?"]


def test_a_transcript_needs_a_trace_or_a_session(project: Project, now: datetime) -> None:
    for given in ({}, {"span": "1"}, {"trace": f"{1:032x}", "session": "talk"}):
        with pytest.raises(InvalidInput, match="Give either a trace or a session"):
            call(project, now, "traces.transcript", **given)
