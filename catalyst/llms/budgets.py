"""The budget ledger: reserve before a call, reconcile after it.

The caller stores reservations with its calls and passes them as `in_flight`, so that those of a dead worker end with
its leases.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

from catalyst.llms.amounts import Account, Calls, SpentToday, budget_day
from catalyst.llms.models import Budget


class Ledger:
    """The remaining budgets. Lock the budgets before reading what is in flight."""

    def __init__(self, budgets: Iterable[Budget], in_flight: Mapping[Account, Calls], now: datetime) -> None:
        totals: dict[Account, Calls] = defaultdict(Calls)
        for account, calls in in_flight.items():
            for charged in account.charged:
                totals[charged] += calls
        self._remaining = {budget.account: budget.remaining(now, totals[budget.account]) for budget in budgets}

    def limited_by(self, account: Account) -> list[Account]:
        """Return the accounts in this ledger that a call of this account counts for."""
        return [charged for charged in account.charged if charged in self._remaining]

    def has_room(self, account: Account, cost: Decimal | None) -> bool:
        """`cost` is the maximum of one call, None if no price is known."""
        return all(self._remaining[charged].max_calls(cost) != 0 for charged in self.limited_by(account))

    def reserve(self, account: Account, cost: Decimal | None) -> Calls | None:
        """Reserve a call of up to `cost`. Returns None if a budget has no room."""
        if not self.has_room(account, cost):
            return None
        reserved = Calls(1, cost or Decimal(0))
        for charged in self.limited_by(account):
            self._remaining[charged] -= reserved
        return reserved


def reconcile(calls: Mapping[Account, Calls], now: datetime) -> None:
    """Charge calls that ended. Their reservations must end in the same transaction."""
    Budget.objects.charge(calls, budget_day(now))


def spent_today(account: Account, now: datetime) -> SpentToday:
    budget = Budget.objects.of(account).first()
    return budget.today(now) if budget else SpentToday()
