"""Numbers of calls and US dollars."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import NamedTuple

from catalyst.formats import usd


class Account(NamedTuple):
    """A subject of a project, or without a subject the project."""

    project_id: int
    subject_id: int | None = None

    @property
    def charged(self) -> "tuple[Account, ...]":
        # A call counts for the subject and for its project.
        return (self,) if self.subject_id is None else (self, Account(self.project_id))


@dataclass(frozen=True, slots=True)
class Calls:
    """A number of calls and their cost in US dollars."""

    made: int = 0
    dollars: Decimal = Decimal(0)

    def __add__(self, other: "Calls") -> "Calls":
        return Calls(self.made + other.made, self.dollars + other.dollars)

    def __sub__(self, other: "Calls") -> "Calls":
        return Calls(self.made - other.made, self.dollars - other.dollars)

    @property
    def text(self) -> str:
        """`$1.20 and 12 judge calls`"""
        return f"{usd(self.dollars)} and {counted(self.made)}"


NO_CALLS = Calls()


@dataclass(frozen=True, slots=True)
class Cap:
    """Daily limits. None is no limit."""

    usd: Decimal | None = None
    calls: int | None = None

    @property
    def name(self) -> str:
        if self.usd is not None and self.calls is not None:
            return "daily limit"
        return "call limit" if self.usd is None else "budget"

    @property
    def text(self) -> str:
        """`$2.50 or 500 judge calls a day`. Empty without a limit."""
        parts = [usd(self.usd)] if self.usd is not None else []
        parts += [counted(self.calls)] if self.calls is not None else []
        return f"{' or '.join(parts)} a day" if parts else ""


@dataclass(frozen=True, slots=True)
class SpentToday:
    # Days are UTC.
    spent: Calls = NO_CALLS
    cap: Cap = Cap()

    @property
    def used(self) -> str:
        """`$1.20 of $2.50; 12 of 500 calls`"""
        cap, made = self.cap, f"{self.spent.made:,}"
        dollars = usd(self.spent.dollars) + (f" of {usd(cap.usd)}" if cap.usd is not None else "")
        calls = f"{made} of {cap.calls:,}" if cap.calls is not None else made
        return f"{dollars}; {calls} call{'' if calls == '1' else 's'}"

    @property
    def text(self) -> str:
        """`$1.20 and 12 judge calls today, of at most $2.50 a day`"""
        return f"{self.spent.text} today{f', of at most {self.cap.text}' if self.cap.text else ''}"


@dataclass(frozen=True, slots=True)
class Remaining:
    """Remaining US dollars and calls of a day. None is no limit. `extra_calls` may exceed the limits."""

    usd: Decimal | None
    calls: int | None
    extra_calls: int

    def __sub__(self, calls: Calls) -> "Remaining":
        remaining_usd = None if self.usd is None else self.usd - calls.dollars
        remaining_calls = None if self.calls is None else self.calls - calls.made
        return Remaining(remaining_usd, remaining_calls, self.extra_calls - calls.made)

    def max_calls(self, cost: Decimal | None) -> int | None:
        """Return how many calls of up to `cost` fit, None for any number.

        `cost` is None for a model without a known price: none of its calls fits a limit in dollars.
        """
        if self.usd is not None and cost is None:
            return 0
        limits = []
        if self.calls is not None:
            limits.append(self.calls)
        if self.usd is not None and cost:
            limits.append(int(self.usd // cost))
        return max(0, self.extra_calls, min(limits)) if limits else None


def counted(calls: int) -> str:
    """`1 judge call`, `1,200 judge calls`"""
    return f"{calls:,} judge call{'' if calls == 1 else 's'}"


def budget_day(moment: datetime) -> date:
    # Budgets reset at 00:00 UTC.
    return moment.astimezone(UTC).date()
