"""What judging may cost: the daily caps of signals and projects, and which work must wait for the next day.

Each claim reserves what its call may cost while it holds the budgets that it is on, so that claims at the same time
can't go beyond a cap together. When the call has ended, what it has cost takes the reservation's place; a dead worker's
reservation ends with its lease.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache

from django.db import transaction
from django.db.models import Q

from catalyst.env import env
from catalyst.pricing import price
from signals.health import model_named
from signals.models import Budget, Label, Signal, SignalVersion

QUESTION_TOKENS = 6_000
"""The longest prompt with all that is said around it."""
ANSWER_TOKENS = 1_000


@dataclass(frozen=True, slots=True)
class Work:
    """A call that is to be made: for which label, whose it is, and the model that its version names.

    Of a test there is no label, 0, and of a signal that is not saved yet no signal.
    """

    label: int
    project: int
    signal: int | None
    judge_model: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Why nothing of a signal is judged: a budget is spent, of the signal or of its project, or can't be kept.

    `unpriced`: the model whose cost nobody knows.
    """

    of_project: bool
    spent: Decimal
    daily_usd: Decimal
    unpriced: str = ""


@dataclass(frozen=True, slots=True)
class Today:
    """What a signal or a project has spent on this UTC day, and may spend; None where there is no cap."""

    spent: Decimal = Decimal(0)
    daily_usd: Decimal | None = None


def estimate(model: str, now: datetime) -> Decimal | None:
    """What one call may cost in US dollars, were its recording as long as may be; None for a model without a price.

    The offline judge, which has no model, costs nothing.
    """
    if not model:
        return Decimal(0)
    cost = price("", model, env.judge_budget_tokens + QUESTION_TOKENS, ANSWER_TOKENS, None, None, now)
    return None if cost is None else cost.total


class Allowance:
    """What is left of some budgets at a moment. Only if these are locked, nobody else takes it meanwhile."""

    def __init__(self, budgets: Iterable[Budget], now: datetime) -> None:
        caps = {(b.project_id, b.signal_id): (b.daily_usd or Decimal(0)) - b.spent_on(now) for b in budgets}
        self.left: dict[tuple[int, int | None], Decimal] = caps
        self._estimate = cache(lambda judge_model: estimate(model_named(judge_model), now))
        reserved = Label.objects.reserved({project for project, _ in caps}, now) if caps else {}
        for (project, signal), dollars in reserved.items():
            self._subtract(project, signal, dollars)

    def covers(self, project: int, signal: int | None, judge_model: str) -> bool:
        """Whether a call is within the budgets that it is on."""
        left = [self.left[key] for key in ((project, signal), (project, None)) if key in self.left]
        needed = self._estimate(judge_model) if left else None
        return not left or (needed is not None and needed <= min(left))

    def take(self, work: Work) -> Decimal | None:
        """What to reserve for this; None when there is not as much left."""
        if not self.covers(work.project, work.signal, work.judge_model):
            return None
        needed = self._estimate(work.judge_model) or Decimal(0)
        self._subtract(work.project, work.signal, needed)
        return needed

    def _subtract(self, project: int, signal: int | None, dollars: Decimal) -> None:
        for key in {(project, signal), (project, None)}:
            if key in self.left:
                self.left[key] -= dollars


def reserve(claimed: Sequence[Work], now: datetime) -> dict[int, Decimal]:
    """What to reserve for each of these labels, by its id; those without are beyond a cap.

    Call it in the transaction that claims them, as the last thing that locks.
    """
    projects = {work.project for work in claimed}
    of_these = Q(signal=None) | Q(signal__in={work.signal for work in claimed})
    budgets = list(Budget.objects.capped().filter(of_these, project__in=projects).lock()) if claimed else []
    allowance = Allowance(budgets, now)
    taken = {work.label: allowance.take(work) for work in claimed}
    return {label: dollars for label, dollars in taken.items() if dollars is not None}


@transaction.atomic
def advance(work: Work, now: datetime) -> Decimal | None:
    """Charge a call that no label reserves for with what it may cost, before it is made; None where a cap forbids it.

    Where there is no cap nothing is charged yet. `settle` puts what it has cost in its place.
    """
    of_these = Q(signal=None) | Q(signal=work.signal)
    budgets = list(Budget.objects.capped().filter(of_these, project=work.project).lock())
    if not budgets:
        return Decimal(0)
    dollars = Allowance(budgets, now).take(work)
    if dollars is not None:
        Budget.objects.charge({(work.project, work.signal): dollars}, now.astimezone(UTC).date())
    return dollars


def settle(work: Work, advanced: Decimal, advanced_at: datetime, cost: Decimal | None, now: datetime) -> None:
    """Charge what a call has cost in place of what was advanced for it, which stays where that is not known."""
    day = now.astimezone(UTC).date()
    back = advanced if day == advanced_at.astimezone(UTC).date() else Decimal(0)
    if cost is not None:
        Budget.objects.charge({(work.project, work.signal): cost - back}, day)


def blocked(now: datetime) -> dict[str, list[int]]:
    """The signals whose work is beyond a cap, by the judge model that its version names."""
    budgets = list(Budget.objects.capped())
    if not budgets:
        return {}
    allowance = Allowance(budgets, now)
    of_these = Q(signal__in=[b.signal_id for b in budgets if b.signal_id])
    of_these |= Q(signal__project__in=[b.project_id for b in budgets if b.signal_id is None])
    versions = SignalVersion.objects.filter(of_these).order_by()
    found: dict[str, list[int]] = defaultdict(list)
    for project, signal, model in versions.values_list("signal__project_id", "signal_id", "judge_model").distinct():
        if not allowance.covers(project, signal, model):
            found[model].append(signal)
    return found


def stops(signals: Sequence[Signal], now: datetime) -> dict[int, Stop]:
    """Those of these signals whose current version is judged no more today, by id."""
    projects = {signal.project_id for signal in signals}
    budgets = {(b.project_id, b.signal_id): b for b in Budget.objects.capped().filter(project__in=projects)}
    found: dict[int, Stop] = {}
    for signal in signals if budgets else ():
        model = model_named(signal.current_version.judge_model if signal.current_version else "")
        needed = estimate(model, now)
        for key in ((signal.project_id, None), (signal.project_id, signal.pk)):
            budget = budgets.get(key)
            if budget is None or budget.daily_usd is None:
                continue
            spent = budget.spent_on(now)
            if needed is None or spent + needed > budget.daily_usd:
                found[signal.pk] = Stop(key[1] is None, spent, budget.daily_usd, "" if needed is not None else model)
    return found


def today(project: int, signal: int | None, now: datetime) -> Today:
    """The spending of a signal; without one, of the whole project."""
    return today_of(Budget.objects.filter(project=project, signal=signal).first(), now)


def today_of(budget: Budget | None, now: datetime) -> Today:
    """The spending that a budget tells; without one, nothing."""
    return Today(budget.spent_on(now), budget.daily_usd) if budget else Today()


def refusal(model: str, daily_usd: Decimal, now: datetime) -> str:
    """Why this can't be the cap of what that model judges, in words for people; empty when it can."""
    needed = estimate(model, now)
    if needed is None:
        return f"No public price is known for {model}, so a cap in dollars can't hold."
    if needed > daily_usd:
        return f"One call of {model} may cost up to ${needed:.4f}. A cap below that stops all of them."
    return ""
