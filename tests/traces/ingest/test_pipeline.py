"""What becomes of spans: versions, identity, nesting, previews, the settle queue."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from catalyst.core.models import Project
from tests.traces.sent import sent_span
from tests.traces.stored import only_text
from traces.ingest import pipeline
from traces.ingest.pipeline import IngestResult
from traces.models import AgentHour, Resource, Session, Span, Trace, Unsettled

LLM: dict[str, Any] = {"openinference__span__kind": "LLM", "llm__model_name": "gpt-4o"}
TOKENS: dict[str, Any] = {"llm__token_count__prompt": 100, "llm__token_count__completion": 10}

pytestmark = pytest.mark.django_db


def test_it_stores_the_same_spans_once(project: Project, now: datetime) -> None:
    spans = [sent_span(1, start=now), sent_span(2, 1, start=now)]
    assert pipeline.store(project.pk, spans, now) == IngestResult(inserted=2)
    assert pipeline.store(project.pk, spans, now) == IngestResult(duplicate=2)
    trace = Trace.objects.get(project=project)
    assert (trace.span_count, trace.revision) == (2, 1)


def test_it_takes_the_fuller_version_whichever_comes_first(project: Project, now: datetime) -> None:
    opened = sent_span(1, start=now, seconds=None, input__value="hi")
    ended = sent_span(1, start=now, seconds=2, input__value="hi", output__value="bye")
    assert pipeline.store(project.pk, [opened], now) == IngestResult(inserted=1)
    assert not Trace.objects.get(project=project).root_ended
    assert pipeline.store(project.pk, [ended], now) == IngestResult(replaced=1)
    assert pipeline.store(project.pk, [opened], now) == IngestResult(duplicate=1)
    trace = Trace.objects.get(project=project)
    assert (trace.root_ended, trace.duration_us, trace.span_count) == (True, 2_000_000, 1)
    assert trace.output_preview == "bye"
    assert only_text().output == "bye"
    assert Span.objects.get(project_id=project.pk).revision == 2


def test_it_counts_tokens_of_an_llm_span_under_another_once(project: Project, now: datetime) -> None:
    inner = sent_span(2, 1, start=now, **LLM, **TOKENS)
    pipeline.store(project.pk, [inner], now)
    assert Trace.objects.get(project=project).input_tokens == 100
    pipeline.store(project.pk, [sent_span(1, start=now, seconds=5, **LLM, **TOKENS)], now)
    trace = Trace.objects.get(project=project)
    assert (trace.llm_count, trace.input_tokens, trace.output_tokens) == (2, 100, 10)


@pytest.mark.parametrize(
    ("named", "covers"),
    [
        ({"llm__cost__total": 0.5}, True),
        ({"llm__token_count__prompt": 110}, True),
        ({"llm__token_count__prompt": 100, "llm__token_count__completion": 9}, False),
        ({"llm__token_count__completion": 1}, False),
    ],
)
def test_an_llm_span_covers_those_under_it_unless_they_used_more(
    project: Project, now: datetime, named: dict[str, Any], covers: bool
) -> None:
    inner = sent_span(2, 1, start=now, **LLM, **TOKENS)
    pipeline.store(project.pk, [sent_span(1, start=now, seconds=5, **LLM, **named), inner], now)
    trace, counted = Trace.objects.get(project=project), Span.objects.get(span_id=1 if covers else 2)
    assert trace.cost == counted.cost
    assert (trace.input_tokens, trace.output_tokens) == (counted.input_tokens or 0, counted.output_tokens or 0)


def test_it_counts_no_tokens_of_other_kinds(project: Project, now: datetime) -> None:
    agent: dict[str, Any] = {"openinference__span__kind": "AGENT", **TOKENS}
    pipeline.store(project.pk, [sent_span(1, start=now, **agent), sent_span(2, 1, start=now, **LLM, **TOKENS)], now)
    assert Trace.objects.get(project=project).input_tokens == 100


def test_it_takes_the_cost_the_span_names_else_the_price_list_else_none(project: Project, now: datetime) -> None:
    spans = [
        sent_span(1, start=now, **LLM, **TOKENS, llm__cost__total=0.5),
        sent_span(2, start=now, **LLM, **TOKENS),
        sent_span(3, start=now, **(LLM | {"llm__model_name": "nobody-sells-this"}), **TOKENS),
    ]
    pipeline.store(project.pk, spans, now)
    costs = dict(Span.objects.filter(project_id=project.pk).values_list("span_id", "cost"))
    assert costs == {1: Decimal("0.5"), 2: Decimal("0.00035"), 3: None}
    trace = Trace.objects.get(project=project)
    assert (trace.cost, trace.unpriced_count) == (Decimal("0.50035"), 1)


def test_it_finds_identity_anywhere_in_the_trace(project: Project, now: datetime) -> None:
    pipeline.store(project.pk, [sent_span(2, 1, start=now)], now)
    assert Trace.objects.get(project=project).agent is None
    late = sent_span(3, 1, start=now, agent__id="shop", agent__name="Shop", session__id="s1", user__id="u1")
    pipeline.store(project.pk, [late], now)
    trace = Trace.objects.select_related("agent", "session").get(project=project)
    assert trace.agent is not None
    assert trace.session is not None
    assert (trace.agent.identity, trace.agent.name, trace.session.key, trace.user) == ("shop", "Shop", "s1", "u1")
    assert (trace.session.agent, trace.session.user, trace.session.trace_count) == (trace.agent, "u1", 1)


def test_it_prefers_the_identity_of_the_root(project: Project, now: datetime) -> None:
    early = sent_span(2, 1, start=now - timedelta(seconds=5), agent__id="inner")
    pipeline.store(project.pk, [early, sent_span(1, start=now, agent__name="outer")], now)
    trace = Trace.objects.select_related("agent").get(project=project)
    assert trace.agent is not None
    assert (trace.agent.identity, trace.agent.source) == ("outer", "agent_name")


def test_it_reads_the_resource_where_the_span_says_nothing(project: Project, now: datetime) -> None:
    resource = {"service.name": "api", "deployment.environment": "prod", "agent.id": "from-resource"}
    pipeline.store(project.pk, [sent_span(1, start=now, resource=resource)], now)
    trace = Trace.objects.select_related("agent").get(project=project)
    assert trace.agent is not None
    assert (trace.service, trace.environment, trace.agent.identity) == ("api", "prod", "from-resource")
    assert Resource.objects.get(project=project).attributes == resource


def test_it_keeps_every_attribute_event_and_link(project: Project, now: datetime) -> None:
    span = sent_span(1, start=now, custom__deep={"a": [1, {"b": None}]}, flag=True)
    span.events.append({"name": "exception", "time": "t", "attributes": {"exception.message": "no"}})
    span.links.append({"trace_id": "ab", "span_id": "cd", "attributes": {}})
    pipeline.store(project.pk, [span], now)
    payload = only_text()
    assert payload.attributes == {"custom.deep": {"a": [1, {"b": None}]}, "flag": True}
    assert (payload.events, payload.links) == (span.events, span.links)


def test_it_tells_long_session_ids_apart(project: Project, now: datetime) -> None:
    spans = [sent_span(1, trace=n, start=now, session__id="s" * 300 + str(n)) for n in (1, 2)]
    pipeline.store(project.pk, spans, now)
    assert Session.objects.filter(project=project).count() == 2


def test_it_forgets_the_times_of_a_session_that_its_only_trace_left(project: Project, now: datetime) -> None:
    early = now - timedelta(minutes=5)
    pipeline.store(project.pk, [sent_span(2, 1, trace=1, start=early, session__id="s")], now)
    pipeline.store(project.pk, [sent_span(1, trace=1, start=early, session__id="t")], now)
    pipeline.store(project.pk, [sent_span(1, trace=2, start=now, session__id="s")], now)
    session = Session.objects.get(project=project, key="s")
    assert (session.trace_count, session.start_time) == (1, now)
    pipeline.store(project.pk, [sent_span(3, 1, trace=1, start=early, session__id="u")], now)
    pipeline.store(project.pk, [sent_span(1, trace=3, start=now, session__id="u")], now)
    assert Session.objects.get(project=project, key="u").start_time == now


def test_it_takes_hostile_numbers_for_no_numbers(project: Project, now: datetime) -> None:
    lies: dict[str, Any] = {
        "llm__token_count__prompt": -5,
        "llm__token_count__completion": "1e400",
        "llm__cost__total": "NaN",
    }
    pipeline.store(project.pk, [sent_span(1, start=now, **LLM, **lies)], now)
    trace = Trace.objects.get(project=project)
    assert (trace.input_tokens, trace.output_tokens, trace.cost, trace.unpriced_count) == (0, 0, Decimal(0), 0)


def test_it_lets_a_span_be_its_own_parent_or_in_a_circle(project: Project, now: datetime) -> None:
    circle = [sent_span(1, 2, start=now, **LLM, **TOKENS), sent_span(2, 1, start=now, **LLM, **TOKENS)]
    assert pipeline.store(project.pk, [*circle, sent_span(3, 3, start=now)], now).inserted == 3


def test_it_counts_spans_in_a_circle_the_same_in_whatever_order(project: Project, now: datetime) -> None:
    one, other = (sent_span(a, b, start=now, **LLM, **TOKENS) for a, b in ((1, 2), (2, 1)))
    pipeline.store(project.pk, [other, one], now)
    pipeline.store(project.pk, [sent_span(3, 2, start=now)], now)
    hours = AgentHour.objects.filter(project=project)
    assert sum(hour.input_tokens for hour in hours) == Trace.objects.get(project=project).input_tokens


def test_it_takes_absurd_counts_for_no_numbers(project: Project, now: datetime) -> None:
    lies: dict[str, Any] = {"llm__token_count__prompt": 2**53 - 1, "llm__cost__total": 10**6}
    pipeline.store(project.pk, [sent_span(n, start=now, **LLM, **lies) for n in range(1, 1100)], now)
    trace = Trace.objects.get(project=project)
    assert (trace.input_tokens, trace.cost) == (0, Decimal(0))


def test_it_waits_for_the_agent_of_a_span_whose_parents_are_missing(project: Project, now: datetime) -> None:
    pipeline.store(project.pk, [sent_span(1, start=now), sent_span(2, 1, start=now, agent__id="writer")], now)
    Unsettled.objects.all().delete()
    later = now + timedelta(seconds=1)
    pipeline.store(project.pk, [sent_span(5, 4, start=now, **LLM)], later)
    assert due(project)["span"] == due(project)["trace"] > later
    pipeline.store(project.pk, [sent_span(4, 1, start=now, agent__id="critic")], later)
    assert due(project)["span"] == later
    assert Unsettled.objects.get(scope="span").since == now


def test_it_reads_the_preview_again_when_another_span_speaks_first(project: Project, now: datetime) -> None:
    pipeline.store(project.pk, [sent_span(2, 1, start=now, input__value="second")], now)
    pipeline.store(project.pk, [sent_span(1, start=now, input__value="first")], now)
    assert Trace.objects.get(project=project).input_preview == "first"


def due(project: Project) -> dict[str, datetime]:
    traces = set(Trace.objects.filter(project=project).values_list("pk", flat=True))
    sessions = set(Session.objects.filter(project=project).values_list("pk", flat=True))
    rows = Unsettled.objects.all()
    return {row.scope: row.due_at for row in rows if row.target_id in (sessions if row.scope == "session" else traces)}


def test_it_queues_targets_to_settle_by_receive_time(project: Project, now: datetime) -> None:
    pipeline.store(project.pk, [sent_span(1, start=now, agent__id="a", session__id="s")], now)
    assert due(project) == {
        "trace": now + timedelta(seconds=10),
        "span": now,
        "session": now + timedelta(minutes=30),
    }


def test_it_waits_longer_for_a_root_that_has_not_ended(project: Project, now: datetime) -> None:
    pipeline.store(project.pk, [sent_span(2, 1, start=now)], now)
    assert due(project) == {"trace": now + timedelta(minutes=5), "span": now + timedelta(minutes=5)}
    later = now + timedelta(minutes=1)
    pipeline.store(project.pk, [sent_span(1, start=now)], later)
    assert due(project)["trace"] == now + timedelta(minutes=1)  # it ended longer than ten seconds ago


def test_it_queues_what_ended_long_ago_at_once(project: Project, now: datetime) -> None:
    old = now - timedelta(hours=2)
    pipeline.store(project.pk, [sent_span(1, start=old, agent__id="a", session__id="s")], now)
    assert due(project) == {"trace": now, "span": now, "session": now}


def test_it_queues_nothing_for_what_it_already_had(project: Project, now: datetime) -> None:
    pipeline.store(project.pk, [sent_span(1, start=now)], now)
    Unsettled.objects.all().delete()
    pipeline.store(project.pk, [sent_span(1, start=now)], now)
    assert not Unsettled.objects.exists()


def test_it_remembers_since_when_spans_wait_for_an_agent(project: Project, now: datetime) -> None:
    pipeline.store(project.pk, [sent_span(2, 1, start=now)], now)
    Unsettled.objects.all().delete()
    later = now + timedelta(hours=1)
    pipeline.store(project.pk, [sent_span(1, start=now, agent__id="a")], later)
    assert Unsettled.objects.get(scope="span").since == now


def test_it_never_touches_another_project(project: Project, other_project: Project, now: datetime) -> None:
    spans = [sent_span(1, start=now, agent__id="a", session__id="s")]
    pipeline.store(project.pk, spans, now)
    pipeline.store(other_project.pk, [sent_span(1, start=now, seconds=9, agent__id="b", session__id="s")], now)
    mine, theirs = (Trace.objects.get(project=each, trace_id=UUID(int=1)) for each in (project, other_project))
    assert (mine.duration_us, theirs.duration_us) == (1_000_000, 9_000_000)
    assert mine.session_id != theirs.session_id
    assert mine.agent_id != theirs.agent_id


def test_it_queues_targets_since_the_first_span_of_a_group_was_received(project: Project, now: datetime) -> None:
    earlier = now - timedelta(seconds=2)
    first = pipeline.read(project.pk, [sent_span(2, 1, start=now)], earlier)
    last = pipeline.read(project.pk, [sent_span(1, start=now, agent__id="shop")], now)
    pipeline.write([first, last])
    assert set(Unsettled.objects.values_list("since", flat=True)) == {earlier}
    assert Trace.objects.get().first_received_at == earlier


def test_a_target_waits_since_its_first_span_however_many_follow(project: Project, now: datetime) -> None:
    for number in range(3):
        at = now + timedelta(seconds=number)
        about: dict[str, Any] = {"agent__id": "shop"} if number == 0 else {}
        pipeline.store(
            project.pk, [sent_span(number + 1, 1 if number else None, start=now, session__id="s", **about)], at
        )
    assert dict(Unsettled.objects.values_list("scope", "since")) == {"span": now, "trace": now, "session": now}
