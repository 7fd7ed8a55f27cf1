"""Which spans, traces and sessions pass a filter, in Python and in SQL."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db.models import Q
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalyst.core.models import Project
from catalyst.json_value import InvalidValue
from tests.traces.sent import sent_span
from traces.facts import facts_of_sessions, facts_of_traces
from traces.filters import EVERYTHING, MAX_VALUES, NAMES, Facts, Filter, facts_of_span
from traces.ingest import pipeline
from traces.models import Session, Trace, conditions
from traces.models.trace import of_sessions
from traces.span_store import SpanQuery, span_store

ALL: dict[str, Any] = {
    "environment": "prod",
    "service": "shop",
    "model": ["gpt-4o", "o3"],
    "user": "ann",
    "status": "error",
    "min_duration_ms": 1500,
    "max_duration_ms": 60_000,
    "min_tokens": 10,
    "max_tokens": 5000,
    "attributes": {"paid": "true", "tenant": "acme"},
}
MODELS = ("gpt-4o", "gpt-4o-mini", "")


def test_it_says_what_it_asks_in_words() -> None:
    wanted = Filter.parse(ALL)
    assert wanted.text == (
        "environment is prod, service is shop, model is gpt-4o or o3, user is ann, status is error, "
        "latency 1.50 s to 1m 00s, tokens 10 to 5,000, paid is true, tenant is acme"
    )
    assert Filter(min_duration_ms=200, max_tokens=0).text == "latency ≥ 200 ms, tokens ≤ 0"
    assert EVERYTHING.text == "all traffic"


def test_it_says_which_conditions_are_not_met() -> None:
    facts = Facts(frozenset(["prod"]), frozenset(["shop"]), frozenset(), False, 1_000_000, 12)
    assert Filter.parse(ALL).unmet(facts) == [
        "model is gpt-4o or o3",
        "user is ann",
        "status is error",
        "latency 1.50 s to 1m 00s",
        "paid is true",
        "tenant is acme",
    ]
    assert EVERYTHING.unmet(facts) == []


def test_it_is_a_value_that_json_can_hold() -> None:
    wanted = Filter.parse(ALL)
    assert wanted.dump() == ALL
    assert Filter.parse(wanted.dump()) == wanted
    assert len({wanted, Filter.parse(ALL)}) == 1
    assert (EVERYTHING.dump(), EVERYTHING.is_empty, wanted.is_empty) == ({}, True, False)
    assert Filter.parse({"attributes": {"n": 3, "paid": True, "share": 0.5}}).attributes == (
        ("n", "3"), ("paid", "true"), ("share", "0.5"),
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_one_value_is_stored_as_a_text_and_several_in_one_order(name: str) -> None:
    assert Filter.parse({name: ["a"]}) == Filter.parse({name: " a "})
    assert Filter.parse({name: ["a", ""]}).dump() == {name: "a"}
    assert Filter.parse({name: ["b", "a", "b"]}).dump() == {name: ["a", "b"]}
    assert Filter.parse({name: ["b", "a"]}) == Filter.parse({name: ("a", "b")})
    assert Filter.parse({name: ""}).is_empty
    assert len(getattr(Filter.parse({name: [f"v{number}" for number in range(MAX_VALUES)]}), name)) == MAX_VALUES


def test_each_value_is_a_part_that_leaves_the_others() -> None:
    parts = Filter(model=("a", "b"), user=("x",)).parts
    assert [(part.text, part.without) for part in parts] == [
        ("model is a", {"model": ["b"]}),
        ("model is b", {"model": ["a"]}),
        ("user is x", {"user": []}),
    ]


@pytest.mark.parametrize(
    ("data", "field", "says"),
    [
        ({"color": "red"}, "color", "no such field"),
        ({"status": "late"}, "status", "'ok' or 'error'"),
        ({"environment": 5}, "environment", "a text"),
        ({"environment": ["prod", 5]}, "environment", "a text"),
        ({"user": {"ann": True}}, "user", "a text"),
        ({"user": [f"u{number}" for number in range(MAX_VALUES + 1)]}, "user", f"At most {MAX_VALUES} values"),
        ({"environment": "a\0b"}, "environment", "null character"),
        ({"service": "s" * 257}, "service", "At most 256"),
        ({"model": "\ud800"}, "model", "stored"),
        ({"min_tokens": "many"}, "min_tokens", "whole number"),
        ({"min_duration_ms": -1}, "min_duration_ms", "at least 0"),
        ({"max_tokens": 10**13}, "max_tokens", "at most 1,000,000,000,000"),
        ({"min_tokens": 5, "max_tokens": 2}, "max_tokens", "at least min"),
        ({"attributes": {"a": [1]}}, "attributes", "a number"),
        ({"attributes": {"a": "b" * 129}}, "attributes", "At most 128"),
        ({"attributes": {"a": "\ud800"}}, "attributes", "stored"),
        ({"attributes": {" ": "b"}}, "attributes", "can't be filtered"),
        ({"attributes": {"input.value": "b"}}, "attributes", "can't be filtered"),
        ({"attributes": dict.fromkeys("abcdefghijk", "x")}, "attributes", "At most 10"),
        (["status"], "", "agreed form"),
    ],
)
def test_it_says_by_field_what_is_wrong(data: object, field: str, says: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        Filter.parse(data)
    assert list(refused.value.errors) == [field]
    assert says in refused.value.errors[field]


def traffic(project: Project, now: datetime) -> None:
    """Traces that differ in all that a filter can ask for; those after the first few belong to sessions of three."""
    for number in range(24):
        start = now + timedelta(seconds=number)
        resource = {"service.name": ("shop", "desk")[number % 2]}
        if number % 3:
            resource["deployment.environment.name"] = ("prod", "staging")[number // 3 % 2]
        session: dict[str, Any] = {"session__id": f"chat {number // 3}"} if number >= 3 else {}
        if number % 5:
            session["user__id"] = ("ann", "bob", "cid")[number % 3]
        status = "error" if number % 4 == 0 else "ok"
        at: dict[str, Any] = {"trace": number + 1, "start": start, "resource": resource}
        first = number * 16
        root = sent_span(
            first + 1, seconds=number % 7 / 2, status=status, openinference__span__kind="AGENT", agent__name="bot",
            tenant=("acme", "globex")[number % 2], number=number % 5, **session, **at,
        )  # fmt: skip
        call = sent_span(
            first + 2, first + 1, seconds=number % 3 or None, openinference__span__kind="LLM",
            llm__model_name=MODELS[number % 3], llm__token_count__prompt=number * 10,
            llm__token_count__completion=number % 2 or None, paid=number % 2 == 0, **at,
        )  # fmt: skip
        pipeline.store(project.pk, [root, call], start)


attributes = st.dictionaries(st.sampled_from(["tenant", "number", "paid", "else"]), st.sampled_from(
    ["acme", "globex", 1, 4, True, "true"]), max_size=2)  # fmt: skip


def one_or_several(*values: str) -> st.SearchStrategy[Any]:
    return st.sampled_from(values) | st.lists(st.sampled_from(values), min_size=1, max_size=2)


filters = st.fixed_dictionaries(
    {},
    optional={
        "environment": one_or_several("prod", "staging", "none"),
        "service": one_or_several("shop", "desk"),
        "model": one_or_several("gpt-4o", "gpt-4o-mini"),
        "user": one_or_several("ann", "bob", "cid", "none"),
        "status": st.sampled_from(["ok", "error"]),
        "min_duration_ms": st.sampled_from([0, 500, 1000]),
        "max_duration_ms": st.sampled_from([1000, 2500, 5000]),
        "min_tokens": st.sampled_from([0, 1, 50]),
        "max_tokens": st.sampled_from([50, 101, 400]),
        "attributes": attributes,
    },
).map(Filter.parse)


@pytest.mark.slow
@pytest.mark.django_db
def test_python_and_sql_let_the_same_targets_pass(project: Project, other_project: Project, now: datetime) -> None:
    traffic(project, now)
    traffic(other_project, now)
    traces, sessions = list(Trace.objects.all()), list(Session.objects.all())
    projects = (project.pk, other_project.pk)
    spans = [
        span
        for pk in projects
        for some in span_store().spans(pk, [trace.extent for trace in traces]).values()
        for span in some
    ]
    ids = {(span.trace_id, span.span_id) for span in spans}
    passed = {"span": 0, "trace": 0, "session": 0}

    def agree(scope: str, wanted: Filter, in_python: set[Any], in_sql: set[Any]) -> None:
        assert in_python == in_sql, (scope, wanted.text)
        passed[scope] += len(in_python)

    @settings(suppress_health_check=list(HealthCheck), database=None)
    @given(filters)
    def check(wanted: Filter) -> None:
        assert all(wanted.passes(facts_of_span(span)) != bool(wanted.unmet(facts_of_span(span))) for span in spans)
        agree(
            "span", wanted,
            {span.key[:3] for span in spans if wanted.passes(facts_of_span(span))},
            {(pk, *found) for pk in projects for found in span_store().matching(pk, ids, SpanQuery(wanted))},
        )  # fmt: skip
        facts = facts_of_traces(traces, [wanted])
        agree(
            "trace", wanted,
            {trace.pk for trace in traces if wanted.passes(facts[trace.pk])},
            {trace.pk for pk in projects for trace in Trace.objects.filter(traces_passing(pk, wanted))},
        )  # fmt: skip
        facts = facts_of_sessions(sessions, [wanted])
        agree(
            "session", wanted,
            {session.pk for session in sessions if wanted.passes(facts[session.pk])},
            {session.pk for pk in projects for session in Session.objects.filter(sessions_passing(pk, wanted))},
        )  # fmt: skip

    check()
    assert min(passed.values()) > 10


def traces_passing(project_id: int, wanted: Filter) -> Q:
    return conditions.of_traces(project_id, wanted) & Q(project_id=project_id)


def sessions_passing(project_id: int, wanted: Filter) -> Q:
    return of_sessions(project_id, wanted) & Q(project_id=project_id)


def passing(project_id: int, wanted: dict[str, Any]) -> tuple[list[str], list[str], list[str]]:
    """Names of the spans, last digits of the trace ids, and keys of the sessions that pass."""
    one = Filter.parse(wanted)
    stored = span_store().spans(project_id, [trace.extent for trace in Trace.objects.filter(project=project_id)])
    names = {(span.trace_id, span.span_id): span.name for spans in stored.values() for span in spans}
    return (
        sorted(names[found] for found in span_store().matching(project_id, names.keys(), SpanQuery(one))),
        sorted(trace.hex_id[-1] for trace in Trace.objects.filter(traces_passing(project_id, one))),
        sorted(Session.objects.filter(sessions_passing(project_id, one)).values_list("key", flat=True)),
    )


@pytest.mark.parametrize(
    ("wanted", "spans", "traces", "sessions"),
    [
        ({}, ["answer", "call", "run", "run"], ["1", "2"], ["chat"]),
        ({"environment": "prod"}, ["answer", "call", "run"], ["1"], ["chat"]),
        ({"environment": "prod", "service": "desk"}, [], [], ["chat"]),
        ({"model": "gpt-4o"}, ["call"], ["1"], ["chat"]),
        ({"model": ["gpt-4o", "o3"]}, ["call"], ["1"], ["chat"]),
        ({"service": ["desk", "shop"]}, ["answer", "call", "run", "run"], ["1", "2"], ["chat"]),
        ({"user": "ann"}, ["run"], ["1"], ["chat"]),
        ({"user": "bob"}, ["run"], ["2"], []),
        ({"user": ["ann", "bob"]}, ["run", "run"], ["1", "2"], ["chat"]),
        ({"status": "error"}, ["call", "run"], ["2"], ["chat"]),
        ({"status": "ok"}, ["answer", "run"], ["1"], []),
        ({"min_duration_ms": 4000}, ["run"], ["2"], ["chat"]),
        ({"min_duration_ms": 10_000}, [], [], ["chat"]),
        ({"max_duration_ms": 1000}, ["answer", "call"], [], []),
        ({"max_duration_ms": 3_600_000}, ["answer", "call", "run", "run"], ["1", "2"], ["chat"]),
        ({"min_tokens": 30}, ["call"], ["1"], ["chat"]),
        ({"min_tokens": 40}, [], ["1"], ["chat"]),
        ({"max_tokens": 0}, ["run", "run"], ["2"], []),
        ({"attributes": {"tenant": "acme"}}, ["run"], ["1"], ["chat"]),
        ({"attributes": {"tenant": "acme", "turn": 1}}, [], ["1"], ["chat"]),
        ({"attributes": {"tenant": "acme", "last": True}}, [], [], ["chat"]),
    ],
)
def test_it_means_this_for_each_scope(
    project: Project, now: datetime, wanted: dict[str, Any], spans: list[str], traces: list[str], sessions: list[str]
) -> None:
    prod = {"service.name": "shop", "deployment.environment.name": "prod"}
    llm: dict[str, Any] = {"openinference__span__kind": "LLM"}
    first: dict[str, Any] = {"trace": 1, "start": now, "resource": prod}
    second: dict[str, Any] = {"trace": 2, "start": now + timedelta(seconds=20), "resource": {"service.name": "desk"}}
    pipeline.store(
        project.pk,
        [
            sent_span(1, name="run", seconds=2, tenant="acme", session__id="chat", user__id="ann", **first),
            sent_span(
                2, 1, name="call", status="error", turn=1, llm__model_name="gpt-4o", llm__token_count__prompt=30,
                **llm, **first,
            ),
            sent_span(3, 1, name="answer", llm__token_count__completion=10, **llm, **first),
            sent_span(
                4, name="run", seconds=5, status="error", last=True, session__id="chat", user__id="bob", **second
            ),
        ],
        now,
    )  # fmt: skip
    assert passing(project.pk, wanted) == (spans, traces, sessions)
