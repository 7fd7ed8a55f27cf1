"""Daily caps on the cost of judging.

A claim locks its budgets and reserves the maximum cost of its call, so that concurrent claims can't exceed a cap. The
actual cost replaces the reservation. Reservations of dead workers end with their leases.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache

from django.db.models import Q, prefetch_related_objects

from catalyst.env import env
from catalyst.formats import usd
from catalyst.llms.amounts import Account, Calls, Cap
from catalyst.llms.budgets import Ledger
from catalyst.llms.endpoints import ConnectedModel, ModelKey
from catalyst.llms.models import Budget
from signals.judging.judges import model_for
from signals.models import DefinitionModel, Job, Label, Signal, SignalTestItem, SignalVersion

# The longest prompt beside its transcript, and the longest answer.
MAX_QUESTION_TOKENS = 6_000
MAX_ANSWER_TOKENS = 1_000


@dataclass(frozen=True, slots=True)
class CapReached:
    """A cap of the signal or its project that has no room for another call.

    `needed`: the maximum cost of a call in US dollars; None without a known price.
    """

    of_project: bool
    spent: Calls
    cap: Cap
    model: str
    needed: Decimal | None

    @property
    def is_unpriced(self) -> bool:
        return self.cap.usd is not None and self.needed is None

    @property
    def is_lasting(self) -> bool:
        """True if the cap is too small for a single call."""
        return self.is_unpriced or (self.cap.usd is not None and (self.needed or 0) > self.cap.usd)

    @property
    def title(self) -> str:
        return "Not judged" if self.is_lasting else "Paused until 00:00 UTC"

    @property
    def text(self) -> str:
        limit = f"the {'project' if self.of_project else 'signal'}'s {self.cap.name} of {self.cap.text}"
        if self.is_unpriced:
            return f"{limit} can't be enforced because {self.model} has no known price"
        if self.is_lasting:
            return f"one call to {self.model} may cost {usd(self.needed)}, which exceeds {limit}"
        if self.cap.calls is not None and self.spent.made >= self.cap.calls:
            return f"{self.spent.text} today; {limit} is reached"
        return f"{self.spent.text} today; {limit} is reached, as another call may cost up to {usd(self.needed)}"


def max_call_cost(model: ConnectedModel, now: datetime) -> Decimal | None:
    """Return the maximum cost of a call in US dollars, or None without a known price."""
    if not model:
        return Decimal(0)
    return model.price(env.judge_budget_tokens + MAX_QUESTION_TOKENS, MAX_ANSWER_TOKENS, None, now)


def _call_costs(now: datetime) -> Callable[[ConnectedModel], Decimal | None]:
    return cache(lambda model: max_call_cost(model, now))


def account_of(job: Job) -> Account:
    return Account(job.project_id, job.signal_id)


def _ledger(budgets: Sequence[Budget], now: datetime) -> Ledger:
    projects = {budget.project_id for budget in budgets}
    in_flight: dict[Account, Calls] = defaultdict(Calls)
    for queue in (Label.objects, SignalTestItem.objects) if projects else ():
        for account, calls in queue.in_flight(projects, now).items():
            in_flight[account] += calls
    return Ledger(budgets, in_flight, now)


def reserve(jobs: Iterable[Job], caps: Sequence[Budget], now: datetime) -> dict[int, Decimal]:
    """Return the dollars to reserve for each job, by id. Jobs over a cap are missing.

    Call it in the transaction that claims the jobs. Its lock must be the last one.
    """
    jobs = list(jobs)
    # The locks come first: whoever held them until now has written its reservations.
    ledger, cost_of = _ledger(_lock(caps, {account_of(job) for job in jobs}), now), _call_costs(now)
    reserved: dict[int, Decimal] = {}
    for job in jobs:
        calls = ledger.reserve(account_of(job), cost_of(model_for(job.version)))
        if calls is not None:
            reserved[job.pk] = calls.dollars
    return reserved


def _lock(caps: Sequence[Budget], accounts: Collection[Account]) -> list[Budget]:
    charged = {each for account in accounts for each in account.charged}
    relevant = [budget.pk for budget in caps if budget.account in charged]
    return list(Budget.objects.capped().filter(pk__in=relevant).lock()) if relevant else []


def capped_signals(caps: Sequence[Budget], now: datetime) -> dict[ModelKey, list[int]]:
    """Return signals that reached one of these caps, by the connection and the judge model of their versions."""
    if not caps:
        return {}
    ledger, cost_of = _ledger(caps, now), _call_costs(now)
    is_capped = Q(signal__in=[budget.subject_id for budget in caps if budget.subject_id])
    is_capped |= Q(signal__project__in=[budget.project_id for budget in caps if budget.subject_id is None])
    versions = SignalVersion.objects.filter(is_capped).select_related("signal", "connection")
    judged = versions.order_by("signal", "connection", "judge_model").distinct("signal", "connection", "judge_model")
    capped: dict[ModelKey, list[int]] = defaultdict(list)
    for version in judged.only("signal__project", "connection__preset", "connection__prices", "judge_model"):
        account = Account(version.signal.project_id, version.signal_id)
        if not ledger.has_room(account, cost_of(model_for(version))):
            capped[version.connection_id, version.judge_model].append(version.signal_id)
    return capped


def caps_reached(versions: Iterable[SignalVersion], now: datetime) -> dict[int | None, CapReached]:
    """Return the cap that stops each version today, by version id. A signal's cap wins over its project's.

    One query if there are no caps, else two.
    """
    versions = list(versions)
    prefetch_related_objects(versions, "connection")
    signals = Signal.objects.filter(pk__in={version.signal_id for version in versions})
    capped = Budget.objects.capped().filter(project__in=signals.values("project"))
    budgets = {budget.account: budget for budget in capped}
    projects = dict(signals.values_list("pk", "project_id")) if budgets else {}
    reached_caps: dict[int | None, CapReached] = {}
    for version in versions if budgets else ():
        account = Account(projects[version.signal_id], version.signal_id)
        reached = [cap_reached(budgets[charged], version, now) for charged in account.charged if charged in budgets]
        if cap := next(filter(None, reached), None):
            reached_caps[version.pk] = cap
    return reached_caps


def cap_reached(budget: Budget, version: DefinitionModel, now: datetime) -> CapReached | None:
    """Return the cap if it leaves no room for a call of the version, else None."""
    model = model_for(version)
    needed = max_call_cost(model, now)
    if budget.remaining(now).max_calls(needed) != 0:
        return None
    return CapReached(budget.subject_id is None, budget.spent_on(now), budget.cap, str(model), needed)


def cap_error(model: ConnectedModel, cap: Cap, now: datetime) -> str:
    """Return why this cap can't limit the model, or ""."""
    needed = max_call_cost(model, now)
    if cap.usd is None:
        return ""
    if needed is None:
        return f"A budget needs a model with a known price, and {model} has none. Set a call limit."
    if needed > cap.usd:
        return f"One call of {model} may cost up to ${needed:.4f}. A budget below that stops all of them."
    return ""
