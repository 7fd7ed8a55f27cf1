"""The judging worker. The only place that writes answers of judges.

A job is claimed with a lease, judged outside any transaction, and finished only while the lease holds. The lease of a
dead worker expires and the job is repeated: calls happen at least once, labels exactly once.
"""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from asgiref.sync import async_to_sync, sync_to_async
from django.db import transaction
from django.utils import timezone

from catalyst.env import env
from catalyst.fairness import Turns
from catalyst.llms import availability, budgets
from catalyst.llms.amounts import Account, Calls
from catalyst.llms.availability import Outage
from catalyst.llms.endpoints import ModelKey
from catalyst.llms.models import ModelConnection
from signals.judging import budget_checks, claims, exchanges, offline
from signals.judging import calls as judge_calls
from signals.judging.calls import CallResult, CallUsage, JudgeCall
from signals.judging.claims import Room
from signals.judging.clients import Clients
from signals.models import Job, Label, SettledMinute, SignalTestItem, Verdict
from signals.models.label_states import Status
from signals.targets import requeue
from signals.targets.inputs import JudgeInput
from signals.targets.scopes import load_inputs

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)
# Short leases, extended while the worker lives: a dead worker's jobs are taken over soon.
EXTEND_LEASES_EVERY = timedelta(seconds=10)
# Claims held for each concurrent call, so that a free slot never waits for the next claim.
READ_AHEAD = 3
POLL_SECONDS = 0.5
GATHER_SECONDS = 0.1
MAX_CALL_WAIT = timedelta(minutes=5)
# Calls reserved for tests: a person waits for them, so they don't queue behind labels.
TEST_CONCURRENCY = 8
LEASE_LOST = "Answered after its lease had run out; another try counts."


def run(clock: Callable[[], datetime] = timezone.now, until: Callable[[], bool] = lambda: False) -> int:
    """Judge until no job is due or `until` returns True. Return the number of finished tries."""
    worker = _Worker(clock, until)
    calls = worker.claim_calls()
    if calls:
        async_to_sync(worker.work)(calls)
    return worker.ended


class _Worker:
    _clients: Clients

    def __init__(self, clock: Callable[[], datetime], until: Callable[[], bool]) -> None:
        self.clock = clock
        self.until = until
        self.ended = 0
        self.max_held_labels = env.judge_concurrency * READ_AHEAD
        self._held: set[Job] = set()
        self._extended_at = clock()
        self._answers: Counter[ModelKey] = Counter()
        self._slots = {
            Label: Turns[int](env.judge_concurrency),
            SignalTestItem: Turns[int](TEST_CONCURRENCY),
        }

    def claim_calls(self) -> list[JudgeCall]:
        """Claim jobs and return their calls. Finish jobs that need no call."""
        calls: list[JudgeCall] = []
        while not calls and not self.until():
            now = self.clock()
            paused, answered_at = availability.paused_models(now)
            claimed = self._claim(now, paused)
            if not claimed:
                break
            results: list[CallResult] = []
            for job, read in load_inputs(_to_judge(claimed)):
                prepared = prepare(job, read, now, answered_at)
                if isinstance(prepared, JudgeCall):
                    calls.append(prepared)
                    self._held.add(job)
                else:
                    results.append(prepared)
            self.finish(results)
        return calls

    def _claim(self, now: datetime, paused: Sequence[ModelKey]) -> list[Job]:
        held = Counter(label.project_id for label in _of_type(Label, self._held))
        items_held = len(self._held) - held.total()
        items = claims.claim_test_items(TEST_CONCURRENCY - items_held, LEASE, now, without_models=paused)
        labels = claims.claim(self.max_held_labels, LEASE, now, held=held, without_models=paused, room=self._room())
        return [*items, *labels]

    def _room(self) -> Room:
        held: Counter[ModelConnection] = Counter()
        for label in _of_type(Label, self._held):
            if label.version.connection is not None:
                held[label.version.connection] += 1
        return Room(held, READ_AHEAD)

    def finish(self, results: Sequence[CallResult]) -> None:
        if results:
            finish(results, self.clock())
            self.ended += len(results)
        self._held.difference_update(result.label for result in results)

    async def work(self, calls: Sequence[JudgeCall]) -> None:
        """Make these calls, and those that become due meanwhile."""
        pending: set[asyncio.Task[CallResult]] = set()
        self._clients = Clients(env.judge_concurrency + TEST_CONCURRENCY, self.clock)
        async with self._clients:
            try:
                while calls or pending:
                    pending |= {asyncio.create_task(self._ask(call)) for call in calls}
                    done, pending = await _next_done(pending)
                    calls = await sync_to_async(self._step)([task.result() for task in done])
            finally:
                for task in pending:
                    task.cancel()

    def _step(self, results: Sequence[CallResult]) -> list[JudgeCall]:
        self.finish(results)
        self._clients.refresh()
        now = self.clock()
        if now - self._extended_at >= EXTEND_LEASES_EVERY:
            Label.objects.extend_leases(_of_type(Label, self._held), now + LEASE)
            SignalTestItem.objects.extend_leases(_of_type(SignalTestItem, self._held), now + LEASE)
            self._extended_at = now
        return self.claim_calls()

    async def _ask(self, call: JudgeCall) -> CallResult:
        # Whoever waits for the limits of a connection holds no slot of the others.
        async with self._clients.turn(call.model), self._slots[type(call.label)].turn(call.label.project_id):
            key = call.model.key
            before = self._answers[key]
            try:
                result = await judge_calls.ask(call, self._clients, lambda: self._answers[key] > before)
            except Exception:
                logger.exception("%s %s: the judge could not be asked", type(call.label).__name__, call.label.pk)
                return judge_calls.internal_error(call.label)
            self._answers[key] += result.status == Status.DONE
            return result


def _to_judge(claimed: Sequence[Job]) -> list[Job]:
    running = [job for job in claimed if job.status == Status.RUNNING]
    return [*_of_type(SignalTestItem, running), *requeue.drop_superseded(_of_type(Label, running))]


def _of_type[Kind: Job](kind: type[Kind], jobs: Iterable[Job]) -> list[Kind]:
    return [job for job in jobs if isinstance(job, kind)]


async def _next_done(
    pending: set[asyncio.Task[CallResult]],
) -> tuple[set[asyncio.Task[CallResult]], set[asyncio.Task[CallResult]]]:
    finished, _ = await asyncio.wait(pending, timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    # Gather a few results, to write them together.
    if finished and len(finished) < len(pending):
        await asyncio.sleep(GATHER_SECONDS)
    done = {task for task in pending if task.done()}
    return done, pending - done


def prepare(
    label: Job, read: Callable[[], JudgeInput | None], now: datetime, answered_at: Mapping[ModelKey, datetime]
) -> JudgeCall | CallResult:
    try:
        return judge_calls.prepare(label, read, now, answered_at)
    except Exception:
        # One bad job must not fail its batch.
        logger.exception("%s %s can't be put to a judge", type(label).__name__, label.pk)
        return judge_calls.internal_error(label)


@transaction.atomic
def finish(results: Sequence[CallResult], now: datetime) -> None:
    """Write the results of tries whose lease still holds. Finished calls are recorded in any case."""
    rows = _lock(results)
    resumes = _record_health(results, now)
    attempts = [_Attempt(rows[result.label], result) for result in results if result.label in rows]
    for attempt in attempts:
        if attempt.is_held:
            _end_attempt(attempt.job, attempt.result, now, resumes)
    _record_calls(attempts, now)
    written = [attempt.job for attempt in attempts if attempt.is_held or attempt.result.usage is not None]
    Label.objects.write(_of_type(Label, written))
    SettledMinute.objects.answer_superseded(_outgrown(attempts))
    SignalTestItem.objects.write(_of_type(SignalTestItem, written))
    _charge([attempt.result for attempt in attempts], now)


@dataclass
class _Attempt:
    """A result and its stored row. `is_held`: the row is still leased to this try."""

    job: Job
    result: CallResult
    is_held: bool = field(init=False)

    def __post_init__(self) -> None:
        claimed = self.result.label
        is_same_claim = (self.job.attempts, self.job.lease_until) == (claimed.attempts, claimed.lease_until)
        self.is_held = self.job.status == Status.RUNNING and is_same_claim


def _outgrown(attempts: Sequence[_Attempt]) -> list[tuple[Label, str, str]]:
    outgrown = []
    for attempt in attempts:
        is_outgrown = attempt.result.status != Status.QUEUED and attempt.job.status == Status.QUEUED
        if attempt.is_held and is_outgrown and isinstance(attempt.result.label, Label):
            outgrown.append((attempt.result.label, attempt.result.status.value, attempt.result.value))
    return outgrown


def _record_calls(attempts: Sequence[_Attempt], now: datetime) -> None:
    verdicts, kept_exchanges = [], []
    for attempt in attempts:
        usage = attempt.result.usage
        if usage is None:
            continue
        _add_cost(attempt.job, usage, now)
        if isinstance(attempt.job, Label):
            verdict = _verdict(attempt.result, usage, attempt.is_held, now)
            verdicts.append(verdict)
            kept_exchanges.append((attempt.job, verdict, usage.exchange))
        else:
            _record_test_call(attempt.job, usage)
    Verdict.objects.bulk_create(verdicts)
    exchanges.store(kept_exchanges, now)


def _lock(results: Sequence[CallResult]) -> dict[Job, Job]:
    ids: dict[type[Job], list[int]] = {Label: [], SignalTestItem: []}
    for result in results:
        ids[type(result.label)].append(result.label.pk)
    labels = list(Label.objects.lock_targets(ids[Label]))
    items = list(SignalTestItem.objects.all().lock(ids[SignalTestItem]))
    locked: list[Job] = [*labels, *items]
    return {job: job for job in locked}


def _add_cost(job: Job, usage: CallUsage, now: datetime) -> None:
    cost = judge_calls.cost(usage, now)
    if cost is not None:
        job.cost = (job.cost or 0) + cost


def _record_test_call(item: SignalTestItem, usage: CallUsage) -> None:
    if usage.answered and usage.input_tokens is not None:
        item.tokens = (item.tokens or 0) + usage.input_tokens + (usage.output_tokens or 0)
    item.exchange = exchanges.compress(usage.exchange)


def _end_attempt(label: Job, result: CallResult, now: datetime, resumes: Mapping[ModelKey, datetime]) -> None:
    revision = max(result.revision, result.label.wanted_revision)
    if result.outage is not None:
        _wait_for_judge(label, result.outage, now, resumes[result.outage.key])
    elif result.status == Status.QUEUED:
        wait = availability.backoff(f"{label._meta.model_name} {label.pk}", label.attempts, MAX_CALL_WAIT)
        label.retry_later(now, now + wait, result.error)
    elif result.status == Status.DONE:
        judge = result.usage.model if result.usage else ""
        label.finish(now, revision, value=result.value, reason=result.reason, judge=judge)
    elif result.status == Status.SKIPPED:
        label.skip(now, revision, result.error)
    else:
        label.fail(now, revision, result.error)


def _wait_for_judge(label: Job, outage: Outage, now: datetime, resumes_at: datetime) -> None:
    outages = label.outages
    if outage.request_suspect:
        outages += 1
        own_wait = availability.backoff(f"{label._meta.model_name} {label.pk}", outages, MAX_CALL_WAIT)
        resumes_at = max(resumes_at, now + own_wait)
    label.wait_for_judge(now, resumes_at, outage.error, outages)


def _verdict(result: CallResult, usage: CallUsage, is_held: bool, now: datetime) -> Verdict:
    return Verdict(
        label_id=result.label.pk,
        revision=result.revision,
        value=result.value if is_held else "",
        reason=result.reason if is_held else "",
        error=result.error if is_held else LEASE_LOST,
        model=usage.model,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_tokens=usage.cached_tokens,
        cost=judge_calls.cost(usage, now),
        latency_ms=usage.latency_ms,
        shown_digest=usage.digest,
    )


def _charge(results: Sequence[CallResult], now: datetime) -> None:
    charges: dict[Account, Calls] = defaultdict(Calls)
    for result in results:
        if result.usage is not None:
            cost = judge_calls.cost(result.usage, now)
            dollars = result.label.reserved if cost is None else cost
            charges[budget_checks.account_of(result.label)] += Calls(1, dollars)
    budgets.reconcile(charges, now)


def _record_health(results: Sequence[CallResult], now: datetime) -> dict[ModelKey, datetime]:
    answered = {result.usage.key for result in results if result.usage and result.usage.answered}
    availability.record_success(answered - {(None, offline.JUDGE)}, now)
    resumes = {}
    for result in results:
        if result.outage is not None:
            resumes[result.outage.key] = availability.pause(result.outage, now)
    return resumes
