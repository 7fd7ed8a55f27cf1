"""Ordinary traffic of three agents from a seed, in which each kind of finding can be planted at a known rate.

Half of it is in the window before, which has the same traffic with the same plants, except for regressions.
"""

import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import batched
from typing import Any
from uuid import UUID

from catalyst.core.models import Project
from tests.traces.sent import SECOND, nanoseconds
from traces.ingest import pipeline
from traces.otlp import DecodedSpan, Source

WEEK = timedelta(days=7)
# Of each agent in each window: about 20,000 spans in all.
RUNS = 620
BATCH = 2_000
WORDS = """
    order status customer policy address invoice payment search index warranty return draft reply tracking link latency
    schema database refund parcel delivery account email change number week store product price question answer help
    travel booking seat ticket hotel meeting note summary report source paper method result table query column
""".split()  # noqa: SIM905


@dataclass(slots=True)
class Call:
    """A model call or a tool call of a run. `wait`: seconds before it in which nothing runs."""

    name: str
    seconds: float
    is_tool: bool = False
    model: str = ""
    prompt: str = ""
    answer: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    finish_reason: str = "stop"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    result: str = ""
    error: tuple[str, str] | None = None
    wait: float = 0.01
    is_orphan: bool = False
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Run:
    """A run before it is sent. `error`: what the root fails with."""

    agent: str
    session: str
    user: str
    turn: int
    start: datetime
    asked: str
    answered: str
    calls: list[Call]
    trace_id: UUID
    version: str = "1.4.0"
    environment: str = "production"
    error: str = ""
    is_open: bool = False
    has_content: bool = True

    def tool(self) -> Call:
        return next(call for call in self.calls if call.is_tool)

    def models(self) -> list[Call]:
        return [call for call in self.calls if not call.is_tool]


@dataclass(frozen=True, slots=True)
class Agent:
    """What the runs of an agent have in common. `style`: how its sender names finish reasons."""

    name: str
    model: str
    tools: tuple[str, ...]
    style: str
    prompt_tokens: int


SUPPORT, RESEARCH, ANALYST = AGENTS = (
    Agent("support", "gpt-4o-mini", ("search_orders", "get_account", "send_mail"), "openinference", 700),
    Agent("research", "claude-sonnet-4-5", ("web_search", "read_page", "take_note"), "genai", 900),
    Agent("analyst", "gpt-4o", ("list_tables", "run_query", "draw_chart"), "catalyst", 800),
)


@dataclass(frozen=True, slots=True)
class Traffic:
    """`runs` and `planted` are those of the window, by agent and by kind; `before` those of the one before, by kind."""

    start: datetime
    end: datetime
    spans: list[DecodedSpan]
    runs: Mapping[str, list[UUID]]
    planted: Mapping[str, frozenset[UUID]]
    before: Mapping[str, frozenset[UUID]]

    def planted_in(self, kind: str, agent: str) -> set[UUID]:
        return set(self.planted[kind].intersection(self.runs[agent]))


def make(
    now: datetime,
    *,
    seed: int = 0,
    runs: int = RUNS,
    plants: Mapping[str, float] | None = None,
    agents: Sequence[Agent] = AGENTS,
) -> Traffic:
    """Traffic of two windows of a week until `now`. `plants`: the share of each agent's runs by kind."""
    start, end = now - WEEK, now
    spans: list[DecodedSpan] = []
    ids: dict[str, list[UUID]] = {}
    found: tuple[dict[str, set[UUID]], ...] = (defaultdict(set), defaultdict(set))
    for agent in agents:
        chance = random.Random(f"traffic {seed} {agent.name}")
        for window, planted in zip((start - WEEK, start), found, strict=True):
            made = list(_runs(chance, agent, window, runs))
            ids[agent.name] = [run.trace_id for run in made]
            free = made
            for kind, rate in (plants or {}).items():
                eligible = _eligible(kind, free, is_window=window == start)
                chosen = chance.sample(eligible, min(round(rate * runs), len(eligible)))
                for number, run in enumerate(chosen):
                    PLANTERS[kind](chance, run, number)
                planted[kind].update(run.trace_id for run in chosen)
                free = [run for run in free if run.trace_id not in planted[kind]]
            for run in made:
                spans += _spans(chance, agent, run)
    before, within = ({kind: frozenset(traces) for kind, traces in each.items()} for each in found)
    return Traffic(start, end, spans, ids, within, before)


def write(project: Project, traffic: Traffic, now: datetime) -> None:
    """Store it as if it had been received now."""
    for batch in batched(traffic.spans, BATCH, strict=False):
        pipeline.store(project.pk, batch, now)


def _runs(chance: random.Random, agent: Agent, start: datetime, count: int) -> Iterator[Run]:
    """Sessions of one to four turns, spread evenly with noise."""
    made = 0
    while made < count:
        turns = min(chance.choice((1, 1, 2, 2, 3, 4)), count - made)
        session = f"{agent.name}-{chance.getrandbits(48):x}"
        user = f"user-{chance.randrange(400)}"
        begun = start + WEEK * ((made + chance.random()) / (count + 4))
        for turn in range(turns):
            yield _run(chance, agent, session, user, turn, begun + timedelta(minutes=4 * turn))
        made += turns


def _run(chance: random.Random, agent: Agent, session: str, user: str, turn: int, start: datetime) -> Run:
    asked, answered = f"{_text(chance, 8).capitalize()}?", f"{_text(chance, 20).capitalize()}."
    calls = [_model_call(chance, agent, asked, turn, 0)]
    for number, tool in enumerate(chance.sample(agent.tools, chance.choice((1, 1, 2))), 1):
        calls += [_tool_call(chance, tool), _model_call(chance, agent, asked, turn, number)]
    calls[-1].answer = answered
    trace_id = UUID(int=chance.getrandbits(128))
    run = Run(agent.name, session, user, turn, start, asked, answered, calls, trace_id)
    _add_noise(chance, run)
    return run


def _model_call(chance: random.Random, agent: Agent, asked: str, turn: int, number: int) -> Call:
    sent = int((agent.prompt_tokens + 120 * turn + 180 * number) * chance.uniform(0.9, 1.1))
    written = int(chance.lognormvariate(4.6, 0.5)) + 24
    return Call(
        "chat",
        chance.lognormvariate(0.1, 0.35),
        model=agent.model,
        prompt=asked,
        answer=f"{_text(chance, 10).capitalize()}.",
        input_tokens=sent,
        output_tokens=written,
    )


def _tool_call(chance: random.Random, tool: str) -> Call:
    arguments = {"query": _text(chance, 3), "limit": chance.randrange(1, 10_000)}
    return Call(
        tool, chance.lognormvariate(-1.2, 0.4), is_tool=True, arguments=arguments, result=f"Found: {_text(chance, 12)}."
    )


def _add_noise(chance: random.Random, run: Run) -> None:
    """What happens to any agent: now and then a tool fails differently, or a run does, or is slow."""
    if chance.random() < 0.004:
        run.tool().error = ("RuntimeError", f"Unexpected {_text(chance, 3)}")
    if chance.random() < 0.003:
        run.error = f"Gave up on {_text(chance, 3)}"
    if chance.random() < 0.01:
        chance.choice(run.calls).seconds *= chance.uniform(2, 4)


type Planter = Callable[[random.Random, Run, int], None]


def _eligible(kind: str, runs: list[Run], *, is_window: bool) -> list[Run]:
    """The runs in which a kind can be planted."""
    if kind == "regression":
        # Nothing in the window before, and only the last two fifths of this one.
        late = sorted(runs, key=lambda run: run.start)[3 * len(runs) // 5 :] if is_window else []
        for run in late:
            run.version = "1.5.0"
        return late
    if kind == "unanswered":
        return list({run.session: run for run in runs}.values())
    if kind == "slow_tail":
        first = next(agent.tools[0] for agent in AGENTS if agent.name == runs[0].agent)
        return [run for run in runs if run.tool().name == first]
    return runs


def _recurring_failure(chance: random.Random, run: Run, _: int) -> None:
    number = chance.randrange(10_000)
    run.tool().error = ("PaymentDeclined", f"Card {number:04} of order 'A-{number * 7}' was declined")
    run.error = "The payment failed"


def _failing_tool(chance: random.Random, run: Run, number: int) -> None:
    run.tool().name = "find_parcel"
    run.tool().result = ("[]", "No results found", "null", "")[number % 4]


def _redundant_call(chance: random.Random, run: Run, _: int) -> None:
    first = run.calls.index(run.tool())
    again = run.calls[first : first + 2]
    run.calls[first + 2 : first + 2] = [_copy(call) for _ in range(2) for call in again]


def _loop(chance: random.Random, run: Run, _: int) -> None:
    tool, model = run.tool(), run.models()[-1]
    for _ in range(6):
        step = _copy(tool)
        step.arguments = {**tool.arguments, "query": _text(chance, 3)}
        run.calls += [step, _copy(model)]


def _slow_tail(chance: random.Random, run: Run, _: int) -> None:
    run.tool().seconds += chance.uniform(25, 40)


def _waiting(chance: random.Random, run: Run, _: int) -> None:
    run.calls[-1].wait += chance.uniform(25, 40)


def _serial_tools(chance: random.Random, run: Run, _: int) -> None:
    fetches = [_tool_call(chance, "fetch_page") for _ in range(3)]
    for call in fetches:
        call.seconds = 4
    run.calls[1:1] = [*fetches, _copy(run.calls[0])]


def _expensive_path(chance: random.Random, run: Run, _: int) -> None:
    for call in run.models():
        call.model, call.input_tokens, call.output_tokens = "gpt-4", call.input_tokens * 4, 8


def _context_growth(chance: random.Random, run: Run, _: int) -> None:
    tool, model = run.tool(), run.models()[-1]
    for number in range(1, 7):
        step, call = _tool_call(chance, tool.name), _copy(model)
        step.result = _text(chance, 40)
        call.input_tokens += 5_000 * number
        run.calls += [step, call]


def _uncached_prompt(chance: random.Random, run: Run, _: int) -> None:
    for call in run.models():
        call.prompt = f"{POLICY} {call.prompt}"
        call.input_tokens += 9_000


def _cached_prompt(chance: random.Random, run: Run, number: int) -> None:
    _uncached_prompt(chance, run, number)
    for call in run.models():
        call.cached_tokens = 8_000


def _long_prompt(chance: random.Random, run: Run, number: int) -> None:
    _uncached_prompt(chance, run, number)
    for call in run.models():
        call.prompt = _text(chance, 600)


POLICY = " ".join(f"Rule {number}: answer politely, and never promise a refund." for number in range(60))


def _cut_off_answer(chance: random.Random, run: Run, number: int) -> None:
    last = run.models()[-1]
    last.finish_reason = ("length", "content_filter", "length")[number % 3]
    last.answer = "The first of the seven steps is to" if last.finish_reason == "length" else "I can't help with that."
    last.output_tokens = 1024 if last.finish_reason == "length" else 9


def _unreadable_json(chance: random.Random, run: Run, _: int) -> None:
    for call in run.models():
        call.extra = {"llm.invocation_parameters": '{"response_format": {"type": "json_schema"}}'}
        call.answer = '{"order": 7}'
    run.models()[-1].answer = 'Here is the order: {"order": 7}'


def _repeated_model_call(chance: random.Random, run: Run, number: int) -> None:
    first = run.calls[0]
    run.calls[1:1] = [_copy(first), _copy(first)]
    if number % 3 == 0:
        first.error = ("RateLimitError", "Too many requests")


def _unanswered(chance: random.Random, run: Run, number: int) -> None:
    if number % 2:
        run.is_open = True
    else:
        run.error = "Connection lost"
    run.answered = ""
    run.calls = run.calls[:1]
    run.calls[0].answer = ""
    run.calls[0].output_tokens = 0


def _regression(chance: random.Random, run: Run, _: int) -> None:
    run.error = f"Validation failed: {_text(chance, 2)}"


def _bad_label(chance: random.Random, run: Run, _: int) -> None:
    run.tool().name = "legacy_search"


def _mixed_traffic(chance: random.Random, run: Run, number: int) -> None:
    run.environment = "staging"
    if number % 5 < 3:
        run.error = f"Staging has no {_text(chance, 2)}"


def _instrumentation_gap(chance: random.Random, run: Run, number: int) -> None:
    gap = GAPS[number % len(GAPS)]
    if gap == "session":
        run.session = ""
    elif gap == "content":
        run.has_content = False
    elif gap == "orphan":
        run.calls[-1].is_orphan = True
    elif gap == "price":
        run.models()[-1].model = "in-house-7b"
    else:
        run.calls[0].extra = {"otel.dropped_attributes_count": 12}


GAPS = ("session", "content", "orphan", "price", "dropped")

PLANTERS: Mapping[str, Planter] = {
    "recurring_failure": _recurring_failure,
    "failing_tool": _failing_tool,
    "redundant_call": _redundant_call,
    "loop": _loop,
    "slow_tail": _slow_tail,
    "waiting": _waiting,
    "serial_tools": _serial_tools,
    "expensive_path": _expensive_path,
    "context_growth": _context_growth,
    "uncached_prompt": _uncached_prompt,
    "cached_prompt": _cached_prompt,
    "long_prompt": _long_prompt,
    "cut_off_answer": _cut_off_answer,
    "unreadable_json": _unreadable_json,
    "repeated_model_call": _repeated_model_call,
    "unanswered": _unanswered,
    "regression": _regression,
    "bad_label": _bad_label,
    "mixed_traffic": _mixed_traffic,
    "instrumentation_gap": _instrumentation_gap,
}


def _copy(call: Call) -> Call:
    return Call(**{name: getattr(call, name) for name in Call.__slots__})


def _text(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(WORDS, k=words))


_sources: dict[tuple[str, str, str], Source] = {}


def _source(run: Run) -> Source:
    key = (run.agent, run.version, run.environment)
    if key not in _sources:
        about = {"service.name": run.agent, "service.version": run.version, "deployment.environment": run.environment}
        _sources[key] = Source(about, "tests", "1")
    return _sources[key]


def _spans(chance: random.Random, agent: Agent, run: Run) -> Iterator[DecodedSpan]:
    """The root, then its calls one after the other. Each span says of which session and agent it is."""
    ids = [chance.getrandbits(62) + 1 for _ in range(len(run.calls) + 2)]
    common = {"agent.name": run.agent, "user.id": run.user}
    if run.session:
        common["session.id"] = run.session
    at = nanoseconds(run.start)
    begun, calls = at, []
    for call, span_id in zip(run.calls, ids[2:], strict=True):
        at += int(call.wait * SECOND)
        parent = ids[1] if call.is_orphan else ids[0]
        ended = at + int(call.seconds * SECOND)
        told = _tool_attributes(call) if call.is_tool else _model_attributes(agent, run, call)
        calls.append(_span(run, call.name, (span_id, parent, at, ended), common | told | call.extra, call.error))
        at = ended
    told = {"input.value": run.asked, "output.value": run.answered} if run.has_content else {}
    ended = 0 if run.is_open else at + SECOND // 100
    error = ("RunFailed", run.error) if run.error else None
    attributes = {"openinference.span.kind": "AGENT", **common, **told}
    yield _span(run, run.agent, (ids[0], None, begun, ended), attributes, error)
    yield from calls


def _tool_attributes(call: Call) -> dict[str, Any]:
    return {
        "openinference.span.kind": "TOOL",
        "tool.name": call.name,
        "input.value": json.dumps(call.arguments),
        "output.value": "" if call.error else call.result,
    }


def _model_attributes(agent: Agent, run: Run, call: Call) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "openinference.span.kind": "LLM",
        "llm.model_name": call.model,
        "llm.token_count.prompt": call.input_tokens,
        "llm.token_count.completion": call.output_tokens,
    }
    if call.cached_tokens:
        attributes["llm.token_count.prompt_details.cache_read"] = call.cached_tokens
    if run.has_content:
        attributes |= {
            "llm.input_messages.0.message.role": "user",
            "llm.input_messages.0.message.content": call.prompt,
        }
        if call.answer:
            attributes |= {
                "llm.output_messages.0.message.role": "assistant",
                "llm.output_messages.0.message.content": call.answer,
            }
        attributes |= _finish(agent.style, call)
    return attributes


def _finish(style: str, call: Call) -> dict[str, Any]:
    if style == "genai":
        return {"gen_ai.response.finish_reasons": [call.finish_reason]}
    if style == "catalyst":
        return {"llm.finish_reason": call.finish_reason}
    if not call.answer:
        return {}
    message = {"role": "assistant", "content": call.answer}
    return {"output.value": json.dumps({"choices": [{"finish_reason": call.finish_reason, "message": message}]})}


def _span(
    run: Run,
    name: str,
    place: tuple[int, int | None, int, int],
    attributes: dict[str, Any],
    error: tuple[str, str] | None,
) -> DecodedSpan:
    span_id, parent_id, start_ns, end_ns = place
    event = {"name": "exception", "time_unix_nano": end_ns}
    return DecodedSpan(
        source=_source(run),
        trace_id=run.trace_id,
        span_id=span_id,
        parent_id=parent_id,
        name=name,
        otel_kind=1,
        start_ns=start_ns,
        end_ns=end_ns,
        status="error" if error else "ok",
        status_message=error[1] if error else "",
        attributes=attributes,
        events=[{**event, "attributes": dict(zip(EXCEPTION, error, strict=True))}] if error else [],
        links=[],
    )


EXCEPTION = ("exception.type", "exception.message")
