"""What the spans of a trace add up to.

All rollups are sums of these over traces, so ingest can apply the difference between two summaries of a trace, and the
order in which spans arrive does not matter.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from decimal import Decimal
from operator import attrgetter

from traces.counted_usage import count_usage
from traces.records import SpanRecord

MAX_MODELS = 20
# Models and tools of a trace that are counted by name. Calls of others count as OTHER.
MAX_NAMES = 40
OTHER = "(other)"
BUCKET_BASE = math.log(1.1)
MICROSECOND = timedelta(microseconds=1)


@dataclass(slots=True)
class Counts:
    """The sums of `traces.models.trace.Counters`."""

    span_count: int = 0
    llm_count: int = 0
    tool_count: int = 0
    error_count: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost: Decimal = Decimal(0)
    input_cost: Decimal = Decimal(0)
    cache_cost: Decimal = Decimal(0)
    output_cost: Decimal = Decimal(0)
    unpriced_count: int = 0

    def add(self, other: "Counts", sign: int = 1) -> None:
        for name, number in zip(COUNTS, _numbers(other), strict=True):
            if number:
                setattr(self, name, getattr(self, name) + sign * number)


COUNTS = tuple(field.name for field in fields(Counts))
_numbers: Callable[[Counts], tuple[int | Decimal, ...]] = attrgetter(*COUNTS)
COSTS = frozenset(("cost", "input_cost", "cache_cost", "output_cost"))

# Kind, name of the model or tool, latency bucket (None while the call is open).
type CallKey = tuple[str, str, int | None]


@dataclass(slots=True)
class Calls:
    """The sums of `traces.models.agent_hours.AgentHourCalls`."""

    call_count: int = 0
    error_count: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost: Decimal = Decimal(0)
    unpriced_count: int = 0

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def add(self, call: SpanRecord, sign: int) -> None:
        self.call_count += sign
        self.error_count += sign * (call.status == "error")
        if call.kind == "TOOL":
            return
        self.input_tokens += sign * (call.input_tokens or 0)
        self.output_tokens += sign * (call.output_tokens or 0)
        self.cached_tokens += sign * (call.cached_tokens or 0)
        self.cost += sign * (call.cost or 0)
        self.unpriced_count += sign * is_unpriced(call)


CALLS = tuple(field.name for field in fields(Calls))


# An agent that reports no outcome has that of the status.
OUTCOME_OF_STATUS = {"ok": "success", "error": "failure"}


@dataclass(slots=True, kw_only=True)
class Summary:
    """The columns of `traces.models.trace.Trace` that follow from its spans."""

    agent_id: int | None
    session_key: str
    user: str
    service: str
    service_version: str
    environment: str
    name: str
    status: str
    outcome: str
    start_time: datetime
    end_time: datetime
    duration_us: int
    root_span_id: int | None
    root_ended: bool
    model_names: list[str]
    skewed: bool
    counts: Counts = field(default_factory=Counts)
    calls: Sequence[tuple[CallKey, SpanRecord]] = ()
    input_span: SpanRecord | None
    output_span: SpanRecord | None

    @property
    def reports_outcome(self) -> bool:
        return self.outcome not in ("unknown", OUTCOME_OF_STATUS.get(self.status))

    @property
    def hour(self) -> datetime:
        return self.start_time.replace(minute=0, second=0, microsecond=0)

    @property
    def bucket(self) -> int:
        return latency_bucket(self.duration_us)


def latency_bucket(duration_us: int) -> int:
    """floor(ln(duration in µs) / ln(1.1)), so a bucket is within 5 % of the duration."""
    return math.floor(math.log(max(duration_us, 1)) / BUCKET_BASE)


def bucket_duration_us(bucket: int) -> float:
    """The middle of a latency bucket."""
    return math.exp((bucket + 0.5) * BUCKET_BASE)


def span_end(span: SpanRecord) -> datetime:
    """The end of a span; the start if it is open."""
    return span.start_time + timedelta(microseconds=span.duration_us or 0)


def summarize(spans: Sequence[SpanRecord]) -> Summary:
    """Summarize all spans of a trace.

    Agent, session and the like come from the earliest root, else from the earliest span.
    """
    ordered = sorted(spans, key=_seniority)
    roots = [span for span in ordered if span.parent_id is None]
    root = roots[0] if roots else None
    root_ended = bool(roots) and all(span.ended for span in roots)
    earliest = ordered[0]
    start, end = earliest.start_time, max(map(span_end, spans))
    status = _status(roots, spans)
    if root is not None and root is not earliest:
        ordered = [root, *(span for span in ordered if span is not root)]
    served = next((span for span in ordered if span.service), None)
    counted = count_usage(spans)
    return Summary(
        agent_id=next((span.agent_id for span in ordered if span.agent_id is not None), None),
        session_key=_first(span.session_key for span in ordered),
        user=_first(span.user for span in ordered),
        service=served.service if served is not None else "",
        service_version=served.service_version if served is not None else "",
        environment=_first(span.environment for span in ordered),
        name=ordered[0].name,
        status=status,
        outcome=_outcome(status if roots else "", ordered),
        start_time=start,
        end_time=end,
        duration_us=_duration(roots) if root_ended else (end - start) // MICROSECOND,
        root_span_id=root.span_id if root is not None else None,
        root_ended=root_ended,
        model_names=sorted({span.model for span in spans if span.kind == "LLM" and span.model})[:MAX_MODELS],
        skewed=earliest.skewed,
        counts=_count(spans, counted.usage),
        calls=_calls([span for span in spans if span.kind == "TOOL" or span.span_id in counted.calls]),
        input_span=next((span for span in ordered if span.input_size and span.kind != "TOOL"), None),
        output_span=_output_span(root, ordered),
    )


def _seniority(span: SpanRecord) -> tuple[datetime, int, int]:
    # A parent comes before its children: it starts earlier, or at the same time and takes longer.
    return span.start_time, -(span.duration_us if span.duration_us is not None else 1 << 62), span.span_id


def _first(values: Iterable[str]) -> str:
    return next((value for value in values if value), "")


def _duration(roots: Sequence[SpanRecord]) -> int:
    """From the start of the first root to the end of the last one."""
    return (max(map(span_end, roots)) - roots[0].start_time) // MICROSECOND


def _status(roots: Sequence[SpanRecord], spans: Sequence[SpanRecord]) -> str:
    if any(span.status == "error" for span in roots or spans):
        return "error"
    return roots[0].status if roots else "unset"


def _outcome(root_status: str, ordered: Sequence[SpanRecord]) -> str:
    outcome = next((span.outcome for span in ordered if span.outcome != "unknown"), None)
    return outcome or OUTCOME_OF_STATUS.get(root_status, "unknown")


def _output_span(root: SpanRecord | None, ordered: Sequence[SpanRecord]) -> SpanRecord | None:
    if root is not None and root.output_size:
        return root
    speaking = [span for span in ordered if span.output_size and span.kind != "TOOL"]
    return max(speaking, key=lambda span: (span_end(span), span.span_id), default=None)


def is_unpriced(span: SpanRecord) -> bool:
    """Whether an LLM span used tokens and has no known price."""
    return span.cost is None and bool(span.input_tokens or span.output_tokens)


def with_named_agent(spans: Sequence[SpanRecord]) -> set[int]:
    """Ids of spans whose agent is final: the span or one of its ancestors names an agent."""
    naming = {span.span_id for span in spans if span.agent_id is not None}
    return naming if len(naming) == len(spans) else naming | descendants(spans, naming)


def descendants(spans: Sequence[SpanRecord], ancestors: set[int]) -> set[int]:
    """Ids of spans below one of `ancestors`. Cyclic spans are below each other. Linear time."""
    parents = {span.span_id: span.parent_id for span in spans}
    below: dict[int | None, bool] = {}
    if not ancestors.isdisjoint(parents.values()):
        for span in spans:
            _walk_up(span.span_id, parents, ancestors, below)
    return {span_id for span_id, is_below in below.items() if is_below and span_id is not None}


def _walk_up(
    span_id: int | None, parents: dict[int, int | None], ancestors: set[int], below: dict[int | None, bool]
) -> None:
    path: dict[int, None] = {}
    while span_id in parents and span_id not in below and span_id not in path:
        path[span_id] = None
        span_id = parents[span_id]
    steps = list(path)
    if span_id in path:
        first = steps.index(span_id)
        circle, steps = steps[first:], steps[:first]
        below |= dict.fromkeys(circle, not ancestors.isdisjoint(circle))
    for step in reversed(steps):
        parent = parents[step]
        below[step] = parent in ancestors or below.get(parent, False)


def _count(spans: Sequence[SpanRecord], counted: Set[int]) -> Counts:
    counts = Counts(span_count=len(spans))
    for span in spans:
        counts.error_count += span.status == "error"
        counts.tool_count += span.kind == "TOOL"
        counts.llm_count += span.kind == "LLM"
        if span.span_id in counted:
            _add_usage(counts, span)
    return counts


def _add_usage(counts: Counts, span: SpanRecord) -> None:
    counts.input_tokens += span.input_tokens or 0
    counts.output_tokens += span.output_tokens or 0
    counts.cached_tokens += span.cached_tokens or 0
    counts.cache_write_tokens += span.cache_write_tokens or 0
    counts.reasoning_tokens += span.reasoning_tokens or 0
    counts.cost += span.cost or 0
    counts.input_cost += span.input_cost or 0
    counts.cache_cost += span.cache_cost or 0
    counts.output_cost += span.output_cost or 0
    counts.unpriced_count += is_unpriced(span)


def _calls(called: Sequence[SpanRecord]) -> list[tuple[CallKey, SpanRecord]]:
    # Senders choose the names, so the number of names is limited.
    counts = Counter(map(_call_name, called))
    kept = set(counts)
    if len(counts) > MAX_NAMES:
        kept = set(sorted(counts, key=lambda name: (-counts[name], name))[:MAX_NAMES])
    calls: list[tuple[CallKey, SpanRecord]] = []
    for span in called:
        kind, name = _call_name(span)
        if (kind, name) not in kept:
            name = OTHER
        calls.append(((kind, name, _bucket(span.duration_us)), span))
    return calls


def _call_name(span: SpanRecord) -> tuple[str, str]:
    kind, name = named_call(span)
    return kind, OTHER if span.counts_as_other else name


def named_call(span: SpanRecord) -> tuple[str, str]:
    """Kind and name under which a call counts: of the tool or of the model. The name is empty if none is given.

    An agent or an embedding whose usage counts is a call of its model.
    """
    return ("TOOL", span.tool) if span.kind == "TOOL" else ("LLM", span.model)


def _bucket(duration_us: int | None) -> int | None:
    return None if duration_us is None else latency_bucket(duration_us)
