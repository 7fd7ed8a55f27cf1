"""Signals, versions, runs and labels as machines read them.

Names and enums are those of the public command line client, beside more of our own. Ids are text; times ISO 8601 in
UTC; dollars are text too. The outcomes of a binary are `true` and `false`.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from catalyst.llms.amounts import SpentToday
from signals.definitions.choices import Scope
from signals.models import DefinitionModel, Job, Label, Signal, SignalRun, SignalTestItem, SignalVersion
from signals.results.summaries import Summary
from signals.runs.backfill import Preview, Progress
from signals.runs.estimates import Estimate
from signals.runs.signal_tests import Results

type Record = dict[str, Any]

TRUTH = {"yes": "true", "no": "false"}
RUN_STATUS = {
    SignalRun.State.COLLECTING: "running",
    SignalRun.State.JUDGING: "running",
    SignalRun.State.DONE: "completed",
    SignalRun.State.CANCELLED: "failed",
    SignalRun.State.FAILED: "failed",
}


def outcome(version: DefinitionModel, value: str) -> str:
    """A value of this version."""
    return TRUTH[value] if version.type == SignalVersion.Type.BINARY and value in TRUTH else value


def of_signal(signal: Signal) -> Record:
    """A signal without what it asks."""
    return {
        "id": str(signal.pk),
        "name": signal.name,
        "projectId": str(signal.project_id),
        "agentId": str(signal.agent_id),
        "agentIdentityValue": signal.agent.identity,
        "agentIdentitySource": signal.agent.source,
        "scope": signal.scope,
        "state": signal.state,
        "currentVersionId": _id(signal.current_version_id),
        "templateKey": signal.template or None,
        "createdBy": _id(signal.created_by_id),
        "createdByName": signal.created_by_name or None,
        "createdAt": time(signal.created_at),
        "activatedAt": time(signal.activated_at),
        "archivedAt": time(signal.archived_at),
    }


def of_version(version: SignalVersion | None) -> Record | None:
    """What a signal asks."""
    if version is None:
        return None
    return {
        "id": str(version.pk),
        "signalId": str(version.signal_id),
        "version": version.number,
        "prompt": version.prompt,
        "judgeCanonicalModelAlias": version.judge_model or None,
        "filter": version.filter,
        "view": version.view,
        "createdBy": _id(version.created_by_id),
        "createdByName": version.created_by_name or None,
        "createdAt": time(version.created_at),
        **_answers(version),
    }


def _answers(version: SignalVersion) -> Record:
    return {
        "classifierType": version.type,
        "sampleRatePercent": version.sample_rate,
        "labels": [] if version.type == SignalVersion.Type.BINARY else version.labels,
        "labelSentiments": {outcome(version, value): felt for value, felt in version.sentiments.items()},
    }


def of_summary(summary: Summary) -> Record:
    """A signal of a list, with its labels in a range of time."""
    signal = summary.signal
    version = signal.current_version
    counts = {each.value if version is None else outcome(version, each.value): each.count for each in summary.outcomes}
    covered = summary.coverage
    return {
        **of_signal(signal),
        **(_answers(version) if version else {}),
        "version": version.number if version else None,
        "recentLabelCount": summary.labelled,
        "outcomeCounts": counts,
        "outcomeVersions": list(summary.versions),
        "waitingCount": covered.waiting,
        "failedCount": covered.failed,
        "skippedCount": covered.skipped,
        "cost": dollars(summary.cost),
        "lastLabelAt": time(summary.last),
        "stoppedByCap": summary.stop is not None,
        "notJudgedBecause": summary.held_up or None,
    }


def of_today(today: SpentToday) -> Record:
    """What judging costs on this UTC day."""
    return {
        "spent": dollars(today.spent.dollars),
        "dailyCap": dollars(today.cap.usd),
        "calls": today.spent.made,
        "dailyCallCap": today.cap.calls,
    }


def of_run(progress: Progress) -> Record:
    """A manual run with its progress. Cancelled ones are `failed` too; `statusDetail` tells."""
    run, covered = progress.run, progress.covered
    return {
        "id": str(run.pk),
        "signalId": str(run.version.signal_id),
        "signalVersionId": str(run.version_id),
        "status": RUN_STATUS[SignalRun.State(run.state)],
        "statusDetail": run.state,
        "errorMessage": run.error or None,
        "sampleRatePercent": run.sample_rate,
        "samplePeriodStart": time(run.window_start),
        "samplePeriodEnd": time(run.window_end),
        "matchedSpanCount": run.matched,
        "sampledSpanCount": run.sampled,
        "queuedCount": run.queued,
        "labelledCount": covered.done,
        "waitingCount": covered.waiting,
        "failedCount": covered.failed,
        "skippedCount": covered.skipped,
        "secondsLeft": round(progress.left.total_seconds()) if progress.left is not None else None,
        "createdBy": _id(run.created_by_id),
        "createdByName": run.created_by_name or None,
        "createdAt": time(run.created_at),
        "endedAt": time(run.ended_at),
    }


def of_preview(preview: Preview, estimate: Estimate) -> Record:
    """What a manual run would do and take. Without `isExact`, counts of the sample are what is to be expected."""
    return {
        "matchedSpanCount": preview.matched,
        "sampledSpanCount": preview.sampled,
        "labelledCount": preview.labelled,
        "toJudgeCount": preview.to_judge,
        "isExact": preview.is_exact,
        "judgeModel": estimate.model,
        "estimatedInputTokens": estimate.input_tokens,
        "estimatedOutputTokens": estimate.output_tokens,
        "estimatedCost": dollars(estimate.cost),
        "estimatedSeconds": round(estimate.takes.total_seconds()),
    }


def of_label(label: Label) -> Record:
    """One label with its reason, by the client's names for its rows."""
    own = {"signal_version": label.version.number, "manual_run_id": _id(label.run_id)}
    return {"signal_label_id": _id(label.pk), **_answer(label), **own}


def _of_test_item(item: SignalTestItem) -> Record:
    """The same of a target of a test, which is no label and has no id."""
    own = {"signal_version": None, "manual_run_id": None, "tokens": item.tokens}
    return {"signal_label_id": None, **_answer(item), **own}


def _answer(job: Job) -> Record:
    is_binary = job.version.type == SignalVersion.Type.BINARY
    return {
        "target_type": job.scope,
        "target_id": target_id(job),
        "trace_id": job.trace_id.hex if job.trace_id else None,
        "target_start_time": time(job.target_time),
        "status": job.status,
        "string_label": None if is_binary else job.value or None,
        "bool_label": job.value == "yes" if is_binary and job.value else None,
        "sentiment": job.sentiment if job.value else None,
        "reason": job.reason,
        "error": job.error or None,
        "judge": job.judge or None,
        "cost": dollars(job.cost),
        "completed_at": time(job.labelled_at),
    }


def of_test(found: Results) -> Record:
    """What a test found, and what its question would take on a day."""
    return {
        "results": [_of_test_item(item) for item in found.ended],
        "outcomeCounts": {outcome(found.test, each.value): each.count for each in found.outcomes},
        "failedCount": found.failed,
        "skippedCount": found.skipped,
        "tokens": found.tokens,
        "cost": dollars(found.cost),
        "estimatedCallsPerDay": found.test.calls_per_day,
        "estimatedCostPerDay": dollars(found.test.cost_per_day),
    }


def of_distribution(counts: Mapping[tuple[datetime, str], int], values: Iterable[SignalVersion]) -> list[Record]:
    """Labels by the bar that their target began in; `values`: the versions they are of."""
    named = {value: outcome(version, value) for version in values for value in version.labels}
    return [
        {"bucket": time(start), "label": named.get(value, value), "count": count}
        for (start, value), count in sorted(counts.items())
    ]


def target_id(label: Job) -> str:
    """The id of what a label is about: of a session, trace or span."""
    return label.session_key if label.scope == Scope.SESSION else label.target_key.rpartition(":")[2]


def time(when: datetime | None) -> str | None:
    """`2026-11-20T12:00:00.000Z`."""
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03d}Z" if when else None


def dollars(amount: Decimal | None) -> str | None:
    """Decimal digits; None where it is not known."""
    return None if amount is None else f"{amount.normalize():f}"


def _id(pk: int | None) -> str | None:
    return None if pk is None else str(pk)
