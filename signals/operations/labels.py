"""Operations on labels."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from django.core.exceptions import ValidationError
from pydantic import ConfigDict, Field

from catalyst.core.operation_context import Context
from catalyst.operations import CAMEL, Effect, Id, Limit, NotFound, Page, Scope, cursor_of, operation
from signals import operations
from signals.definitions.choices import Type
from signals.definitions.definition import TRUTH
from signals.filters import LabelFilter
from signals.judging import exchanges
from signals.models import Label, Signal
from signals.operations.inputs import SignalInput, VersionNumber, WindowInput, signal_of, window
from signals.results import labels, verdicts
from signals.results.labels import ExportedLabel
from signals.results.rows import load_rows
from signals.serializers import ExchangeRecord, LabelRecord, time


class LabelsInput(SignalInput, WindowInput):
    label: str = Field("", description="Only this one; true or false of a binary.")
    status: Literal["", "waiting", "done", "failed", "skipped"] = ""
    signal_version: VersionNumber | None = Field(None, description="Only labels of this version.")
    search: str = Field("", description="Part of the reason.")
    run: Id | None = Field(None, description="Only labels of this backfill.")
    limit: Limit = 50
    after: str | None = Field(None, description="Continue a list: `next` of the page before.")


@operation("signals.labels", Scope.READ, Effect.READS)
def list_labels(context: Context, arguments: LabelsInput) -> Page[LabelRecord]:
    """List labels with their reasons, newest targets first."""
    signal = signal_of(context, arguments)
    page = _page(context, signal, arguments)
    rows = load_rows(context.project, signal.scope, page.labels)
    return Page([LabelRecord.of(row) for row in rows], str(page.more) if page.more else None)


@operation("signals.export", Scope.READ, Effect.READS)
def export_labels(context: Context, arguments: LabelsInput) -> Page[ExportedLabel]:
    """Export labels with the columns of the file that the page of a signal offers, newest targets first."""
    signal = signal_of(context, arguments)
    page = _page(context, signal, arguments)
    if arguments.after is None:
        labels.record_export(signal, window(arguments, context.now), context.actor)
    return Page(labels.exported_rows(context.project, signal, page.labels), str(page.more) if page.more else None)


def _page(context: Context, signal: Signal, arguments: LabelsInput) -> labels.Page:
    version = signal.current_version
    value = TRUTH.get(arguments.label, arguments.label) if version and version.type == Type.BINARY else arguments.label
    wanted = LabelFilter(value, arguments.status, arguments.signal_version, arguments.run, arguments.search.strip())
    return labels.page(signal, wanted, window(arguments, context.now), cursor_of(arguments.after), arguments.limit)


class LabelInput(SignalInput):
    label: Id = Field(description="ID of the label, as `labels` shows it.")


@dataclass(frozen=True, slots=True)
class VerdictRecord:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    id: str
    value: str | None
    reason: str
    error: str | None
    judge: str
    counts: bool
    """Whether the label has its value from it."""
    has_exchange: bool
    """True if `signals.exchange` can show the call of the judge."""
    created_at: str | None


@dataclass(frozen=True, slots=True)
class LabelDetail:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    label: LabelRecord
    # The newest ones.
    verdicts: list[VerdictRecord]


@operation("signals.label", Scope.READ, Effect.READS)
def show_label(context: Context, arguments: LabelInput) -> LabelDetail:
    """Show a label with its verdicts, newest first."""
    signal = signal_of(context, arguments)
    return _label_detail(context, signal, _label_of(signal, arguments))


class ExchangeInput(LabelInput):
    verdict: Id | None = Field(None, description="ID of a verdict, as `label` shows it (default: the newest).")


@operation("signals.exchange", Scope.WRITE, Effect.READS)
def show_exchange(context: Context, arguments: ExchangeInput) -> ExchangeRecord:
    """Show what the judge of a label was sent and what it answered, word for word."""
    label = _label_of(signal_of(context, arguments), arguments)
    exchange = exchanges.find_exchange(label, arguments.verdict)
    if exchange is None:
        named = f"Verdict {arguments.verdict}" if arguments.verdict else f"Label {label.pk}"
        raise NotFound(f"{named} has no exchange that is kept.")
    model, said = exchange.verdict.model, exchanges.prompt_and_reply(exchange)
    return ExchangeRecord.of(model, said, verdict_id=exchange.verdict_id, created_at=exchange.created_at)


@operation("signals.retry_label", Scope.WRITE, Effect.WRITES)
def retry_label(context: Context, arguments: LabelInput) -> LabelDetail:
    """Queue a failed label again."""
    signal = signal_of(context, arguments)
    label = _label_of(signal, arguments)
    if not operations.retry_labels(signal, Label.objects.filter(pk=label.pk), context.now, context.actor):
        raise ValidationError("This label hasn't failed, so there is nothing to retry.")
    return _label_detail(context, signal, _label_of(signal, arguments))


@dataclass(frozen=True, slots=True)
class Retried:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    queued_count: int


@operation("signals.retry", Scope.WRITE, Effect.WRITES)
def retry_failed(context: Context, arguments: SignalInput) -> Retried:
    """Queue the failed labels of the current version again."""
    return Retried(operations.retry_failed(signal_of(context, arguments), context.now, context.actor))


def _label_of(signal: Signal, arguments: LabelInput) -> Label:
    label = signal.label_set.for_list().filter(pk=arguments.label).first()
    if label is None:
        raise NotFound(f"Signal {signal.pk} has no label {arguments.label}.")
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
        has_exchange=row.is_kept,
        created_at=time(verdict.created_at),
    )
