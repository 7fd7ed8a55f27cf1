"""Operations on labels."""

from dataclasses import dataclass
from typing import ClassVar, Literal
from uuid import UUID

from django.core.exceptions import ValidationError
from pydantic import ConfigDict, Field

from catalyst import timerange
from catalyst.core.operation_context import Context
from catalyst.operations import (
    CAMEL,
    Effect,
    Id,
    Input,
    InvalidInput,
    Limit,
    NotFound,
    Page,
    Scope,
    UtcTime,
    cursor_of,
    operation,
)
from catalyst.timerange import TimeRange
from signals import operations
from signals.definitions.choices import Type
from signals.definitions.definition import TRUTH
from signals.filters import LabelFilter
from signals.models import Label, Signal
from signals.operations.inputs import SignalInput, VersionNumber, WindowInput, signal_of, window
from signals.results import labels, summaries, verdicts
from signals.results.explain import explain_missing
from signals.results.rollups import sums
from signals.results.rows import load_rows
from signals.serializers import BucketRecord, LabelRecord, MissingLabelRecord, of_distribution, time
from signals.targets import state
from signals.targets.state import TargetState
from traces.models import Trace

BUCKETS = {"hour": timerange.HOUR, "day": timerange.DAY}


class LabelsInput(SignalInput, WindowInput):
    label: str = Field("", description="Only this one; true or false of a binary.")
    status: Literal["", "waiting", "done", "failed", "skipped"] = ""
    signal_version: VersionNumber | None = Field(None, description="Only labels of this version.")
    search: str = Field("", description="Part of the reason.")
    run: Id | None = Field(None, description="Only labels of this run.")
    limit: Limit = 50
    after: str | None = Field(None, description="Continue a list: `next` of the page before.")


@operation("signals.labels", Scope.READ, Effect.READS)
def list_labels(context: Context, given: LabelsInput) -> Page[LabelRecord]:
    """List labels with their reasons, newest targets first."""
    signal = signal_of(context, given)
    after = cursor_of(given.after)
    version = signal.current_version
    value = TRUTH.get(given.label, given.label) if version and version.type == Type.BINARY else given.label
    wanted = LabelFilter(value, given.status, given.signal_version, given.run, given.search.strip())
    page = labels.page(signal, wanted, window(given, context.now), after, given.limit)
    rows = load_rows(context.project, signal.scope, page.labels)
    return Page([LabelRecord.of(row) for row in rows], str(page.more) if page.more else None)


class LabelInput(SignalInput):
    label: Id = Field(description="ID of the label, as `labels` shows it.")


@dataclass(frozen=True, slots=True)
class VerdictRecord:
    """One answer of a judge about the target of a label."""

    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    id: str
    value: str | None
    reason: str
    error: str | None
    judge: str
    counts: bool
    """Whether the label has its value from it."""
    created_at: str | None


@dataclass(frozen=True, slots=True)
class LabelDetail:
    """A label with its newest verdicts."""

    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    label: LabelRecord
    verdicts: list[VerdictRecord]


@operation("signals.label", Scope.READ, Effect.READS)
def show_label(context: Context, given: LabelInput) -> LabelDetail:
    """Show a label with its verdicts, newest first."""
    signal = signal_of(context, given)
    return _label_detail(context, signal, _label_of(signal, given))


@operation("signals.retry_label", Scope.WRITE, Effect.WRITES)
def retry_label(context: Context, given: LabelInput) -> LabelDetail:
    """Queue a failed label again."""
    signal = signal_of(context, given)
    label = _label_of(signal, given)
    if not Label.objects.filter(pk=label.pk).retry(context.now):
        raise ValidationError("This label hasn't failed, so there is nothing to retry.")
    return _label_detail(context, signal, _label_of(signal, given))


@dataclass(frozen=True, slots=True)
class Retried:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    queued_count: int


@operation("signals.retry", Scope.WRITE, Effect.WRITES)
def retry_failed(context: Context, given: SignalInput) -> Retried:
    """Queue the failed labels of the current version again."""
    return Retried(operations.retry_failed(signal_of(context, given), context.now))


def _label_of(signal: Signal, given: LabelInput) -> Label:
    label = signal.label_set.for_list().filter(pk=given.label).first()
    if label is None:
        raise NotFound(f"Signal {signal.pk} has no label {given.label}.")
    return label


def _label_detail(context: Context, signal: Signal, label: Label) -> LabelDetail:
    record = LabelRecord.of(load_rows(context.project, signal.scope, [label])[0])
    rows = verdicts.rows(label)[: verdicts.MAX_VERDICTS]
    return LabelDetail(record, [_verdict(row) for row in rows])


def _verdict(row: verdicts.Row) -> VerdictRecord:
    verdict = row.verdict
    return VerdictRecord(
        id=str(verdict.pk),
        value=verdict.value or None,
        reason=verdict.reason,
        error=verdict.error or None,
        judge=row.judge,
        counts=row.counts,
        created_at=time(verdict.created_at),
    )


class DistributionInput(SignalInput):
    start: UtcTime = Field(alias="from", description="Start, ISO 8601, in UTC by default.")
    end: UtcTime | None = Field(None, alias="to", description="End, exclusive (default: now).")
    bucket: Literal["hour", "day"] = "hour"
    signal_version: VersionNumber | None = Field(None, description="Only labels of this version.")


@dataclass(frozen=True, slots=True)
class Distribution:
    buckets: list[BucketRecord]


@operation("signals.distribution", Scope.READ, Effect.READS)
def distribution(context: Context, given: DistributionInput) -> Distribution:
    """Count labels by hour or day, by the start of their targets."""
    signal, step = signal_of(context, given), BUCKETS[given.bucket]
    end = given.end or context.now
    if given.start >= end:
        raise InvalidInput({"from": "The time must begin before it ends."})
    start, end = timerange.floor(given.start, step), timerange.ceil(end, step)
    wanted = LabelFilter(version=given.signal_version)
    counts = sums(signal=signal).matching(wanted).over_time(TimeRange(timerange.CUSTOM, start, end, step))
    return Distribution(of_distribution(counts[signal.pk], summaries.versions(signal)))


class ExplainInput(Input):
    trace: str | None = Field(None, description="Trace ID, 32 hexadecimal digits.")
    span: str | None = Field(None, description="Span ID within the trace, 16 hexadecimal digits.")
    session: str | None = Field(None, description="Session ID, as spans carry it.")


@dataclass(frozen=True, slots=True)
class Explanation:
    """The signals for a target that gave it no label."""

    missing: list[MissingLabelRecord]


@operation("signals.explain", Scope.READ, Effect.READS)
def explain(context: Context, given: ExplainInput) -> Explanation:
    """Explain why signals gave no label to a trace, to a span of it, or to a session."""
    found = explain_missing(context.project, _target_of(context, given), context.now)
    return Explanation([MissingLabelRecord.of(missing) for missing in found])


def _target_of(context: Context, given: ExplainInput) -> TargetState:
    if given.session is not None:
        session = context.project.sessions.with_traces().filter(key=given.session).first()
        if session is None:
            raise NotFound(f"The project {context.project.slug} has no session {given.session}.")
        return state.of_session(session)
    if given.trace is None:
        raise InvalidInput({"": "Give a trace or a session."})
    trace = _trace_of(context, given.trace)
    if given.span is None:
        return state.of_trace(trace)
    target = state.of_span(trace, given.span)
    if target is None:
        raise NotFound(f"The trace {given.trace} has no span {given.span}.")
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
