"""Operations on results of signals."""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from catalyst import timerange
from catalyst.core.operation_context import Context
from catalyst.operations import CAMEL, Effect, Input, InvalidInput, NotFound, Scope, UtcTime, operation
from catalyst.timerange import TimeRange
from signals.filters import LabelFilter
from signals.judging import judges
from signals.models import Signal
from signals.operations.inputs import RangeInput, SignalInput, VersionNumber, named_range, signal_of
from signals.results import coverage, rates, summaries
from signals.results.missing_labels import explain_missing
from signals.results.queue_status import queue_status
from signals.results.rollups import sums
from signals.serializers import (
    BucketRecord,
    CoverageRecord,
    FailureRecord,
    MissingLabelRecord,
    RateRecord,
    of_distribution,
)
from signals.targets import eligibility
from signals.targets.eligibility import TargetEligibility
from signals.targets.volume import recent_volume
from traces.models import Trace
from traces.operations.inputs import agent_of, session_of


class DistributionInput(SignalInput):
    start: UtcTime = Field(alias="from", description="Start, ISO 8601, in UTC by default.")
    end: UtcTime | None = Field(None, alias="to", description="End, exclusive (default: now).")
    bucket: Literal["hour", "day"] = "hour"
    signal_version: VersionNumber | None = Field(None, description="Only labels of this version.")


@dataclass(frozen=True, slots=True)
class Distribution:
    buckets: list[BucketRecord]


@operation("signals.distribution", Scope.READ, Effect.READS)
def distribution(context: Context, arguments: DistributionInput) -> Distribution:
    """Count labels by hour or day, by the start of their targets."""
    signal, step = signal_of(context, arguments), timerange.WIDTHS[arguments.bucket]
    end = arguments.end or context.now
    if arguments.start >= end:
        raise InvalidInput({"from": "The time must begin before it ends."})
    start, end = timerange.floor(arguments.start, step), timerange.ceil(end, step)
    wanted = LabelFilter(version=arguments.signal_version)
    counts = sums(signal=signal).matching(wanted).over_time(TimeRange(timerange.CUSTOM, start, end, step))
    return Distribution(of_distribution(counts[signal.pk], summaries.versions(signal)))


class CoverageInput(SignalInput, RangeInput):
    pass


@dataclass(frozen=True, slots=True)
class Coverage:
    """Whole days, newest first. `total` is their sum."""

    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    days: list[CoverageRecord]
    total: CoverageRecord


@operation("signals.coverage", Scope.READ, Effect.READS)
def show_coverage(context: Context, arguments: CoverageInput) -> Coverage:
    """Show what became of the matching targets of a signal, by day and version."""
    signal = signal_of(context, arguments)
    days = coverage.whole_days(named_range(arguments, context.now))
    found = coverage.by_day(signal, days, context.now)
    return Coverage([CoverageRecord.of(row) for row in found.rows], CoverageRecord.of(found.total))


@dataclass(frozen=True, slots=True)
class Queue:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    judge: str
    waiting_count: int
    failed_count: int
    lag_seconds: int | None
    """Seconds since the oldest live label became due; None if no label is due."""
    settling_lag_seconds: int | None
    """How late the instance is to find new targets; None while it keeps up."""
    failures: list[FailureRecord]
    """The most frequent reasons of the newest failures."""


@operation("signals.queue", Scope.READ, Effect.READS)
def show_queue(context: Context, arguments: SignalInput) -> Queue:
    """Show how far judging is behind, who judges, and why labels failed."""
    signal = signal_of(context, arguments)
    version, status = signal.current_version, queue_status(signal, context.now)
    return Queue(
        judge=judges.judge_of(version).name if version else "",
        waiting_count=status.waiting,
        failed_count=status.failed,
        lag_seconds=_seconds(status.lag),
        settling_lag_seconds=_seconds(status.late),
        failures=[FailureRecord(text, count) for text, count in status.reasons],
    )


def _seconds(length: timedelta | None) -> int | None:
    return round(length.total_seconds()) if length is not None else None


class RatesInput(RangeInput):
    agent: str = Field(description="Identity of the agent.")


@dataclass(frozen=True, slots=True)
class Rates:
    """The headline label of each active signal, worsened ones first."""

    rates: list[RateRecord]


@operation("signals.rates", Scope.READ, Effect.READS)
def list_rates(context: Context, arguments: RatesInput) -> Rates:
    """Compare how often the active signals of an agent gave their headline label with the period before."""
    agent = agent_of(context, arguments.agent)
    active = context.project.signals.for_agent(agent).unarchived().filter(state=Signal.State.ACTIVE).for_list()
    found = rates.rates(list(active), named_range(arguments, context.now), context.now)
    return Rates([RateRecord.of(rate) for rate in found])


class TrafficInput(Input):
    agent: str = Field(description="Identity of the agent.")


@dataclass(frozen=True, slots=True)
class RecentTraffic:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    span_count: int
    trace_count: int
    session_count: int


@operation("signals.traffic", Scope.WRITE, Effect.READS)
def show_traffic(context: Context, arguments: TrafficInput) -> RecentTraffic:
    """Count the spans, traces and sessions of the last 7 days that a signal of an agent could evaluate."""
    found = recent_volume(agent_of(context, arguments.agent), context.now)
    return RecentTraffic(found.spans, found.traces, found.sessions)


class ExplainInput(Input):
    trace: str | None = Field(None, description="Trace ID, 32 hexadecimal digits.")
    span: str | None = Field(None, description="Span ID within the trace, 16 hexadecimal digits.")
    session: str | None = Field(None, description="Session ID, as spans carry it.")


@dataclass(frozen=True, slots=True)
class Explanation:
    missing: list[MissingLabelRecord]


@operation("signals.explain", Scope.READ, Effect.READS)
def explain(context: Context, arguments: ExplainInput) -> Explanation:
    """Explain why signals gave no label to a trace, to a span of it, or to a session."""
    found = explain_missing(context.project, _target_of(context, arguments), context.now)
    return Explanation([MissingLabelRecord.of(missing) for missing in found])


def _target_of(context: Context, arguments: ExplainInput) -> TargetEligibility:
    if arguments.session is not None:
        return eligibility.of_session(session_of(context, arguments.session))
    if arguments.trace is None:
        raise InvalidInput({"": "Give a trace or a session."})
    trace = _trace_of(context, arguments.trace)
    if arguments.span is None:
        return eligibility.of_trace(trace)
    target = eligibility.of_span(trace, arguments.span)
    if target is None:
        raise NotFound(f"The trace {arguments.trace} has no span {arguments.span}.")
    return target


def _trace_of(context: Context, hex_id: str) -> Trace:
    try:
        trace_id = UUID(hex=hex_id)
    except ValueError as error:
        raise InvalidInput({"trace": "A trace ID has 32 hexadecimal digits."}) from error
    trace = context.project.traces.select_related("project", "session").filter(trace_id=trace_id).first()
    if trace is None:
        raise NotFound(f"The project {context.project.slug} has no trace {hex_id}.")
    return trace
