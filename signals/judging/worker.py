"""The judging worker. The only place that writes answers of judges.

A job is claimed with a lease, judged outside any transaction, and finished only while the lease holds. The lease of a
dead worker expires and the job is repeated: calls happen at least once, labels exactly once.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from asgiref.sync import async_to_sync, sync_to_async
from django.db import transaction
from django.utils import timezone

from catalyst.env import env
from catalyst.llm import LLM
from catalyst.llms import availability, budgets
from catalyst.llms.amounts import Account, Calls
from catalyst.llms.availability import Outage
from catalyst.llms.endpoints import endpoint
from signals.judging import calls as asking
from signals.judging import claims, exchanges, offline, spending
from signals.judging.calls import CallResult, CallUsage, JudgeCall
from signals.models import Job, Label, SettledMinute, SignalTestItem, Verdict
from signals.models.label_queue import Status
from signals.targets import requeue
from signals.targets.inputs import JudgeInput
from signals.targets.scopes import load_inputs

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)
# Short leases, extended while the worker lives: a dead worker's jobs are taken over soon.
RENEW_EVERY = timedelta(seconds=10)
# Claims held for each concurrent call, so that a free slot never waits for the next claim.
READ_AHEAD = 3
LOOK_AGAIN_SECONDS = 0.5
GATHER_SECONDS = 0.1
MAX_CALL_WAIT = timedelta(minutes=5)
# Calls reserved for tests: a person waits for them, so they don't queue behind labels.
TEST_CONCURRENCY = 8
LEASE_LOST = "Answered after its lease had run out; another try counts."


def run(clock: Callable[[], datetime] = timezone.now, until: Callable[[], bool] = lambda: False) -> int:
    """Judge until no job is due or `until` returns True. Return the number of finished tries."""
    worker = _Worker(clock, until)
    calls = worker.take()
    if calls:
        async_to_sync(worker.work)(calls)
    return worker.ended


class _Worker:
    def __init__(self, clock: Callable[[], datetime], until: Callable[[], bool]) -> None:
        self.clock = clock
        self.until = until
        self.ended = 0
        self.room = env.judge_concurrency * READ_AHEAD
        self._held: set[Job] = set()
        self._renewed_at = clock()
        self._answers = 0
        self._slots = {
            Label: asyncio.Semaphore(env.judge_concurrency),
            SignalTestItem: asyncio.Semaphore(TEST_CONCURRENCY),
        }

    def take(self) -> list[JudgeCall]:
        """Claim jobs and return their calls. Finish jobs that need no call."""
        calls: list[JudgeCall] = []
        while not calls and not self.until():
            now = self.clock()
            paused, answers = availability.paused_models(now)
            claimed = self._claim(now, paused)
            if not claimed:
                break
            endings: list[CallResult] = []
            for job, read in load_inputs(_still_asked(claimed)):
                prepared = prepare(job, read, now, answers)
                if isinstance(prepared, JudgeCall):
                    calls.append(prepared)
                    self._held.add(job)
                else:
                    endings.append(prepared)
            self.finish(endings)
        return calls

    def _claim(self, now: datetime, paused: Sequence[str]) -> list[Job]:
        labels_held = len(_of_type(Label, self._held))
        items_held = len(self._held) - labels_held
        items = claims.claim_test_items(TEST_CONCURRENCY - items_held, LEASE, now, without_models=paused)
        room = self.room - labels_held
        labels = claims.claim(room, LEASE, now, without_models=paused) if room > 0 else []
        return [*items, *labels]

    def finish(self, endings: Sequence[CallResult]) -> None:
        if endings:
            finish(endings, self.clock())
            self.ended += len(endings)
        self._held.difference_update(ending.label for ending in endings)

    async def work(self, calls: Sequence[JudgeCall]) -> None:
        """Make these calls, and those that become due meanwhile."""
        pending: set[asyncio.Task[CallResult]] = set()
        llm = LLM(
            endpoint(),
            env.judge_api_key,
            concurrency=env.judge_concurrency + TEST_CONCURRENCY,
            timeout=env.judge_timeout_seconds,
        )
        async with llm:
            try:
                while calls or pending:
                    pending |= {asyncio.create_task(self._ask(call, llm)) for call in calls}
                    done, pending = await _some(pending)
                    calls = await sync_to_async(self._step)([task.result() for task in done])
            finally:
                for task in pending:
                    task.cancel()

    def _step(self, endings: Sequence[CallResult]) -> list[JudgeCall]:
        self.finish(endings)
        now = self.clock()
        if now - self._renewed_at >= RENEW_EVERY:
            Label.objects.extend_leases(_of_type(Label, self._held), now + LEASE)
            SignalTestItem.objects.extend_leases(_of_type(SignalTestItem, self._held), now + LEASE)
            self._renewed_at = now
        return self.take()

    async def _ask(self, call: JudgeCall, llm: LLM) -> CallResult:
        async with self._slots[type(call.label)]:
            before = self._answers
            try:
                ending = await asking.ask(call, llm, lambda: self._answers > before)
            except Exception:
                logger.exception("%s %s: the judge could not be asked", type(call.label).__name__, call.label.pk)
                return asking.internal_error(call.label)
            self._answers += ending.status == Status.DONE
            return ending


def _still_asked(claimed: Sequence[Job]) -> list[Job]:
    running = [job for job in claimed if job.status == Status.RUNNING]
    return [*_of_type(SignalTestItem, running), *requeue.drop_superseded(_of_type(Label, running))]


def _of_type[Kind: Job](kind: type[Kind], jobs: Iterable[Job]) -> list[Kind]:
    return [job for job in jobs if isinstance(job, kind)]


async def _some(
    pending: set[asyncio.Task[CallResult]],
) -> tuple[set[asyncio.Task[CallResult]], set[asyncio.Task[CallResult]]]:
    first, _ = await asyncio.wait(pending, timeout=LOOK_AGAIN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    if first and len(first) < len(pending):
        await asyncio.sleep(GATHER_SECONDS)
    done = {task for task in pending if task.done()}
    return done, pending - done


def prepare(
    label: Job, read: Callable[[], JudgeInput | None], now: datetime, answers: Mapping[str, datetime]
) -> JudgeCall | CallResult:
    try:
        return asking.prepare(label, read, now, answers)
    except Exception:
        logger.exception("%s %s can't be put to a judge", type(label).__name__, label.pk)
        return asking.internal_error(label)


@transaction.atomic
def finish(endings: Sequence[CallResult], now: datetime) -> None:
    """Write the results of tries whose lease still holds. Finished calls are recorded in any case."""
    rows = _lock(endings)
    resumes = _note_health(endings, now)
    tries = [_Try(rows[ending.label], ending) for ending in endings if ending.label in rows]
    for ended in tries:
        if ended.is_held:
            _end_try(ended.job, ended.ending, now, resumes)
    _keep_calls(tries, now)
    written = [ended.job for ended in tries if ended.is_held or ended.ending.spent is not None]
    Label.objects.write(_of_type(Label, written))
    SettledMinute.objects.answer_superseded(_outgrown(tries))
    SignalTestItem.objects.write(_of_type(SignalTestItem, written))
    _charge([ended.ending for ended in tries], now)


@dataclass
class _Try:
    """A result and its stored row. `is_held`: the row is still leased to this try."""

    job: Job
    ending: CallResult
    is_held: bool = field(init=False)

    def __post_init__(self) -> None:
        claimed = self.ending.label
        is_same_claim = (self.job.attempts, self.job.lease_until) == (claimed.attempts, claimed.lease_until)
        self.is_held = self.job.status == Status.RUNNING and is_same_claim


def _outgrown(tries: Sequence[_Try]) -> list[tuple[Label, str, str]]:
    found = []
    for ended in tries:
        is_outgrown = ended.ending.status != Status.QUEUED and ended.job.status == Status.QUEUED
        if ended.is_held and is_outgrown and isinstance(ended.ending.label, Label):
            found.append((ended.ending.label, ended.ending.status.value, ended.ending.value))
    return found


def _keep_calls(tries: Sequence[_Try], now: datetime) -> None:
    verdicts, said = [], []
    for ended in tries:
        spent = ended.ending.spent
        if spent is None:
            continue
        _add_cost(ended.job, spent, now)
        if isinstance(ended.job, Label):
            verdict = _verdict(ended.ending, spent, ended.is_held, now)
            verdicts.append(verdict)
            said.append((ended.job, verdict, spent.said))
        else:
            _keep_call(ended.job, spent)
    Verdict.objects.bulk_create(verdicts)
    exchanges.keep(said, now)


def _lock(endings: Sequence[CallResult]) -> dict[Job, Job]:
    ids: dict[type[Job], list[int]] = {Label: [], SignalTestItem: []}
    for ending in endings:
        ids[type(ending.label)].append(ending.label.pk)
    if ids[Label]:
        Label.objects.lock_siblings(ids[Label])
    labels = list(Label.objects.all().lock(ids[Label]))
    items = list(SignalTestItem.objects.all().lock(ids[SignalTestItem]))
    locked: list[Job] = [*labels, *items]
    return {job: job for job in locked}


def _add_cost(job: Job, spent: CallUsage, now: datetime) -> None:
    cost = asking.cost(spent, now)
    if cost is not None:
        job.cost = (job.cost or 0) + cost


def _keep_call(item: SignalTestItem, spent: CallUsage) -> None:
    if spent.answered and spent.input_tokens is not None:
        item.tokens = (item.tokens or 0) + spent.input_tokens + (spent.output_tokens or 0)
    item.exchange = exchanges.packed(spent.said)


def _end_try(label: Job, ending: CallResult, now: datetime, resumes: Mapping[str, datetime]) -> None:
    seen = max(ending.revision, ending.label.wanted_revision)
    if ending.outage is not None:
        _wait_for_judge(label, ending.outage, now, resumes[ending.outage.model])
    elif ending.status == Status.QUEUED:
        wait = availability.backoff(f"{label._meta.model_name} {label.pk}", label.attempts, MAX_CALL_WAIT)
        label.retry_later(now, now + wait, ending.error)
    elif ending.status == Status.DONE:
        judge = ending.spent.model if ending.spent else ""
        label.finish(now, seen, value=ending.value, reason=ending.reason, judge=judge)
    elif ending.status == Status.SKIPPED:
        label.skip(now, seen, ending.error)
    else:
        label.fail(now, seen, ending.error)


def _wait_for_judge(label: Job, outage: Outage, now: datetime, resumes_at: datetime) -> None:
    outages = label.outages
    if outage.request_suspect:
        outages += 1
        own_wait = availability.backoff(f"{label._meta.model_name} {label.pk}", outages, MAX_CALL_WAIT)
        resumes_at = max(resumes_at, now + own_wait)
    label.wait_for_judge(now, resumes_at, outage.error, outages)


def _verdict(ending: CallResult, spent: CallUsage, counts: bool, now: datetime) -> Verdict:
    return Verdict(
        label_id=ending.label.pk,
        revision=ending.revision,
        value=ending.value if counts else "",
        reason=ending.reason if counts else "",
        error=ending.error if counts else LEASE_LOST,
        model=spent.model,
        input_tokens=spent.input_tokens,
        output_tokens=spent.output_tokens,
        cached_tokens=spent.cached_tokens,
        cost=asking.cost(spent, now),
        latency_ms=spent.latency_ms,
        shown_digest=spent.digest,
    )


def _charge(endings: Sequence[CallResult], now: datetime) -> None:
    charges: dict[Account, Calls] = defaultdict(Calls)
    for ending in endings:
        if ending.spent is not None:
            cost = asking.cost(ending.spent, now)
            dollars = ending.label.reserved if cost is None else cost
            charges[spending.account_of(ending.label)] += Calls(1, dollars)
    budgets.reconcile(charges, now)


def _note_health(endings: Sequence[CallResult], now: datetime) -> dict[str, datetime]:
    answered = {ending.spent.asked for ending in endings if ending.spent and ending.spent.answered}
    availability.record_success(sorted(answered - {offline.JUDGE}), now)
    resumes = {}
    for ending in endings:
        if ending.outage is not None:
            resumes[ending.outage.model] = availability.pause(ending.outage, now)
    return resumes
