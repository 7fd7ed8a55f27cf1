"""What judging may cost: the daily caps of signals and projects, and which work must wait for the next day.

Each claim reserves what its call may cost while it holds the budgets that it is on, so that claims at the same time
can't go beyond a cap together. When the call has ended, what it has cost takes the reservation's place; a dead worker's
reservation ends with its lease.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache

from django.db.models import Q

from catalyst.env import env
from catalyst.formats import usd
from catalyst.llms.amounts import Account, Calls, Cap
from catalyst.llms.budgets import Ledger
from catalyst.llms.endpoints import model_named
from catalyst.llms.models import Budget, BudgetQuerySet
from catalyst.pricing import price
from signals.judging.judges import model_for
from signals.models import DefinitionModel, Job, Label, Signal, SignalTestItem, SignalVersion

# The longest prompt beside its transcript, and the longest answer.
MAX_QUESTION_TOKENS = 6_000
MAX_ANSWER_TOKENS = 1_000


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
            return f"{cap} can't be enforced because {self.model} has no known price"
        if self.is_lasting:
            return f"one call to {self.model} may cost {usd(self.needed)}, which exceeds {cap}"
        if self.cap.calls is not None and self.spent.made >= self.cap.calls:
            return f"{self.spent.text} today; {cap} is reached"
        return f"{self.spent.text} today; {cap} is reached, as another call may cost up to {usd(self.needed)}"


def max_call_cost(model: str, now: datetime) -> Decimal | None:
    """The most that a judge call can cost in US dollars. Returns None for a model without a price.

    The offline judge, which has no model, costs nothing.
    """
    if not model:
        return Decimal(0)
    cost = price("", model, env.judge_budget_tokens + MAX_QUESTION_TOKENS, MAX_ANSWER_TOKENS, None, None, now)
    return None if cost is None else cost.total


def _call_costs(now: datetime) -> Callable[[str], Decimal | None]:
    """`max_call_cost` by the `judge_model` of a version, each computed once."""
    return cache(lambda judge_model: max_call_cost(model_named(judge_model), now))


def account_of(job: Job) -> Account:
    """Whose call judging this is."""
    return Account(job.project_id, job.signal_id)


def _ledger(budgets: Sequence[Budget], now: datetime) -> Ledger:
    projects = {budget.project_id for budget in budgets}
    in_flight: dict[Account, Calls] = defaultdict(Calls)
    for queue in (Label.objects, SignalTestItem.objects) if projects else ():
        for account, calls in queue.in_flight(projects, now).items():
            in_flight[account] += calls
    return Ledger(budgets, in_flight, now)


def _locked_ledger(budgets: BudgetQuerySet, now: datetime) -> Ledger:
    # The locks come first: whoever held them until now has written its reservations.
    return _ledger(list(budgets.lock()), now)


def reserve(jobs: Iterable[Job], caps: Sequence[Budget], now: datetime) -> dict[int, Decimal]:
    """The dollars to reserve for each of these rows of one table, by id. A row that exceeds one of the caps has none.

    Call it in the transaction that claims the rows. It must take the last lock.
    """
    jobs = list(jobs)
    charged = {account for job in jobs for account in account_of(job).charged}
    relevant = [budget.pk for budget in caps if budget.account in charged]
    ledger, cost_of = _locked_ledger(Budget.objects.capped().filter(pk__in=relevant), now), _call_costs(now)
    reserved: dict[int, Decimal] = {}
    for job in jobs:
        calls = ledger.reserve(account_of(job), cost_of(job.version.judge_model))
        if calls is not None:
            reserved[job.pk] = calls.dollars
    return reserved


def capped_signals(caps: Sequence[Budget], now: datetime) -> dict[str, list[int]]:
    """The signals that one of these caps has no room for, by the judge model that their versions name."""
    if not caps:
        return {}
    ledger, cost_of = _ledger(caps, now), _call_costs(now)
    is_capped = Q(signal__in=[budget.subject_id for budget in caps if budget.subject_id])
    is_capped |= Q(signal__project__in=[budget.project_id for budget in caps if budget.subject_id is None])
    versions = SignalVersion.objects.filter(is_capped).order_by()
    found: dict[str, list[int]] = defaultdict(list)
    for project, signal, model in versions.values_list("signal__project_id", "signal_id", "judge_model").distinct():
        if not ledger.has_room(Account(project, signal), cost_of(model)):
            found[model].append(signal)
    return found


def caps_reached(versions: Iterable[SignalVersion], now: datetime) -> dict[int | None, CapReached]:
    """The versions that are not judged any further today, by id, and the cap that is why. The signal's cap goes first.

    One query if there are no caps, else two.
    """
    versions = list(versions)
    signals = Signal.objects.filter(pk__in={version.signal_id for version in versions})
    capped = Budget.objects.capped().filter(project__in=signals.values("project"))
    budgets = {budget.account: budget for budget in capped}
    projects = dict(signals.values_list("pk", "project_id")) if budgets else {}
    found: dict[int | None, CapReached] = {}
    for version in versions if budgets else ():
        account = Account(projects[version.signal_id], version.signal_id)
        reached = [cap_reached(budgets[charged], version, now) for charged in account.charged if charged in budgets]
        if first := next(filter(None, reached), None):
            found[version.pk] = first
    return found


def cap_reached(budget: Budget, version: DefinitionModel, now: datetime) -> CapReached | None:
    """Why a budget lets no label of a version be judged now. Returns None while it does."""
    model = model_for(version)
    needed = max_call_cost(model, now)
    if budget.remaining(now).max_calls(needed) != 0:
        return None
    return CapReached(budget.subject_id is None, budget.spent_on(now), budget.cap, model, needed)


def cap_error(model: str, cap: Cap, now: datetime) -> str:
    """Why this can't be the cap of what that model judges, in words for people; empty when it can."""
    needed = max_call_cost(model, now)
    if cap.usd is None:
        return ""
    if needed is None:
        return f"A dollar limit requires a model with a known price, and {model} has none. Set a limit in judge calls."
    if needed > cap.usd:
        return f"One call of {model} may cost up to ${needed:.4f}. A cap below that stops all of them."
    return ""
