"""What judging may cost: the daily caps of signals and projects, and which work must wait for the next day.

Each claim reserves what its call may cost while it holds the budgets that it is on, so that claims at the same time
can't go beyond a cap together. When the call has ended, what it has cost takes the reservation's place; a dead worker's
reservation ends with its lease.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache

from django.db import transaction
from django.db.models import Q

from catalyst.env import env
from catalyst.formats import usd
from catalyst.llms.amounts import Calls, Cap
from catalyst.llms.endpoints import model_named
from catalyst.llms.models import Budget
from catalyst.pricing import price
from signals.judging.judges import model_for
from signals.models import Label, Signal, SignalVersion

QUESTION_TOKENS = 6_000
"""The longest prompt with all that is said around it."""
ANSWER_TOKENS = 1_000


@dataclass(frozen=True, slots=True)
class Charge:
    """A call that is to be made: for which label, whose it is, and the model that its version names.

    Of a test there is no label, 0, and of a signal that is not saved yet no signal.
    """

    label: int
    project: int
    signal: int | None
    judge_model: str


@dataclass(frozen=True, slots=True)
class CapReached:
    """Why nothing of a signal is judged: a cap, of the signal or of its project, has no room for another call.

    `needed`: what a call of `model` may cost in US dollars; None where it has no public price.
    """

    of_project: bool
    spent: Calls
    cap: Cap
    model: str
    needed: Decimal | None

    @property
    def is_unpriced(self) -> bool:
        """Whether nobody knows what would be spent of a cap in dollars."""
        return self.cap.usd is not None and self.needed is None

    @property
    def is_lasting(self) -> bool:
        """Whether the next day, on which nothing is spent yet, changes nothing: the cap can't bear a single call."""
        return self.is_unpriced or (self.cap.usd is not None and (self.needed or 0) > self.cap.usd)

    @property
    def title(self) -> str:
        """The state, for people."""
        return "Not judged" if self.is_lasting else "Capped until 00:00 UTC"

    @property
    def text(self) -> str:
        """The reason, for people."""
        cap = f"the {'project' if self.of_project else 'signal'}'s cap of {self.cap.text}"
        if self.is_unpriced:
            return f"no public price is known for {self.model}, so {cap} can't hold"
        if self.is_lasting:
            return f"one call of {self.model} may cost up to {usd(self.needed)}, more than {cap} bears"
        if self.cap.calls is not None and self.spent.made >= self.cap.calls:
            return f"{self.spent.text} today; {cap} is reached"
        return f"{self.spent.text} today; {cap} is reached, as another call may cost up to {usd(self.needed)}"


@dataclass(frozen=True, slots=True)
class SpentToday:
    """What a signal or a project has spent on this UTC day, and may spend."""

    spent: Calls
    cap: Cap

    @property
    def text(self) -> str:
        """`$1.20 and 12 judge calls today`, and of at most how many."""
        return f"{self.spent.text} today{f', of at most {self.cap.text}' if self.cap.text else ''}"


@dataclass(slots=True)
class Remaining:
    """What a budget can still bear, in US dollars and in calls; None where there is no limit.

    `beyond`: calls that may be made even so, to catch up.
    """

    usd: Decimal | None
    calls: int | None
    beyond: int

    @classmethod
    def of(cls, budget: Budget, now: datetime) -> "Remaining":
        """What is left after the calls that have ended."""
        cap, spent = budget.cap, budget.spent_on(now)
        return cls(
            None if cap.usd is None else cap.usd - spent.dollars,
            None if cap.calls is None else cap.calls - spent.made,
            budget.allowed_on(now) - spent.made,
        )

    def room(self, needed: Decimal | None) -> int | None:
        """For how many calls there is room that may cost so much; None for any number.

        For a model without a price, `needed` is None: under a cap in dollars there is no room for it.
        """
        if self.usd is not None and needed is None:
            return 0
        rooms = [] if self.calls is None else [self.calls]
        if self.usd is not None and needed:
            rooms.append(int(self.usd // needed))
        return max(0, self.beyond, min(rooms)) if rooms else None

    def take(self, calls: Calls) -> None:
        """Take what these calls may cost out of it."""
        if self.usd is not None:
            self.usd -= calls.dollars
        if self.calls is not None:
            self.calls -= calls.made
        self.beyond -= calls.made


def estimate(model: str, now: datetime) -> Decimal | None:
    """What one call may cost in US dollars, were its recording as long as may be; None for a model without a price.

    The offline judge, which has no model, costs nothing.
    """
    if not model:
        return Decimal(0)
    cost = price("", model, env.judge_budget_tokens + QUESTION_TOKENS, ANSWER_TOKENS, None, None, now)
    return None if cost is None else cost.total


class BudgetLedger:
    """What is left of some budgets at a moment. Only if these are locked, nobody else takes it meanwhile."""

    def __init__(self, budgets: Iterable[Budget], now: datetime) -> None:
        self._left = {(budget.project_id, budget.subject_id): Remaining.of(budget, now) for budget in budgets}
        self._estimate = cache(lambda judge_model: estimate(model_named(judge_model), now))
        under_way = Label.objects.in_flight({project for project, _ in self._left}, now) if self._left else {}
        for (project, signal), calls in under_way.items():
            self._take(project, signal, calls)

    def covers(self, project: int, signal: int | None, judge_model: str) -> bool:
        """Whether a call is within the budgets that it is on."""
        left = self._on(project, signal)
        return not left or all(each.room(self._estimate(judge_model)) != 0 for each in left)

    def take(self, work: Charge) -> Decimal | None:
        """What to reserve for this; None when there is not as much left."""
        if not self.covers(work.project, work.signal, work.judge_model):
            return None
        needed = self._estimate(work.judge_model) or Decimal(0)
        self._take(work.project, work.signal, Calls(1, needed))
        return needed

    def _take(self, project: int, signal: int | None, calls: Calls) -> None:
        for left in self._on(project, signal):
            left.take(calls)

    def _on(self, project: int, signal: int | None) -> list[Remaining]:
        return [self._left[key] for key in {(project, signal), (project, None)} if key in self._left]


def reserve(claimed: Sequence[Charge], caps: Sequence[Budget], now: datetime) -> dict[int, Decimal]:
    """What to reserve for each of these labels, by its id; those without are beyond one of these caps.

    Call it in the transaction that claims them, as the last thing that locks.
    """
    projects, signals = {work.project for work in claimed}, {None, *(work.signal for work in claimed)}
    on = [budget.pk for budget in caps if budget.project_id in projects and budget.subject_id in signals]
    allowance = BudgetLedger(Budget.objects.capped().filter(pk__in=on).lock() if on else (), now)
    taken = {work.label: allowance.take(work) for work in claimed}
    return {label: dollars for label, dollars in taken.items() if dollars is not None}


@transaction.atomic
def prepay(work: Charge, now: datetime) -> Calls | None:
    """Charge a call that no label reserves for with what it may cost, before it is made; None where a cap forbids it.

    Where there is no cap nothing is charged yet. `settle` puts what it has cost in its place.
    """
    of_these = Q(subject_id=None) | Q(subject_id=work.signal)
    budgets = list(Budget.objects.capped().filter(of_these, project=work.project).lock())
    if not budgets:
        return Calls()
    dollars = BudgetLedger(budgets, now).take(work)
    if dollars is None:
        return None
    Budget.objects.charge({(work.project, work.signal): Calls(1, dollars)}, now.astimezone(UTC).date())
    return Calls(1, dollars)


def reconcile(work: Charge, advanced: Calls, advanced_at: datetime, ended: Calls, now: datetime) -> None:
    """Charge a call as it has ended in place of what was advanced for it."""
    day = now.astimezone(UTC).date()
    back = advanced if day == advanced_at.astimezone(UTC).date() else Calls()
    charge = Calls(ended.made - back.made, ended.dollars - back.dollars)
    Budget.objects.charge({(work.project, work.signal): charge}, day)


def capped_signals(caps: Sequence[Budget], now: datetime) -> dict[str, list[int]]:
    """The signals whose work is beyond one of these caps, by the judge model that its version names."""
    if not caps:
        return {}
    allowance = BudgetLedger(caps, now)
    of_these = Q(signal__in=[b.subject_id for b in caps if b.subject_id])
    of_these |= Q(signal__project__in=[b.project_id for b in caps if b.subject_id is None])
    versions = SignalVersion.objects.filter(of_these).order_by()
    found: dict[str, list[int]] = defaultdict(list)
    for project, signal, model in versions.values_list("signal__project_id", "signal_id", "judge_model").distinct():
        if not allowance.covers(project, signal, model):
            found[model].append(signal)
    return found


def caps_reached(signals: Iterable[Signal], now: datetime) -> dict[int, CapReached]:
    """Those of these signals whose current version is judged no more today, by id."""
    asked = {signal.current_version: signal for signal in signals if signal.current_version}
    return {asked[version].pk: stop for version, stop in caps_reached_by_version(asked, now).items()}


def caps_reached_by_version(asked: Mapping[SignalVersion, Signal], now: datetime) -> dict[SignalVersion, CapReached]:
    """Those of these versions, given with their signals, of which nothing more is judged today."""
    projects = {signal.project_id for signal in asked.values()}
    budgets = {(b.project_id, b.subject_id): b for b in Budget.objects.capped().filter(project__in=projects)}
    found: dict[SignalVersion, CapReached] = {}
    for version, signal in asked.items() if budgets else ():
        for key in ((signal.project_id, None), (signal.project_id, signal.pk)):
            if key in budgets and (stop := cap_reached(budgets[key], version, now)):
                found[version] = stop
    return found


def cap_reached(budget: Budget, version: SignalVersion, now: datetime) -> CapReached | None:
    """Why a budget lets nothing of a version be judged now; None while it does."""
    model = model_for(version)
    needed = estimate(model, now)
    if Remaining.of(budget, now).room(needed) != 0:
        return None
    return CapReached(budget.subject_id is None, budget.spent_on(now), budget.cap, model, needed)


def today(project: int, signal: int | None, now: datetime) -> SpentToday:
    """The spending of a signal; without one, of the whole project."""
    return today_of(Budget.objects.filter(project=project, subject_id=signal).first(), now)


def today_of(budget: Budget | None, now: datetime) -> SpentToday:
    """The spending that a budget tells; without one, nothing."""
    return SpentToday(budget.spent_on(now), budget.cap) if budget else SpentToday(Calls(), Cap())


def cap_error(model: str, cap: Cap, now: datetime) -> str:
    """Why this can't be the cap of what that model judges, in words for people; empty when it can."""
    needed = estimate(model, now)
    if cap.usd is None:
        return ""
    if needed is None:
        return f"No public price is known for {model}, so a cap in dollars can't hold. One in judge calls can."
    if needed > cap.usd:
        return f"One call of {model} may cost up to ${needed:.4f}. A cap below that stops all of them."
    return ""
