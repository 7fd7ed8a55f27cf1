"""Whatever the order, batching and duplication: every rollup is the sum over the final spans."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalyst.core.models import Project
from tests.traces.sent import sent_span
from tests.traces.stored import texts
from traces.ingest import pipeline
from traces.models import AgentHour, AgentHourCalls, AgentHourLatency, Session, Span, Trace
from traces.otlp import DecodedSpan
from traces.summary import MAX_NAMES, OTHER, latency_bucket

NOON = datetime.fromisoformat("2026-11-20T12:59:50+00:00")
PROJECTS = count()


@st.composite
def span_versions(draw: st.DrawFn, trace: int, span: int) -> list[DecodedSpan]:
    """One span as it is sent: complete, or first open and bare."""
    parent = draw(st.one_of(st.none(), st.integers(1, 9).filter(lambda other: other != span)))
    start = NOON + timedelta(seconds=draw(st.integers(0, 20)))
    attributes: dict[str, Any] = {}
    for name, values in (
        ("openinference__span__kind", ["LLM", "LLM", "TOOL", "AGENT"]),
        ("agent__id", [None, None, None, "a", "b"]),
        ("session__id", [None, None, None, "s", "t"]),
        ("user__id", [None, "u"]),
        ("agent__outcome", [None, None, "success", "failure"]),
        ("input__value", [None, "hello"]),
        ("output__value", [None, "bye"]),
        ("tool__name", ["search", "fetch"]),
    ):
        value = draw(st.sampled_from(values))
        if value is not None:
            attributes[name] = value
    if draw(st.booleans()):
        attributes |= {"llm__token_count__prompt": draw(st.integers(0, 50)), "llm__token_count__completion": 3}
        attributes["llm__model_name"] = draw(st.sampled_from(["gpt-4o", "made-up"]))
        cached = draw(st.integers(0, attributes["llm__token_count__prompt"]))
        attributes["llm__token_count__prompt_details__cache_read"] = cached
    full = sent_span(
        span,
        parent,
        trace=trace,
        start=start,
        seconds=draw(st.one_of(st.none(), st.integers(0, 30))),
        status=draw(st.sampled_from(["ok", "unset", "error"])),
        **attributes,
    )
    if not draw(st.booleans()):
        return [full]
    return [sent_span(span, parent, trace=trace, start=start, seconds=None, status="unset"), full]


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[dict[tuple[int, int], DecodedSpan], list[list[DecodedSpan]]]:
    """The final version of every span, and the batches in which all versions arrive, some of them twice."""
    final, sends = {}, []
    for trace in range(1, draw(st.integers(1, 3)) + 1):
        for span in draw(st.sets(st.integers(1, 9), min_size=1, max_size=6)):
            versions = draw(span_versions(trace, span))
            final[trace, span] = versions[-1]
            sends += versions + draw(st.lists(st.sampled_from(versions), max_size=1))
    draw(st.randoms(use_true_random=False)).shuffle(sends)
    size = draw(st.integers(1, 6))
    return final, [sends[first : first + size] for first in range(0, len(sends), size)]


@pytest.mark.slow
@pytest.mark.django_db
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(deliveries())
def test_it_keeps_every_rollup_equal_to_the_sum_over_the_final_spans(
    delivery: tuple[dict[tuple[int, int], DecodedSpan], list[list[DecodedSpan]]],
) -> None:
    final, batches = delivery
    project = Project.objects.create(name="p", slug=f"p{next(PROJECTS)}")
    for number, batch in enumerate(batches):
        pipeline.store(project.pk, batch, NOON + timedelta(minutes=1, seconds=number))

    by_trace = defaultdict(list)
    for (trace, _), span in final.items():
        by_trace[trace].append(span)
    expected = [expected_trace(spans) for spans in by_trace.values()]
    assert list(map(actual_trace, Trace.objects.filter(project=project).order_by("trace_id"))) == expected
    assert actual_sessions(project) == expected_sessions(expected)
    assert actual_hours(project) == expected_hours(expected)
    assert actual_latencies(project) == expected_latencies(expected)
    assert actual_calls(project) == expected_calls(list(by_trace.values()))
    assert Span.objects.filter(project_id=project.pk).count() == len(final)
    assert texts(project.pk) == {(UUID(int=trace), span) for trace, span in final}


@pytest.mark.django_db
def test_a_session_that_only_lost_a_trace_received_nothing(project: Project) -> None:
    first, later = NOON + timedelta(minutes=1), NOON + timedelta(hours=3)
    for trace in (1, 2):
        pipeline.store(project.pk, [sent_span(2, 1, trace=trace, start=NOON, session__id="lost")], first)
    pipeline.store(project.pk, [sent_span(1, trace=2, start=NOON, session__id="got")], later)
    received = dict(Session.objects.values_list("key", "last_received_at"))
    assert received == {"lost": first, "got": later}
    assert dict(Session.objects.values_list("key", "trace_count")) == {"lost": 1, "got": 1}

    pipeline.store(project.pk, [sent_span(1, trace=1, start=NOON + timedelta(seconds=9), session__id="lost")], later)
    assert Session.objects.get(key="lost").last_received_at == later


CACHED = "llm.token_count.prompt_details.cache_read"
SUMS = (
    "span_count",
    "llm_count",
    "tool_count",
    "error_count",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cost",
    "input_cost",
    "cache_cost",
    "output_cost",
    "unpriced_count",
)


def expected_trace(spans: Sequence[DecodedSpan]) -> dict[str, Any]:
    """A trace as the documentation describes it, worked out the plain way."""

    def age(span: DecodedSpan) -> tuple[int, int, int]:
        return span.start_ns, -(span.end_ns - span.start_ns if span.end_ns else 1 << 80), span.span_id

    roots = sorted((span for span in spans if span.parent_id is None), key=age)
    order = roots[:1] + sorted((span for span in spans if span not in roots[:1]), key=age)
    root = roots[0] if roots else None

    def first(name: str) -> Any:
        return next((span.attributes[name] for span in order if name in span.attributes), None)

    start = min(span.start_ns for span in spans)
    end = max(span.end_ns or span.start_ns for span in spans)
    said = first("agent.outcome")
    failed = any(span.status == "error" for span in roots or spans)
    status = "error" if failed else root.status if root else "unset"
    has_ended = bool(roots) and all(span.end_ns for span in roots)
    return {
        "agent": first("agent.id"),
        "session": first("session.id"),
        "user": first("user.id") or "",
        "status": status,
        "outcome": said or {"ok": "success", "error": "failure"}.get(status if root else "", "unknown"),
        "start": start,
        "end": end,
        "root_ended": has_ended,
        "duration": (max(span.end_ns for span in roots) - roots[0].start_ns if has_ended else end - start) // 1000,
        "input": "hello" if any("input.value" in span.attributes and kind(span) != "TOOL" for span in spans) else "",
        **expected_sums(spans),
    }


def expected_sums(spans: Sequence[DecodedSpan]) -> dict[str, Any]:
    """Counts, and the tokens and cost of the spans that count."""
    llm = [span for span in spans if kind(span) == "LLM"]
    used = counted(spans)[0]
    priced = [span.attributes for span in used if span.attributes["llm.model_name"] == "gpt-4o"]
    million = Decimal(1_000_000)
    cached = sum(each[CACHED] for each in priced)
    costs = {
        "input_cost": (sum(each["llm.token_count.prompt"] for each in priced) - cached) * Decimal("2.5") / million,
        "cache_cost": cached * Decimal("1.25") / million,
        "output_cost": sum(each["llm.token_count.completion"] for each in priced) * 10 / million,
    }
    return {
        "span_count": len(spans),
        "llm_count": len(llm),
        "tool_count": sum(kind(span) == "TOOL" for span in spans),
        "error_count": sum(span.status == "error" for span in spans),
        "input_tokens": sum(span.attributes["llm.token_count.prompt"] for span in used),
        "output_tokens": sum(span.attributes["llm.token_count.completion"] for span in used),
        "cached_tokens": sum(span.attributes[CACHED] for span in used),
        "cost": sum(costs.values()),
        **costs,
        "unpriced_count": len(used) - len(priced),
    }


@dataclass
class Counted:
    """Spans that count: `within` before the next tool or agent, `apart` beyond it. `silent`: calls without usage."""

    within: list[DecodedSpan] = field(default_factory=list)
    apart: list[DecodedSpan] = field(default_factory=list)
    silent_within: list[DecodedSpan] = field(default_factory=list)
    silent_apart: list[DecodedSpan] = field(default_factory=list)

    def add(self, other: "Counted") -> None:
        self.within += other.within
        self.apart += other.apart
        self.silent_within += other.silent_within
        self.silent_apart += other.silent_apart


def below(span: DecodedSpan, spans: Sequence[DecodedSpan]) -> Counted:
    """What counts at and below a span."""
    found = Counted()
    for child in spans:
        if child.parent_id == span.span_id:
            found.add(below(child, spans))
    stands_for_all = kind(span) == "LLM" and tokens(span) >= sum(tokens(inner) for inner in found.within)
    is_alone = not found.within + found.apart
    if tokens(span) and stands_for_all:
        found = Counted([span], found.apart, [], found.silent_apart)
    elif tokens(span) and kind(span) != "LLM" and is_alone:
        found.within = [span]
    elif kind(span) == "LLM" and not tokens(span) and is_alone:
        found.silent_within.append(span)
    if kind(span) in ("TOOL", "AGENT"):
        return Counted([], found.within + found.apart, [], found.silent_within + found.silent_apart)
    return found


def counted(spans: Sequence[DecodedSpan]) -> tuple[list[DecodedSpan], list[DecodedSpan]]:
    """The spans whose usage counts, and those that count as calls of a model, worked out by recursion."""
    known = {span.span_id for span in spans}
    found = Counted()
    for top in spans:
        if top.parent_id not in known:
            found.add(below(top, spans))
    by_id = {span.span_id: span for span in spans}
    circles = [span for span in spans if ancestors(span, by_id)[-1:] and ancestors(span, by_id)[-1].parent_id in known]
    usage = found.within + found.apart + [span for span in circles if tokens(span)]
    silent = [span for span in circles if kind(span) == "LLM" and not tokens(span)]
    return usage, usage + found.silent_within + found.silent_apart + silent


def ancestors(span: DecodedSpan, by_id: dict[int, DecodedSpan]) -> list[DecodedSpan]:
    found: list[DecodedSpan] = []
    parent = by_id.get(span.parent_id or 0)
    while parent is not None and parent not in found:
        found.append(parent)
        parent = by_id.get(parent.parent_id or 0)
    return found


def kind(span: DecodedSpan) -> str:
    return str(span.attributes["openinference.span.kind"])


def tokens(span: DecodedSpan) -> int:
    """Tokens that may count: tools use none themselves."""
    if kind(span) == "TOOL" or "llm.token_count.prompt" not in span.attributes:
        return 0
    return int(span.attributes["llm.token_count.prompt"] + span.attributes["llm.token_count.completion"])


def actual_trace(trace: Trace) -> dict[str, Any]:
    def nanoseconds(time: datetime) -> int:
        return round(time.timestamp() * 1000) * 1_000_000

    return {
        "agent": trace.agent.identity if trace.agent else None,
        "session": trace.session.key if trace.session else None,
        "user": trace.user,
        "status": trace.status,
        "outcome": trace.outcome,
        "start": nanoseconds(trace.start_time),
        "end": nanoseconds(trace.end_time),
        "root_ended": trace.root_ended,
        "duration": trace.duration_us,
        "input": trace.input_preview,
        **{name: getattr(trace, name) for name in SUMS},
    }


def total(traces: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "trace_count": len(traces),
        "error_trace_count": sum(trace["status"] == "error" for trace in traces),
        **{name: sum(trace[name] for trace in traces) for name in SUMS},
    }


def actual_total(row: Session | AgentHour) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("trace_count", "error_trace_count", *SUMS)}


def grouped(traces: Sequence[dict[str, Any]], *names: str) -> dict[Any, list[dict[str, Any]]]:
    groups = defaultdict(list)
    for trace in traces:
        hour = NOON.replace(minute=0, second=0) + timedelta(hours=trace["start"] // 1_000_000_000 >= 1795179600)
        groups[tuple((trace | {"hour": hour})[name] for name in names)].append(trace)
    return groups


def expected_sessions(traces: Sequence[dict[str, Any]]) -> dict[str, Any]:
    sessions = {}
    for (key,), members in grouped(traces, "session").items():
        if key is not None:
            order = sorted(members, key=lambda trace: trace["start"])
            sessions[key] = total(members) | {
                "start": min(trace["start"] for trace in members),
                "end": max(trace["end"] for trace in members),
                "agents": {trace["agent"] for trace in order if trace["agent"] is not None},
            }
    return sessions


def actual_sessions(project: Project) -> dict[str, Any]:
    return {
        session.key: actual_total(session)
        | {
            "start": round(session.start_time.timestamp() * 1000) * 1_000_000,
            "end": round(session.end_time.timestamp() * 1000) * 1_000_000,
            "agents": set(session.traces.filter(agent__isnull=False).values_list("agent__identity", flat=True)),
        }
        for session in Session.objects.filter(project=project, trace_count__gt=0)
    }


def reports_outcome(trace: dict[str, Any]) -> bool:
    told = (trace["status"], trace["outcome"])
    return trace["outcome"] != "unknown" and told not in {("ok", "success"), ("error", "failure")}


def expected_hours(traces: Sequence[dict[str, Any]]) -> dict[Any, Any]:
    return {
        key: total(members)
        | {
            "success_count": sum(trace["outcome"] == "success" for trace in members),
            "failure_count": sum(trace["outcome"] == "failure" for trace in members),
            "reported_outcome_count": sum(reports_outcome(trace) for trace in members),
        }
        for key, members in grouped(traces, "agent", "hour").items()
    }


def actual_hours(project: Project) -> dict[Any, Any]:
    rows = AgentHour.objects.filter(project=project).select_related("agent")
    found = {
        (row.agent.identity if row.agent else None, row.hour): actual_total(row)
        | {name: getattr(row, name) for name in ("success_count", "failure_count", "reported_outcome_count")}
        for row in rows
    }
    return {key: sums for key, sums in found.items() if any(sums.values())}


def expected_latencies(traces: Sequence[dict[str, Any]]) -> dict[Any, int]:
    buckets: dict[Any, int] = defaultdict(int)
    for (agent, hour), members in grouped(traces, "agent", "hour").items():
        for trace in members:
            buckets[agent, hour, latency_bucket(trace["duration"])] += 1
    return buckets


def actual_latencies(project: Project) -> dict[Any, int]:
    rows = AgentHourLatency.objects.filter(project=project, trace_count__gt=0).select_related("agent")
    return {(row.agent.identity if row.agent else None, row.hour, row.bucket): row.trace_count for row in rows}


CALLS = ("call_count", "error_count", "input_tokens", "output_tokens", "cached_tokens", "cost", "unpriced_count")


def expected_calls(traces: Sequence[Sequence[DecodedSpan]]) -> dict[Any, dict[str, Any]]:
    """Each call adds to the row of its name and duration in its trace's hour."""
    found: dict[Any, dict[str, Any]] = defaultdict(lambda: dict.fromkeys(CALLS, 0))
    for spans in traces:
        ((agent, hour),) = grouped([expected_trace(spans)], "agent", "hour")
        for span in [*counted(spans)[1], *(span for span in spans if kind(span) == "TOOL")]:
            called = "TOOL" if kind(span) == "TOOL" else "LLM"
            name = span.attributes["tool.name"] if kind(span) == "TOOL" else span.attributes.get("llm.model_name", "")
            bucket = latency_bucket((span.end_ns - span.start_ns) // 1000) if span.end_ns else None
            sums = expected_sums([span]) | {"call_count": 1}
            row = found[agent, hour, called, name, bucket]
            for column in CALLS:
                row[column] += sums[column]
    return dict(found)


def actual_calls(project: Project) -> dict[Any, dict[str, Any]]:
    rows = AgentHourCalls.objects.filter(project=project).select_related("agent")
    found = {
        (row.agent.identity if row.agent else None, row.hour, row.kind, row.name, row.bucket): {
            name: getattr(row, name) for name in CALLS
        }
        for row in rows
    }
    return {key: sums for key, sums in found.items() if any(sums.values())}


@pytest.mark.django_db
def test_a_trace_tells_a_bounded_number_of_names_apart(project: Project) -> None:
    often = [sent_span(n, start=NOON, openinference__span__kind="TOOL", tool__name="often") for n in range(1, 4)]
    invented = [
        sent_span(n, start=NOON, openinference__span__kind="TOOL", tool__name=f"tool {n}" + "x" * 400)
        for n in range(10, 10 + MAX_NAMES)
    ]
    pipeline.store(project.pk, invented + often, NOON + timedelta(minutes=1))
    calls = dict(AgentHourCalls.objects.values_list("name", "call_count"))
    assert len(calls) == MAX_NAMES + 1
    assert calls["often"] == 3
    assert calls[OTHER] == 1
    assert max(map(len, calls)) == 256


@pytest.mark.django_db
def test_a_tool_that_is_not_named_is_called_like_its_span(project: Project) -> None:
    pipeline.store(project.pk, [sent_span(1, start=NOON, name="lookup", openinference__span__kind="TOOL")], NOON)
    assert AgentHourCalls.objects.get().name == "lookup"


@pytest.mark.django_db
def test_a_cost_that_the_sender_says_is_not_split(project: Project) -> None:
    said: dict[str, Any] = {"llm__token_count__prompt": 10, "llm__token_count__completion": 1, "llm__cost__total": 0.5}
    span = sent_span(1, start=NOON, openinference__span__kind="LLM", llm__model_name="gpt-4o", **said)
    pipeline.store(project.pk, [span], NOON)
    trace, stored = Trace.objects.get(), Span.objects.get()
    assert trace.cost == stored.cost == Decimal("0.5")
    assert not any((trace.input_cost, trace.cache_cost, trace.output_cost))
    assert {stored.input_cost, stored.cache_cost, stored.output_cost} == {None}
