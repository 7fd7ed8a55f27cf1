"""JSON records of signals, versions, runs and labels.

Names and enums follow the public command line client. IDs and dollars are text, times ISO 8601 in UTC.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar

from pydantic import ConfigDict

from catalyst import formats
from catalyst.llm import ChatMessage
from catalyst.llms.amounts import SpentToday
from catalyst.operations import CAMEL
from signals.judging.answers import MAX_ANSWER
from signals.judging.exchanges import PromptAndReply
from signals.models import DefinitionModel, Job, Label, SignalRun, SignalTestItem, SignalVersion
from signals.results.charts import Outcome
from signals.results.coverage import Row as CoverageRow
from signals.results.missing_labels import MissingLabel
from signals.results.rates import Rate
from signals.results.rows import LabelRow
from signals.results.summaries import Summary
from signals.runs.backfill import Preview, Progress
from signals.runs.estimates import Estimate
from signals.runs.signal_tests import Results
from signals.targets.scopes import targets_of

# Outcomes of a binary, as clients name them.
TRUTH = {"yes": "true", "no": "false"}
RUN_STATUS = {
    SignalRun.State.COLLECTING: "running",
    SignalRun.State.JUDGING: "running",
    SignalRun.State.DONE: "completed",
    SignalRun.State.CANCELLED: "failed",
    SignalRun.State.FAILED: "failed",
}


def outcome(version: DefinitionModel, value: str) -> str:
    return TRUTH[value] if version.type == SignalVersion.Type.BINARY and value in TRUTH else value


@dataclass(frozen=True, slots=True)
class ShareRecord:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    label: str
    count: int
    share_percent: float
    # The 95 % interval of the share, in percent.
    interval_low: float
    interval_high: float

    @classmethod
    def of(cls, given: Outcome) -> "ShareRecord":
        low, high = given.interval
        return cls(given.value, given.count, round(given.share, 1), round(low, 1), round(high, 1))


@dataclass(frozen=True, slots=True)
class VersionRecord:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL
    COLUMNS: ClassVar[Mapping[str, str]] = {
        "V": "version",
        "TYPE": "classifier_type",
        "RATE %": "sample_rate_percent",
        "PROMPT": "prompt",
        "CREATED": "created_at",
        "BY": "created_by_name",
    }

    id: str
    signal_id: str
    version: int
    prompt: str
    judge_connection_id: str | None
    judge_canonical_model_alias: str | None
    filter: dict[str, Any]
    view: dict[str, Any]
    created_by: str | None
    created_by_name: str | None
    created_at: str | None
    classifier_type: str
    sample_rate_percent: int
    labels: list[str]
    label_sentiments: dict[str, str]
    label_descriptions: dict[str, str]

    @classmethod
    def of(cls, version: SignalVersion) -> "VersionRecord":
        return cls(
            id=str(version.pk),
            signal_id=str(version.signal_id),
            version=version.number,
            prompt=version.prompt,
            judge_connection_id=_id(version.connection_id),
            judge_canonical_model_alias=version.judge_model or None,
            filter=version.filter,
            view=version.view,
            created_by=_id(version.created_by_id),
            created_by_name=version.created_by_name or None,
            created_at=time(version.created_at),
            classifier_type=version.type,
            sample_rate_percent=version.sample_rate,
            labels=labels_of(version),
            label_sentiments=sentiments_of(version),
            label_descriptions=version.descriptions,
        )


def labels_of(version: SignalVersion) -> list[str]:
    return [] if version.type == SignalVersion.Type.BINARY else list(version.labels)


def sentiments_of(version: SignalVersion) -> dict[str, str]:
    return {outcome(version, value): sentiment for value, sentiment in version.sentiments.items()}


@dataclass(frozen=True, slots=True)
class SignalRecord:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL
    COLUMNS: ClassVar[Mapping[str, str]] = {
        "ID": "id",
        "NAME": "name",
        "AGENT": "agent_identity_value",
        "SCOPE": "scope",
        "STATE": "status",
        "V": "version",
        "RATE %": "sample_rate_percent",
        "LABELS": "recent_label_count",
        "SHARES": "shares",
        "WAIT": "waiting_count",
        "FAILED": "failed_count",
        "COST": "cost",
        "LAST": "last_label_at",
    }

    id: str
    name: str
    project_id: str
    agent_id: str
    agent_identity_value: str
    agent_identity_source: str
    scope: str
    quiet_minutes: int | None
    """Null: as long as the instance waits."""
    state: str
    status: str
    """The state with what keeps it from judging."""
    current_version_id: str | None
    template_key: str | None
    created_by: str | None
    created_by_name: str | None
    created_at: str | None
    activated_at: str | None
    archived_at: str | None
    version: int | None
    classifier_type: str | None
    sample_rate_percent: int | None
    labels: list[str]
    label_sentiments: dict[str, str]
    label_descriptions: dict[str, str]
    recent_label_count: int
    outcome_counts: dict[str, int]
    outcome_versions: list[int]
    shares: str
    waiting_count: int
    failed_count: int
    skipped_count: int
    cost: Decimal | None
    last_label_at: str | None
    stopped_by_cap: bool
    not_judged_because: str | None

    @classmethod
    def of(cls, summary: Summary) -> "SignalRecord":
        signal, covered = summary.signal, summary.coverage
        version = signal.current_version
        counts = {given.value: given.count for given in summary.outcomes}
        if version is not None:
            counts = {outcome(version, value): count for value, count in counts.items()}
        return cls(
            id=str(signal.pk),
            name=signal.name,
            project_id=str(signal.project_id),
            agent_id=str(signal.agent_id),
            agent_identity_value=signal.agent.identity,
            agent_identity_source=signal.agent.source,
            scope=signal.scope,
            quiet_minutes=signal.quiet_minutes,
            state=signal.state,
            status=_status(summary),
            current_version_id=_id(signal.current_version_id),
            template_key=signal.template or None,
            created_by=_id(signal.created_by_id),
            created_by_name=signal.created_by_name or None,
            created_at=time(signal.created_at),
            activated_at=time(signal.activated_at),
            archived_at=time(signal.archived_at),
            version=version.number if version else None,
            classifier_type=version.type if version else None,
            sample_rate_percent=version.sample_rate if version else None,
            labels=labels_of(version) if version else [],
            label_sentiments=sentiments_of(version) if version else {},
            label_descriptions=version.descriptions if version else {},
            recent_label_count=summary.labelled,
            outcome_counts=counts,
            outcome_versions=list(summary.versions),
            shares=_shares(summary),
            waiting_count=covered.waiting,
            failed_count=covered.failed,
            skipped_count=covered.skipped,
            cost=dollars(summary.cost),
            last_label_at=time(summary.last),
            stopped_by_cap=summary.cap_reached is not None,
            not_judged_because=summary.held_up or None,
        )


def _status(summary: Summary) -> str:
    parts = ["archived" if summary.signal.archived_at else summary.signal.state]
    if summary.cap_reached:
        parts.append("capped")
    if summary.judge_unavailable:
        parts.append(summary.judge_unavailable.title.lower())
    return ", ".join(parts)


def _shares(summary: Summary) -> str:
    given = [one for one in summary.outcomes if one.count]
    # The headline comes first, where a narrow terminal shows it.
    given.sort(key=lambda one: one != summary.headline)
    shares = ", ".join(f"{one.value} {formats.percent(one.count, one.total)}" for one in given)
    return f"{shares} (labels of {summary.version_range})" if summary.version_range else shares


@dataclass(frozen=True, slots=True)
class SpendingRecord:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    spent: Decimal | None
    daily_cap: Decimal | None
    calls: int
    daily_call_cap: int | None

    @classmethod
    def of(cls, today: SpentToday) -> "SpendingRecord":
        spent, cap = today.spent, today.cap
        return cls(dollars(spent.dollars), dollars(cap.usd), spent.made, cap.calls)


@dataclass(frozen=True, slots=True)
class SignalDetail:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    signal: SignalRecord
    current_version: VersionRecord | None
    spending: SpendingRecord
    outcomes: list[ShareRecord]

    @classmethod
    def of(cls, summary: Summary, today: SpentToday) -> "SignalDetail":
        version = summary.signal.current_version
        return cls(
            SignalRecord.of(summary),
            VersionRecord.of(version) if version else None,
            SpendingRecord.of(today),
            [ShareRecord.of(given) for given in summary.outcomes if given.count],
        )


@dataclass(frozen=True, slots=True)
class RunRecord:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL
    COLUMNS: ClassVar[Mapping[str, str]] = {
        "RUN": "id",
        "SIGNAL": "signal_name",
        "V": "version",
        "STATE": "status_detail",
        "%": "percent",
        "FROM": "sample_period_start",
        "TO": "sample_period_end",
        "RATE %": "sample_rate_percent",
        "FOUND": "matched_span_count",
        "SAMPLED": "sampled_span_count",
        "LABELLED": "labelled_count",
        "WAIT": "waiting_count",
        "FAILED": "failed_count",
        "LEFT (S)": "seconds_left",
        "ERROR": "error_message",
    }

    id: str
    signal_id: str
    signal_name: str
    signal_version_id: str
    version: int
    status: str
    # Tells cancelled runs from failed ones.
    status_detail: str
    percent: int
    error_message: str | None
    sample_rate_percent: int
    sample_period_start: str | None
    sample_period_end: str | None
    matched_span_count: int
    sampled_span_count: int
    queued_count: int
    labelled_count: int
    waiting_count: int
    failed_count: int
    skipped_count: int
    seconds_left: int | None
    created_by: str | None
    created_by_name: str | None
    created_at: str | None
    ended_at: str | None

    @classmethod
    def of(cls, progress: Progress) -> "RunRecord":
        run, covered = progress.run, progress.covered
        return cls(
            id=str(run.pk),
            signal_id=str(run.version.signal_id),
            signal_name=run.version.signal.name,
            signal_version_id=str(run.version_id),
            version=run.version.number,
            status=RUN_STATUS[SignalRun.State(run.state)],
            status_detail=run.state,
            percent=progress.percent,
            error_message=run.error or None,
            sample_rate_percent=run.sample_rate,
            sample_period_start=time(run.window_start),
            sample_period_end=time(run.window_end),
            matched_span_count=run.matched,
            sampled_span_count=run.sampled,
            queued_count=run.queued,
            labelled_count=covered.done,
            waiting_count=covered.waiting,
            failed_count=covered.failed,
            skipped_count=covered.skipped,
            seconds_left=round(progress.left.total_seconds()) if progress.left is not None else None,
            created_by=_id(run.created_by_id),
            created_by_name=run.created_by_name or None,
            created_at=time(run.created_at),
            ended_at=time(run.ended_at),
        )


@dataclass(frozen=True, slots=True)
class PreviewRecord:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    matched_span_count: int
    sampled_span_count: int
    # Sampled targets that the version has judged or queued. The backfill leaves them as they are.
    labelled_count: int
    waiting_count: int
    failed_count: int
    skipped_count: int
    to_judge_count: int
    # If False, counts of the sample are expected values.
    is_exact: bool
    judge_model: str
    estimated_input_tokens: int
    estimated_output_tokens: int
    estimated_cost: Decimal | None
    estimated_seconds: int

    @classmethod
    def of(cls, preview: Preview, estimate: Estimate) -> "PreviewRecord":
        return cls(
            matched_span_count=preview.matched,
            sampled_span_count=preview.sampled,
            labelled_count=preview.known.done,
            waiting_count=preview.known.waiting,
            failed_count=preview.known.failed,
            skipped_count=preview.known.skipped,
            to_judge_count=preview.to_judge,
            is_exact=preview.is_exact,
            judge_model=estimate.model,
            estimated_input_tokens=estimate.input_tokens,
            estimated_output_tokens=estimate.output_tokens,
            estimated_cost=dollars(estimate.cost),
            estimated_seconds=round(estimate.duration.total_seconds()),
        )


@dataclass(frozen=True, slots=True)
class LabelRecord:
    # Its names are snake case, also within a record whose names are not.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(alias_generator=None)
    COLUMNS: ClassVar[Mapping[str, str]] = {
        "ID": "signal_label_id",
        "TARGET TIME": "target_start_time",
        "LABEL": "value",
        "STATUS": "status",
        "TARGET": "target_id",
        "ABOUT": "preview",
        "REASON": "reason",
        "ERROR": "error",
        "V": "signal_version",
        "RUN": "manual_run_id",
        "COST": "cost",
    }

    # None for a label of a test, like the version.
    signal_label_id: str | None
    target_type: str
    target_id: str
    trace_id: str | None
    target_start_time: str | None
    status: str
    value: str | None
    string_label: str | None
    bool_label: bool | None
    sentiment: str | None
    reason: str
    error: str | None
    judge: str | None
    cost: Decimal | None
    signal_version: int | None
    manual_run_id: str | None
    completed_at: str | None
    preview: str
    """What the target is about; empty when it is not stored any more."""
    tokens: int | None = None
    test_item_id: str | None = None

    @classmethod
    def of(cls, row: LabelRow[Job]) -> "LabelRecord":
        job = row.label
        is_binary = job.version.type == SignalVersion.Type.BINARY
        label = job if isinstance(job, Label) else None
        item = job if isinstance(job, SignalTestItem) else None
        return cls(
            signal_label_id=_id(label.pk) if label else None,
            target_type=job.scope,
            target_id=target_id(job),
            trace_id=job.trace_id.hex if job.trace_id else None,
            target_start_time=time(job.target_time),
            status=job.status,
            value=job.value or None,
            string_label=None if is_binary else job.value or None,
            bool_label=job.value == "yes" if is_binary and job.value else None,
            sentiment=job.sentiment if job.value else None,
            reason=job.reason,
            error=job.error or None,
            judge=job.judge or None,
            cost=dollars(job.cost),
            signal_version=label.version.number if label else None,
            manual_run_id=_id(label.run_id) if label else None,
            completed_at=time(job.labelled_at),
            preview=row.title,
            tokens=item.tokens if item else None,
            test_item_id=_id(item.pk) if item else None,
        )


@dataclass(frozen=True, slots=True)
class SignalTestRecord:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    id: str
    state: str
    results: list[LabelRecord]
    outcomes: list[ShareRecord]
    outcome_counts: dict[str, int]
    target_count: int
    judged_count: int
    failed_count: int
    skipped_count: int
    tokens: int
    cost: Decimal | None
    estimated_calls_per_day: int
    estimated_cost_per_day: Decimal | None
    shortfall: str | None
    """Why there are fewer targets than asked for."""
    stopped_because: str | None

    @classmethod
    def of(cls, found: Results, rows: Iterable[LabelRow[SignalTestItem]]) -> "SignalTestRecord":
        test = found.test
        return cls(
            id=str(test.pk),
            state=test.state,
            results=[LabelRecord.of(row) for row in rows],
            outcomes=[ShareRecord.of(given) for given in found.outcomes if given.count],
            outcome_counts={outcome(test, given.value): given.count for given in found.outcomes},
            target_count=len(found.items),
            judged_count=len(found.ended),
            failed_count=found.failed,
            skipped_count=found.skipped,
            tokens=found.tokens,
            cost=dollars(found.cost),
            estimated_calls_per_day=test.calls_per_day,
            estimated_cost_per_day=dollars(test.cost_per_day),
            shortfall=test.shortfall or None,
            stopped_because=test.error or None,
        )


@dataclass(frozen=True, slots=True)
class BucketRecord:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL
    COLUMNS: ClassVar[Mapping[str, str]] = {"BEGAN (UTC)": "bucket", "LABEL": "label", "COUNT": "count"}

    # Start of the hour or day that the targets began in.
    bucket: str | None
    label: str
    count: int


def of_distribution(counts: Mapping[tuple[datetime, str], int], values: Iterable[SignalVersion]) -> list[BucketRecord]:
    """`values`: the versions that gave the labels."""
    named = {value: outcome(version, value) for version in values for value in version.labels}
    return [
        BucketRecord(time(start), named.get(value, value), count) for (start, value), count in sorted(counts.items())
    ]


@dataclass(frozen=True, slots=True)
class MissingLabelRecord:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL
    COLUMNS: ClassVar[Mapping[str, str]] = {
        "ID": "signal_id",
        "SIGNAL": "signal_name",
        "WHY": "reason",
        "EXPLANATION": "explanation",
    }

    signal_id: str
    signal_name: str
    reason: str
    explanation: str
    version: int | None

    @classmethod
    def of(cls, missing: MissingLabel) -> "MissingLabelRecord":
        version = missing.version
        return cls(
            str(missing.signal.pk),
            missing.signal.name,
            str(missing.why),
            missing.text,
            version.number if version else None,
        )


@dataclass(frozen=True, slots=True)
class CoverageRecord:
    """Targets of one version by the UTC day that they began on. Totals have neither."""

    __pydantic_config__: ClassVar[ConfigDict] = CAMEL
    COLUMNS: ClassVar[Mapping[str, str]] = {
        "DAY (UTC)": "day",
        "V": "version",
        "MATCHING": "matching_count",
        "NOT SAMPLED": "unsampled_count",
        "LABELLED": "labelled_count",
        "WAIT": "waiting_count",
        "SKIPPED": "skipped_count",
        "FAILED": "failed_count",
        "WHY": "reasons",
    }

    day: str | None
    version: int | None
    # Unsampled and sampled targets.
    matching_count: int
    unsampled_count: int
    sampled_count: int
    labelled_count: int
    waiting_count: int
    skipped_count: int
    failed_count: int
    reasons: dict[str, int]
    """Why labels wait, were skipped or failed, with how many."""

    @classmethod
    def of(cls, row: CoverageRow) -> "CoverageRecord":
        covered = row.covered
        return cls(
            day=f"{row.day:%Y-%m-%d}" if row.day else None,
            version=row.version or None,
            matching_count=row.matching,
            unsampled_count=row.unsampled,
            sampled_count=covered.sampled,
            labelled_count=covered.done,
            waiting_count=covered.waiting,
            skipped_count=covered.skipped,
            failed_count=covered.failed,
            reasons={f"{reason.status}: {reason.text}": reason.count for reason in row.reasons},
        )


@dataclass(frozen=True, slots=True)
class FailureRecord:
    error: str
    count: int


@dataclass(frozen=True, slots=True)
class RateRecord:
    """The share of a signal's headline label in a period, and in the period before it."""

    __pydantic_config__: ClassVar[ConfigDict] = CAMEL
    COLUMNS: ClassVar[Mapping[str, str]] = {
        "ID": "signal_id",
        "SIGNAL": "signal_name",
        "LABEL": "label",
        "SHARE %": "share_percent",
        "LABELS": "label_count",
        "CHANGE": "change",
        "BEFORE": "share_before",
        "TONE": "tone",
    }

    signal_id: str
    signal_name: str
    label: str
    share_percent: float
    label_count: int
    change: str | None
    share_before: str | None
    # Good or bad if the change is more than chance.
    tone: str | None

    @classmethod
    def of(cls, rate: Rate) -> "RateRecord":
        change = rate.change
        return cls(
            signal_id=str(rate.signal.pk),
            signal_name=rate.signal.name,
            label=rate.outcome.value,
            share_percent=round(rate.outcome.share, 1),
            label_count=rate.outcome.total,
            change=change.text or None,
            share_before=change.was or None,
            tone=change.tone or None,
        )


@dataclass(frozen=True, slots=True)
class ChatMessageRecord:
    IN_FULL: ClassVar[bool] = True

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class ExchangeRecord:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    verdict_id: str | None
    judge: str
    created_at: str | None
    messages: list[ChatMessageRecord]
    answer: str
    is_answer_cut: bool
    """Whether only the end of the answer is kept."""

    @classmethod
    def of(
        cls, judge: str, said: PromptAndReply, *, verdict_id: int | None = None, created_at: datetime | None = None
    ) -> "ExchangeRecord":
        return cls(
            verdict_id=_id(verdict_id),
            judge=judge,
            created_at=time(created_at),
            messages=messages_of(said.messages),
            answer=said.answer,
            is_answer_cut=len(said.answer) == MAX_ANSWER,
        )


def messages_of(messages: Iterable[ChatMessage]) -> list[ChatMessageRecord]:
    return [ChatMessageRecord(message["role"], message["content"]) for message in messages]


def target_id(label: Job) -> str:
    return targets_of(label.scope).id_of(label)


def time(when: datetime | None) -> str | None:
    """`2026-11-20T12:00:00.000Z`."""
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03d}Z" if when else None


def dollars(amount: Decimal | None) -> Decimal | None:
    """Without trailing zeros."""
    return None if amount is None else Decimal(f"{amount.normalize():f}")


def _id(pk: int | None) -> str | None:
    return None if pk is None else str(pk)
