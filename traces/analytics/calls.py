"""Tables of the models and tools that an agent called."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import accumulate, chain
from operator import attrgetter
from typing import Any

from catalyst import timerange
from catalyst.core.models import Project
from catalyst.pagination import Sort
from catalyst.timerange import TimeRange
from traces.models import AgentHourCalls, Kind, Trace
from traces.models.volumes import agent_is
from traces.store.reads import spans_of
from traces.usage import Called

MAX_ROWS = 20
# Those of lower cost, or with fewer calls, come last.
MAX_SORTED = 200
BY_COST = Sort("cost")
BY_CALLS = Sort("calls")
MAX_CAUSES = 5
MAX_FAILED_RUNS = 50
MAX_READ_SPANS = 2_000
MAX_MESSAGE_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Cause:
    """The errors of a model or tool. `message`: the most frequent one of the newest failed runs."""

    name: str
    kind: str
    errors: int
    message: str = ""


@dataclass(frozen=True, slots=True)
class CallTables:
    """Models, tools, and causes by errors. `since`: start of the first hour if it precedes the range.

    `more_models`: how many are not shown; `unsorted_models`: how many of them might come first, by the sort order.
    """

    models: Sequence[Called]
    more_models: int
    unsorted_models: int
    tools: Sequence[Called]
    more_tools: int
    unsorted_tools: int
    causes: Sequence[Cause]
    errors: int
    since: datetime | None


def tables(
    project: Project,
    agent: int,
    time_range: TimeRange,
    models_sort: Sort = BY_COST,
    tools_sort: Sort = BY_CALLS,
) -> CallTables:
    """Sums of the hours that the range touches."""
    calls = AgentHourCalls.objects.filter(agent_is(agent), project=project).within(time_range)
    models, other_models = calls.greatest(Kind.LLM, "cost", MAX_SORTED)
    tools, other_tools = calls.greatest(Kind.TOOL, "call_count", MAX_SORTED)
    causes = calls.failing(MAX_CAUSES)
    messages = _messages(project, agent, time_range) if causes else {}
    first = timerange.floor(time_range.start, timerange.HOUR)
    return CallTables(
        _sorted(models, models_sort)[:MAX_ROWS],
        other_models + max(len(models) - MAX_ROWS, 0),
        0 if models_sort == BY_COST else other_models,
        _sorted(tools, tools_sort)[:MAX_ROWS],
        other_tools + max(len(tools) - MAX_ROWS, 0),
        0 if tools_sort == BY_CALLS else other_tools,
        [Cause(name, kind, errors, messages.get((kind, name), "")) for kind, name, errors in causes],
        calls.errors(),
        first if first < time_range.start else None,
    )


def _error_rate(called: Called) -> float:
    return called.calls.error_count / called.calls.call_count


def _cost(called: Called) -> Decimal | None:
    return called.calls.cost if called.calls.cost or not called.calls.unpriced_count else None


_VALUES: Mapping[str, Callable[[Called], Any]] = {
    "name": lambda called: called.name.casefold(),
    "calls": lambda called: called.calls.call_count,
    "errors": _error_rate,
    "p50": attrgetter("p50_us"),
    "p95": attrgetter("p95_us"),
    "tokens": lambda called: called.calls.total_tokens,
    "cost": _cost,
}


def _sorted(entries: Sequence[Called], sort: Sort) -> list[Called]:
    """Those without a value come last, whichever way."""
    value = _VALUES[sort.key]
    known = [entry for entry in entries if value(entry) is not None]
    unknown = [entry for entry in entries if value(entry) is None]
    return sorted(known, key=value, reverse=sort.is_descending) + unknown


def _messages(project: Project, agent: int, time_range: TimeRange) -> dict[tuple[str, str], str]:
    """The most frequent message by kind and name of what failed."""
    failed = project.traces.filter(agent_is(agent), error_count__gt=0).within(time_range).newest()[:MAX_FAILED_RUNS]
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for span in chain.from_iterable(spans_of(_readable(failed)).values()):
        if span.status == "error" and span.status_message:
            name = span.model if span.kind == Kind.LLM else span.tool
            counts[span.kind, name][span.status_message[:MAX_MESSAGE_CHARACTERS]] += 1
    # Of equal counts the first by alphabet, so that it stays the same.
    return {what: min(messages, key=lambda text: (-messages[text], text)) for what, messages in counts.items()}


def _readable(traces: Iterable[Trace]) -> list[Trace]:
    """The first of them, until they have `MAX_READ_SPANS` spans. One trace is always read, as its own page does."""
    found = list(traces)
    before = accumulate((trace.span_count for trace in found), initial=0)
    return [trace for trace, spans in zip(found, before, strict=False) if spans < MAX_READ_SPANS]
