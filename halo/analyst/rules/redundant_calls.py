"""Tools that are called again with the same arguments, although nothing has changed."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import batched, chain
from typing import NamedTuple, override
from uuid import UUID

import orjson

from halo.analyst.citing import Place, cite
from halo.analyst.failures import TOOL_KINDS, place_of
from halo.analyst.material import Candidate, Rule, Step, Texts, TraceRun, Window
from halo.analyst.severities import severity_of
from halo.analyst.wording import counted, share_of_runs, short, spending
from halo.choices import Category
from traces.records import PayloadRecord

KIND = "redundant_call"
MIN_RUNS = 3
MAX_READ = 10_000
# Groups of calls whose texts are held at once.
BATCH = 200
# Later, what was read may have changed by itself.
MAX_AGE = timedelta(hours=1)
# Tools whose names begin so change nothing. Any other may have changed what a call returns.
READING = re.compile(
    r"(?:\w+[._/-])?(?:get|search|list|find|look_?up|read|fetch|check|query|retrieve|calculate|compute|think|plan|show|"
    r"view|describe|validate|verify|browse|grep|count|summari[sz]e)(?:[^a-z]|$)"
)


class _Following(NamedTuple):
    """What the model call after a tool call took."""

    span_id: int
    cost: Decimal
    tokens: int
    duration_us: int


class _Call(NamedTuple):
    """A tool call that ended well. Less than its step, as very many are kept."""

    run: TraceRun
    span_id: int
    start_time: datetime
    duration_us: int
    following: _Following | None


type _Key = tuple[str, int]
"""Tool and size of the arguments."""


class RedundantCalls(Rule):
    """Compares arguments where a tool and their size repeat within a session."""

    def __init__(self) -> None:
        self._session: object = None
        self._seen: dict[_Key, list[_Call]] = {}
        # Calls of one tool whose arguments are equally long, without another effect between.
        self._alike: dict[str, list[list[_Call]]] = defaultdict(list)

    @override
    def add(self, run: TraceRun, steps: Sequence[Step]) -> None:
        session = run.session_id or run.trace_id
        if session != self._session:
            self._end(self._seen)
            self._session, self._seen = session, {}
        for step, call in _calls(run, steps):
            self._take(step, call)

    def _take(self, step: Step, call: _Call) -> None:
        tool = place_of(step)
        key = tool, step.input_size
        if step.kind == "TOOL" and not READING.match(tool.lower()):
            self._end(others := {other: self._seen[other] for other in self._seen if other != key})
            self._seen = {other: calls for other, calls in self._seen.items() if other not in others}
        if step.input_size:
            self._seen.setdefault(key, []).append(call)

    def _end(self, seen: dict[_Key, list[_Call]]) -> None:
        for (tool, _), calls in seen.items():
            if len(calls) > 1:
                self._alike[tool].append(calls)

    @override
    def candidates(self, window: Window, texts: Texts) -> Sequence[Candidate]:
        self._end(self._seen)
        self._seen = {}
        found = []
        for tool, alike in self._alike.items():
            # Evenly over the window, if there are too many.
            read = alike[:: -(-sum(map(len, alike)) // MAX_READ)]
            repeats = list(_repeats(read, texts))
            if len({call.run.trace_id for call in repeats}) >= MIN_RUNS:
                found.append(_candidate(tool, repeats, window, len(read) < len(alike)))
        return found


def _calls(run: TraceRun, steps: Sequence[Step]) -> Iterator[tuple[Step, _Call]]:
    following: _Following | None = None
    calls = []
    for step in reversed(steps):
        if step.kind == "LLM":
            tokens = (step.input_tokens or 0) + (step.output_tokens or 0)
            following = _Following(step.span_id, step.cost or Decimal(0), tokens, step.duration_us or 0)
        elif step.kind in TOOL_KINDS and step.status != "error":
            calls.append((step, _Call(run, step.span_id, step.start_time, step.duration_us or 0, following)))
    return reversed(calls)


def _repeats(alike: Sequence[Sequence[_Call]], texts: Texts) -> Iterator[_Call]:
    """Calls whose arguments an earlier one has."""
    for some in batched(alike, BATCH, strict=False):
        yield from _repeats_of(some, texts)


def _repeats_of(alike: Sequence[Sequence[_Call]], texts: Texts) -> Iterator[_Call]:
    wanted: dict[UUID, list[int]] = defaultdict(list)
    for call in chain.from_iterable(alike):
        wanted[call.run.trace_id].append(call.span_id)
    payloads = texts.of(wanted)
    for calls in alike:
        last: dict[str, _Call] = {}
        for call in calls:
            arguments = arguments_of(payloads.get(call.run.trace_id, {}).get(call.span_id))
            if arguments and _is_recent(last.get(arguments), call):
                yield call
            last[arguments] = call


def _is_recent(before: _Call | None, call: _Call) -> bool:
    return before is not None and call.start_time - before.start_time <= MAX_AGE


def arguments_of(payload: PayloadRecord | None) -> str:
    """The arguments of a tool call, in one form for all that mean the same; empty if they are not stored."""
    if payload is None or not (payload.input or payload.input_messages):
        return ""
    text = payload.input or orjson.dumps(payload.input_messages).decode()
    try:
        return orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS).decode()
    except orjson.JSONDecodeError:
        return " ".join(text.lower().split())


def _candidate(tool: str, repeats: Sequence[_Call], window: Window, is_sample: bool) -> Candidate:
    runs = {call.run.trace_id: call.run for call in repeats}
    following = list({call.following.span_id: call.following for call in repeats if call.following}.values())
    cost, tokens = sum((each.cost for each in following), Decimal(0)), sum(each.tokens for each in following)
    duration_us = sum(each.duration_us for each in following) + sum(call.duration_us for call in repeats)
    wasted = max(
        _share(cost, (run.cost for run in window.runs)), _share(duration_us, (run.duration_us for run in window.runs))
    )
    again = "reads the same again" if READING.match(tool.lower()) else "is called again with the same arguments"
    more = " There were too many calls to read all arguments, so there may be more." if is_sample else ""
    return Candidate(
        kind=KIND,
        title=f"{short(tool)} {again} in {share_of_runs(len(runs), window.total)}",
        category=Category.TOOL_USE,
        severity=severity_of(wasted=wasted),
        signature=f"{KIND}|{tool}",
        happens=f"{counted(len(repeats), 'call')} have the same arguments as an earlier one of the run or session, at "
        f"most an hour before, which ended well. No other tool that could change the answer ran between.{more}",
        evidence=f"With the model calls after them, these calls took {spending(duration_us, tokens, cost)}.",
        fix="Keep results of the session and answer a repeated call from them. Tell the model in the prompt that it "
        "already has the result, and check that the result is still in what is sent to it.",
        traces=frozenset(runs),
        harm=wasted,
        cause=tool,
        cost=cost or None,
        tokens=tokens or None,
        duration_us=duration_us or None,
        citations=cite([Place(call.run, call.span_id, call.duration_us) for call in repeats]),
    )


def _share(part: Decimal | int, whole: Iterable[Decimal | int]) -> float:
    total = sum(whole)
    return float(part / total) if total else 0.0
