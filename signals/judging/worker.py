"""From a label that waits to its verdict. The only place that writes what a judge said.

The row is the job: claimed with a lease, judged outside any transaction, finished only by whoever still holds the
lease. A worker that dies leaves a lease that runs out, and the work is done again: calls at least once, labels exactly
once.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
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
from signals.judging.inputs import JudgeInput, load_inputs
from signals.models import Label, SettledMinute, Verdict
from signals.targets import requeue

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)
RENEW_EVERY = timedelta(seconds=10)
"""A worker that lives renews its leases however long a call takes, so that a dead one's work is taken over soon."""
READ_AHEAD = 3
"""Claims held for each call under way, so that a slot that becomes free finds its next call at hand while others are
gathered, written and claimed."""
LOOK_AGAIN_SECONDS = 0.5
GATHER_SECONDS = 0.1
MAX_CALL_WAIT = timedelta(minutes=5)
LEASE_LOST = "Answered after its lease had run out; another try counts."


def run(clock: Callable[[], datetime] = timezone.now, until: Callable[[], bool] = lambda: False) -> int:
    """Judge until nothing is due, or until told to stop; returns how many tries ended.

    Calls run side by side, so that a slow one holds up nothing.
    """
    worker = _Worker(clock, until)
    calls = worker.take(worker.room)
    if calls:
        async_to_sync(worker.work)(calls)
    return worker.ended


class _Worker:
    """One run: its claims and its calls."""

    def __init__(self, clock: Callable[[], datetime], until: Callable[[], bool]) -> None:
        self.clock = clock
        self.until = until
        self.ended = 0
        self.room = env.judge_concurrency * READ_AHEAD
        self._held: dict[int, Label] = {}
        self._renewed_at = clock()
        self._answers = 0
        self._slots = asyncio.Semaphore(env.judge_concurrency)

    def take(self, room: int) -> list[JudgeCall]:
        """Claim up to `room` labels and return the calls they need; finish those that need none."""
        calls: list[JudgeCall] = []
        while room > 0 and not calls and not self.until():
            now = self.clock()
            paused, answers = availability.paused_models(now)
            claimed = claims.claim(room, LEASE, now, without_models=paused)
            if not claimed:
                break
            endings: list[CallResult] = []
            running = [label for label in claimed if label.status == Label.Status.RUNNING]
            for label, read in load_inputs(requeue.drop_superseded(running)):
                prepared = prepare(label, read, now, answers)
                if isinstance(prepared, JudgeCall):
                    calls.append(prepared)
                    self._held[label.pk] = label
                else:
                    endings.append(prepared)
            self.finish(endings)
        return calls

    def finish(self, endings: Sequence[CallResult]) -> None:
        """Write how tries ended."""
        if endings:
            finish(endings, self.clock())
            self.ended += len(endings)
        for ending in endings:
            self._held.pop(ending.label.pk, None)

    async def work(self, calls: Sequence[JudgeCall]) -> None:
        """Make these calls, and those that become due meanwhile."""
        pending: set[asyncio.Task[CallResult]] = set()
        llm = LLM(
            endpoint(),
            env.judge_api_key,
            concurrency=env.judge_concurrency,
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
            Label.objects.extend_leases(list(self._held.values()), now + LEASE)
            self._renewed_at = now
        return self.take(self.room - len(self._held))

    async def _ask(self, call: JudgeCall, llm: LLM) -> CallResult:
        async with self._slots:
            before = self._answers
            try:
                ending = await asking.ask(call, llm, lambda: self._answers > before)
            except Exception:
                logger.exception("Label %s: the judge could not be asked", call.label.pk)
                return asking.internal_error(call.label)
            self._answers += ending.status == Label.Status.DONE
            return ending


async def _some(
    pending: set[asyncio.Task[CallResult]],
) -> tuple[set[asyncio.Task[CallResult]], set[asyncio.Task[CallResult]]]:
    """Wait for the first, then a moment for others, so that they are written together."""
    first, _ = await asyncio.wait(pending, timeout=LOOK_AGAIN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    if first and len(first) < len(pending):
        await asyncio.sleep(GATHER_SECONDS)
    done = {task for task in pending if task.done()}
    return done, pending - done


def prepare(
    label: Label, read: Callable[[], JudgeInput | None], now: datetime, answers: Mapping[str, datetime]
) -> JudgeCall | CallResult:
    """Prepare one of a batch; one that can't be harms no other."""
    try:
        return asking.prepare(label, read, now, answers)
    except Exception:
        logger.exception("Label %s can't be put to a judge", label.pk)
        return asking.internal_error(label)


@transaction.atomic
def finish(endings: Sequence[CallResult], now: datetime) -> None:
    """Write how tries ended, each only if its lease still holds. Calls that ended are kept in any case."""
    Label.objects.lock_siblings(ending.label.pk for ending in endings)
    held = {label.pk: label for label in Label.objects.lock(ending.label.pk for ending in endings)}
    resumes = _note_health(endings, now)
    written, verdicts, said, outgrown = [], [], [], []
    for ending in endings:
        label = held.get(ending.label.pk)
        if label is None:
            continue
        is_ours = _is_held(label, ending.label)
        if is_ours:
            _end_try(label, ending, now, resumes)
            if ending.status != Label.Status.QUEUED and label.status == Label.Status.QUEUED:
                outgrown.append((ending.label, ending.status.value, ending.value))
        if ending.spent is not None:
            verdicts.append(verdict := _verdict(ending, ending.spent, is_ours, now))
            said.append((label, verdict, ending.spent.said))
            if verdict.cost is not None:
                label.cost = (label.cost or 0) + verdict.cost
        if is_ours or ending.spent is not None:
            written.append(label)
    Label.objects.write(written)
    SettledMinute.objects.answer_superseded(outgrown)
    Verdict.objects.bulk_create(verdicts)
    exchanges.keep(said, now)
    _charge(endings, verdicts, now)


def _is_held(label: Label, claimed: Label) -> bool:
    """Whether a label, as it is stored, is still under the claim that the try began with."""
    now, then = ((each.attempts, each.lease_until) for each in (label, claimed))
    return label.status == Label.Status.RUNNING and now == then


def _end_try(label: Label, ending: CallResult, now: datetime, resumes: Mapping[str, datetime]) -> None:
    seen = max(ending.revision, ending.label.wanted_revision)
    if ending.outage is not None:
        _wait_for_judge(label, ending.outage, now, resumes[ending.outage.model])
    elif ending.status == Label.Status.QUEUED:
        wait = availability.backoff(f"label {label.pk}", label.attempts, MAX_CALL_WAIT)
        label.retry_later(now, now + wait, ending.error)
    elif ending.status == Label.Status.DONE:
        judge = ending.spent.model if ending.spent else ""
        label.finish(now, seen, value=ending.value, reason=ending.reason, judge=judge)
    elif ending.status == Label.Status.SKIPPED:
        label.skip(now, seen, ending.error)
    else:
        label.fail(now, seen, ending.error)


def _wait_for_judge(label: Label, outage: Outage, now: datetime, resumes_at: datetime) -> None:
    outages = label.outages
    if outage.request_suspect:
        outages += 1
        own_wait = availability.backoff(f"label {label.pk}", outages, MAX_CALL_WAIT)
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


def _charge(endings: Sequence[CallResult], verdicts: Sequence[Verdict], now: datetime) -> None:
    """Count what these calls have cost; where that is not known, what was reserved for them."""
    claimed = {ending.label.pk: ending.label for ending in endings}
    charges: dict[Account, Calls] = defaultdict(Calls)
    for verdict in verdicts:
        label = claimed[verdict.label_id]
        cost = label.reserved if verdict.cost is None else verdict.cost
        charges[spending.account_of(label)] += Calls(1, cost)
    budgets.reconcile(charges, now)


def _note_health(endings: Sequence[CallResult], now: datetime) -> dict[str, datetime]:
    """Note which models answered, and pause those that did not; returns until when, by model."""
    answered = {ending.spent.asked for ending in endings if ending.spent and ending.spent.answered}
    availability.record_success(sorted(answered - {offline.JUDGE}), now)
    resumes = {}
    for ending in endings:
        if ending.outage is not None:
            resumes[ending.outage.model] = availability.pause(ending.outage, now)
    return resumes
