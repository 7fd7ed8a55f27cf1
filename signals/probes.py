"""Health of judging: queue, labels and cost of signals."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef
from django.urls import reverse

from catalyst.core.models import Project
from catalyst.health import (
    RECENT,
    Check,
    Metric,
    Queue,
    capped,
    check,
    check_queue,
    count_rows,
    gauge,
    gauge_of,
    queue_of,
)
from catalyst.llms.amounts import SpentToday
from catalyst.llms.models import Budget
from catalyst.timerange import CUSTOM, HOUR, TimeRange, ceil, floor
from signals.judging import budget_checks, health
from signals.models import Label, LabelHour, Signal, SignalRun
from signals.results.rollups import sums

JUDGE_PATIENCE = timedelta(minutes=5)
MAX_FAILURES_READ = 1_000
MAX_NAMED = 3  # signals without a judge


@dataclass(frozen=True, slots=True)
class Judging:
    """The judge's queue and open manual runs by state. `failure`: the most frequent recent error, or empty."""

    queue: Queue
    running: int
    failed: int
    failure: str
    runs: dict[str, int]


def judging(now: datetime) -> Judging:
    # Live labels and those of runs apart: each half has an index of its own.
    waiting = Label.objects.filter(status=Label.Status.QUEUED)
    running = Label.objects.filter(status=Label.Status.RUNNING)
    live, of_runs = (queue_of(waiting.filter(run__isnull=is_live), "not_before", now) for is_live in (True, False))
    failed = Label.objects.filter(status=Label.Status.FAILED, target_time__gte=now - RECENT)
    return Judging(
        queue=Queue(
            total=live.total + of_runs.total,
            due=live.due + of_runs.due,
            oldest=min((queue.oldest for queue in (live, of_runs) if queue.oldest), default=None),
        ),
        running=sum(count_rows(running.filter(run__isnull=is_live)) for is_live in (True, False)),
        failed=count_rows(failed),
        failure=next((error for error, _ in failed.errors(MAX_FAILURES_READ)), ""),
        runs={state: count_rows(SignalRun.objects.open().filter(state=state)) for state in SignalRun.OPEN},
    )


def check_judging(judge_state: Judging, now: datetime) -> Iterator[Check]:
    advice = (
        "Labels come late. See whether the judge answers; raise CATALYST_JUDGE_CONCURRENCY, or lower the sample "
        "rates of signals."
    )
    yield check_queue("judging", judge_state.queue, "labels are ready for a judge", JUDGE_PATIENCE, now, advice)
    text = f"{capped(judge_state.running)} are with a judge, {capped(judge_state.failed)} of the last 24 hours failed"
    if judge_state.failed:
        text += f", most of them because: {judge_state.failure.removesuffix('.')}"
    advice = "Open the signals: each failed label says why, and can be retried."
    yield check("Queues", "labels", "warn" if judge_state.failed else "ok", text, advice)
    runs = judge_state.runs
    text = f"{runs['collecting']} look for traffic to judge, {runs['judging']} wait for their labels"
    yield Check("Queues", "backfills", "ok", text)


def judging_metrics(judge_state: Judging, now: datetime) -> Iterator[Metric]:
    queue, lag = judge_state.queue, judge_state.queue.lag(now).total_seconds()
    yield gauge_of("labels_waiting", "Labels that wait for a judge, counted up to 100,000.", queue.total)
    yield gauge_of("labels_running", "Labels with a judge.", judge_state.running)
    text = "Failed labels of traffic that began in the last 24 hours, counted up to 100,000."
    yield gauge_of("labels_failed", text, judge_state.failed)
    yield gauge_of("judge_lag_seconds", "Seconds for which the oldest waiting label has been ready for a judge.", lag)
    text = "Backfills that look for traffic to judge (collecting) or wait for their labels (judging)."
    yield gauge("runs_open", text, [({"state": state}, count) for state, count in judge_state.runs.items()])


@dataclass(frozen=True, slots=True)
class SignalUse:
    """An unarchived signal with its labels of the last 24 hours, by state.

    `unjudged`: why no judge is available to it while it is active, or empty.
    """

    signal: Signal
    labels: Counter[str]
    is_capped: bool
    unjudged: str


@dataclass(frozen=True, slots=True)
class Spending:
    """Cost of judging in one project on this UTC day, its capped active signals, and its failures of 24 hours."""

    project: Project
    today: SpentToday
    capped_signals: int
    failed: int


@dataclass(frozen=True, slots=True)
class SignalUses:
    signals: list[SignalUse]
    spending: list[Spending]


def signal_uses(now: datetime) -> SignalUses:
    uses = _uses(now)
    return SignalUses(uses, _spending(uses, now))


def _uses(now: datetime) -> list[SignalUse]:
    signals = list(Signal.objects.unarchived().for_list().order_by("project__slug", "name", "id"))
    start, end = floor(now - RECENT, HOUR), ceil(now, HOUR)
    counts: dict[int, Counter[str]] = {signal.pk: Counter() for signal in signals}
    every_label = sums(signal__in=signals).including_superseded()
    for cell in every_label.totals(TimeRange(CUSTOM, start, end, end - start)):
        counts[cell.signal][cell.state] += cell.count
    live = [signal.current_version for signal in signals if signal.is_live and signal.current_version]
    capped = budget_checks.caps_reached(live, now)
    silent = health.unavailable_judges(live)
    return [
        SignalUse(
            signal,
            counts[signal.pk],
            signal.current_version_id in capped,
            silent[signal.current_version_id].text if signal.current_version_id in silent else "",
        )
        for signal in signals
    ]


def _spending(uses: Iterable[SignalUse], now: datetime) -> list[Spending]:
    reached = Counter(use.signal.project_id for use in uses if use.is_capped)
    failed = Counter[int]()
    for use in uses:
        failed[use.signal.project_id] += use.labels["failed"]
    paying = Project.objects.filter(Exists(Budget.objects.filter(project=OuterRef("pk")))).order_by("slug")
    today = {budget.project_id: budget.today(now) for budget in Budget.objects.filter(subject_id=None)}
    return [
        Spending(project, today.get(project.pk, SpentToday()), reached[project.pk], failed[project.pk])
        for project in paying
    ]


def check_signals(uses: SignalUses, _now: datetime) -> Iterator[Check]:
    yield _check_judges(uses.signals)
    states = Counter(use.signal.state for use in uses.signals)
    labels = sum((use.labels for use in uses.signals), Counter[str]())
    drafts = states["draft"]
    text = f"{states['active']} active, {drafts} draft{'' if drafts == 1 else 's'}, {states['disabled']} disabled; "
    text += f"of targets of the last 24 hours, {labels['done']:,} are labelled, {labels['waiting']:,} pending, "
    text += f"{labels['failed']:,} failed, {labels['skipped']:,} skipped because they have no content"
    yield Check("Signals", "all but archived ones", "ok", text)
    for cost in uses.spending:
        text = f"judging cost {cost.today.text} (UTC)"
        if cost.failed:
            text += f"; {cost.failed:,} labels of the last 24 hours failed"
        if cost.capped_signals:
            reason = "a budget or call limit is reached or can't be kept"
            is_one = cost.capped_signals == 1
            text += f"; {cost.capped_signals} active signal{' judges' if is_one else 's judge'} no more: {reason}"
        advice = "They go on at 00:00 UTC. The page of a signal says which limit it is, and lets you raise it."
        told = check("Signals", f"project {cost.project}", "warn" if cost.capped_signals else "ok", text, advice)
        href = reverse("signals:signal-list", args=[cost.project.slug], query={"range": "1d"})
        yield replace(told, href=href, project_id=cost.project.pk)


def _check_judges(uses: Iterable[SignalUse]) -> Check:
    unjudged = [use for use in uses if use.unjudged]
    if not unjudged:
        return Check("Judge", "active signals", "ok", "a judge is available to each")
    text = f"{len(unjudged)} have no judge that answers: "
    text += ", ".join(f"{use.signal.name} of {use.signal.project}" for use in unjudged[:MAX_NAMED])
    if len(unjudged) > MAX_NAMED:
        text += f" and {len(unjudged) - MAX_NAMED} more"
    advice = f"{unjudged[0].unjudged} Connect a model under Settings, Models of the project, then retry failed labels."
    return Check("Judge", "active signals", "warn", text, advice)


def signal_metrics(uses: SignalUses, _now: datetime) -> Iterator[Metric]:
    states = Counter(use.signal.state for use in uses.signals)
    samples = [({"state": state}, states[state]) for state in Signal.State.values]
    yield gauge("signals", "Signals that are not archived, by state.", samples)
    is_capped = sum(use.is_capped for use in uses.signals)
    yield gauge_of("signals_stopped", "Active signals that a budget or call limit keeps from judging.", is_capped)
    text = "Labels of traffic that began in the last 24 hours, by signal and state."
    yield gauge("signal_labels", text, [sample for use in uses.signals for sample in _label_samples(use)])
    dollars = [({"project": cost.project.slug}, float(cost.today.spent.dollars)) for cost in uses.spending]
    yield gauge("judge_spent_usd", "US dollars that judging cost a project on this UTC day.", dollars)


def _label_samples(use: SignalUse) -> Iterator[tuple[dict[str, str], float]]:
    signal = use.signal
    metric_labels = {"project": signal.project.slug, "signal": str(signal.pk), "name": signal.name}
    for state in LabelHour.State.values:
        if state != LabelHour.State.UNSAMPLED:
            yield metric_labels | {"state": state}, use.labels[state]
