"""A question tried on stored targets before it is saved: calls are made and paid for, but no label is written."""

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import batched

from catalyst.agents.models import Agent
from catalyst.charts import Bar
from catalyst.env import env
from catalyst.llm import LLM, ChatMessage
from catalyst.llms import budgets
from catalyst.llms.amounts import NO_CALLS, Account, Calls, budget_day
from catalyst.llms.endpoints import endpoint
from signals.definitions.choices import Scope
from signals.judging import calls, spending, worker
from signals.judging.calls import CallResult, CallUsage, JudgeCall
from signals.judging.inputs import load_inputs
from signals.models import Label, SignalVersion
from signals.results.charts import Outcome, breakdown, outcomes
from signals.runs import estimates
from signals.runs.estimates import Estimate
from signals.targets.target import Target
from signals.targets.traffic import Traffic
from traces.filters import EVERYTHING

logger = logging.getLogger(__name__)

MAX_TARGETS = 100
"""Targets of one test."""
WIDTH = 8
"""Calls at once."""
MAX_DURATION = timedelta(minutes=5)
BEAT_SECONDS = 0.5
WEEK = timedelta(days=7)
TOO_LONG = "The test took longer than 5 minutes, so the rest was not judged."
CAPPED = "The daily spending cap leaves no room for another call, so the rest was not judged."
UNPRICED = "A daily spending cap can't hold for a model without a public price, so the rest was not judged."
UNANSWERED = "The judge does not answer, so the rest was not judged."


@dataclass(frozen=True, slots=True)
class Result:
    """How a target was judged: a label that is not stored, and what the call took, if there was one."""

    label: Label
    spent: CallUsage | None

    @property
    def tokens(self) -> int | None:
        """In and out; None where there was no call or its server did not say."""
        if self.spent is None or not self.spent.answered or self.spent.input_tokens is None:
            return None
        return self.spent.input_tokens + (self.spent.output_tokens or 0)


class Trial:
    """One test of a version that need not be stored. `stopped` says after the last result why others are missing.

    Live judging tries again where a call gave no answer; a test makes each call once.
    """

    def __init__(
        self,
        version: SignalVersion,
        matches: Sequence[Target],
        clock: Callable[[], datetime],
        until: Callable[[], bool] = lambda: False,
    ) -> None:
        self.version = version
        self.labels = [match.label_of(version) for match in matches[:MAX_TARGETS]]
        self.stopped = ""
        self._clock, self._until = clock, until
        self._ends_at = clock() + MAX_DURATION
        self._prepaid: dict[int, tuple[Calls, datetime]] = {}
        self._account = Account(version.signal.project_id, version.signal_id)
        self._unanswered = 0

    def results(self) -> Generator[Result | None]:
        """Each target's result as soon as there is one; None twice a second meanwhile, for callers that give up.

        Closing it, or `until` coming true, ends the calls under way, and no other is made.
        """
        waiting = self._prepared()
        llm = LLM(endpoint(), env.judge_api_key, concurrency=WIDTH, timeout=env.judge_timeout_seconds)
        with asyncio.Runner() as runner:
            pending: set[asyncio.Task[CallResult]] = set()
            try:
                while not self._is_over():
                    while len(pending) < WIDTH and (prepared := next(waiting, None)) is not None:
                        if isinstance(prepared, CallResult):
                            yield self._result(prepared)
                        else:
                            pending.add(runner.get_loop().create_task(_asked(prepared, llm)))
                    if not pending:
                        return
                    done, pending = runner.run(_first(pending))
                    yield from [self._result(task.result()) for task in done]
                    if not done:
                        yield None
            finally:
                for task in pending:
                    task.cancel()
                runner.run(llm.__aexit__())

    def _is_over(self) -> bool:
        if self._clock() >= self._ends_at:
            self.stopped = TOO_LONG
        return self._until() or self.stopped in (TOO_LONG, UNANSWERED)

    def _prepared(self) -> Iterator[JudgeCall | CallResult]:
        """What each target needs, as long as the caps leave room for it."""
        for some in batched(self.labels, WIDTH, strict=False):
            for label, read in load_inputs(some):
                prepared = worker.prepare(label, read, self._clock(), {})
                if isinstance(prepared, JudgeCall) and not self._pays(prepared):
                    priced = spending.max_call_cost(prepared.model, self._clock()) is not None
                    self.stopped = CAPPED if priced else UNPRICED
                    return
                yield prepared

    def _pays(self, call: JudgeCall) -> bool:
        now = self._clock()
        prepaid = spending.prepay(self._account, self.version.judge_model, now)
        if prepaid is not None:
            self._prepaid[id(call.label)] = prepaid, now
        return prepaid is not None

    def _result(self, ending: CallResult) -> Result:
        label, spent, now = ending.label, ending.spent, self._clock()
        is_open = ending.status == Label.Status.QUEUED
        label.status = Label.Status.FAILED if is_open else ending.status
        label.value, label.reason, label.error = ending.value, ending.reason, ending.error
        label.judge = spent.model if spent else ""
        label.cost = calls.cost(spent, now) if spent else None
        self._settle(label, spent, now)
        self._unanswered = self._unanswered + 1 if ending.outage else 0
        if self._unanswered >= WIDTH:
            self.stopped = UNANSWERED
        return Result(label, spent)

    def _settle(self, label: Label, spent: CallUsage | None, now: datetime) -> None:
        if id(label) not in self._prepaid:
            return
        prepaid, at = self._prepaid[id(label)]
        ended = NO_CALLS
        if spent is not None:
            ended = Calls(1, prepaid.dollars if label.cost is None else label.cost)
        # What was charged yesterday is no part of today's budget.
        refund = prepaid if budget_day(at) == budget_day(now) else NO_CALLS
        budgets.reconcile({self._account: ended - refund}, now)


@dataclass
class Tally:
    """What a test has found so far. `before`: the label of each target in the test before, by its key."""

    version: SignalVersion
    asked: int
    before: dict[str, str] = field(default_factory=dict)
    values: Counter[str] = field(default_factory=Counter)
    flips: Counter[tuple[str, str]] = field(default_factory=Counter)
    compared: int = 0
    ended: int = 0
    failed: int = 0
    skipped: int = 0
    tokens: int = 0
    cost: Decimal = Decimal(0)
    priced: int = 0

    def add(self, result: Result) -> str:
        """Count a result; returns the label that its target had before, if it has another one now."""
        label = result.label
        self.ended += 1
        self.failed += label.status == Label.Status.FAILED
        self.skipped += label.status == Label.Status.SKIPPED
        self.tokens += result.tokens or 0
        if label.cost is not None:
            self.cost, self.priced = self.cost + label.cost, self.priced + 1
        if not label.value:
            return ""
        self.values[label.value] += 1
        was = self.before.get(label.target_key, "")
        self.compared += bool(was)
        if was in ("", label.value):
            return ""
        self.flips[was, label.value] += 1
        return was

    @property
    def outcomes(self) -> list[Outcome]:
        """Each label with how often it was given."""
        return outcomes(self.version.sentiments, self.values)

    @property
    def bars(self) -> list[Bar]:
        """The labels as one bar."""
        return breakdown(self.outcomes)

    @property
    def labelled(self) -> int:
        """Targets that got a label."""
        return self.values.total()

    @property
    def flipped(self) -> int:
        """Targets whose label is another one than before."""
        return self.flips.total()

    @property
    def moves(self) -> list[tuple[str, str, int]]:
        """From which label to which, how often; the most frequent first."""
        return [(was, became, count) for (was, became), count in self.flips.most_common()]


def per_day(version: SignalVersion, agent: Agent, scope: str, examples: Sequence[Target], now: datetime) -> Estimate:
    """What the version would take on a day like those of the last week, by the length of these examples."""
    matching = Traffic(agent, scope, now - WEEK, now, version.traffic_filter).count()
    return estimates.of_calls(version, math.ceil(matching / WEEK.days * version.sample_rate / 100), examples, now)


@dataclass(frozen=True, slots=True)
class Shown:
    """What would be done with a target: `messages` is what its judge would be sent, else `words` say why it is not."""

    messages: Sequence[ChatMessage] = ()
    model: str = ""
    text: str = ""


def shown(version: SignalVersion, match: Target, now: datetime) -> Shown:
    """The exact prompt of a target, as it is now. Asks nobody."""
    ((label, read),) = load_inputs([match.label_of(version)])
    prepared = worker.prepare(label, read, now, {})
    if isinstance(prepared, JudgeCall):
        return Shown(prepared.messages, prepared.model)
    if prepared.status == Label.Status.DONE:
        return Shown(text="The offline judge goes by rules: no model is sent anything.")
    return Shown(text=prepared.error)


def shortfall(traffic: Traffic, found: int, kept_days: int) -> str:
    """Why a window holds only `found` targets, in words for people."""
    agent, scope = traffic.agent, traffic.scope
    everything = Traffic(agent, scope, traffic.end - timedelta(days=kept_days + 1), traffic.end)
    stored = everything.count()
    if not stored:
        if scope == Scope.SESSION and Traffic(agent, Scope.TRACE, everything.start, everything.end).count():
            return f"The traces of {agent} carry no session id, so there is no session to judge."
        return f"Nothing of {agent} is stored; what is older than {kept_days} days has expired."
    within = Traffic(agent, scope, traffic.start, traffic.end).count()
    if traffic.traffic_filter != EVERYTHING and within > found:
        return f"The window holds {_counted(within, scope)}; the others do not pass the filter."
    if stored > within:
        return f"The window is too short: {_counted(stored, scope)} of {agent} are stored in all."
    return f"That is all that is stored; what is older than {kept_days} days has expired."


def _counted(count: int, scope: str) -> str:
    return f"{count:,} {scope}{'' if count == 1 else 's'}"


async def _asked(call: JudgeCall, llm: LLM) -> CallResult:
    try:
        return await calls.ask(call, llm, lambda: False)
    except Exception:
        logger.exception("A test could not ask the judge")
        return calls.internal_error(call.label)


async def _first(
    pending: set[asyncio.Task[CallResult]],
) -> tuple[set[asyncio.Task[CallResult]], set[asyncio.Task[CallResult]]]:
    return await asyncio.wait(pending, timeout=BEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
