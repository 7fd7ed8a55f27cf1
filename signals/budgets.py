"""What judge calls cost, added up by the day."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from django.db import models
from django.db.models import Q

from catalyst import database
from catalyst.formats import usd

if TYPE_CHECKING:
    from signals.models import Budget


class Calls(NamedTuple):
    """Judge calls: how many, and what they cost, or may cost, in US dollars."""

    made: int = 0
    dollars: Decimal = Decimal(0)

    @property
    def words(self) -> str:
        """`$1.20 and 12 judge calls`."""
        return f"{usd(self.dollars)} and {counted(self.made)}"


@dataclass(frozen=True, slots=True)
class Cap:
    """The most that judging may take on a UTC day, in US dollars and in judge calls; None where there is no limit."""

    usd: Decimal | None = None
    calls: int | None = None

    @property
    def words(self) -> str:
        """`$2.50 a day`, `500 judge calls a day`, `$2.50 or 500 judge calls a day`; empty for no cap."""
        parts = [usd(self.usd)] if self.usd is not None else []
        parts += [counted(self.calls)] if self.calls is not None else []
        return f"{' or '.join(parts)} a day" if parts else ""


def counted(calls: int) -> str:
    """`1 judge call`, `1,200 judge calls`."""
    return f"{calls:,} judge call{'' if calls == 1 else 's'}"


class BudgetQuerySet(models.QuerySet["Budget"]):
    """What judging costs, and may cost."""

    def capped(self) -> "BudgetQuerySet":
        """Those that have a limit."""
        return self.filter(Q(daily_usd__isnull=False) | Q(daily_calls__isnull=False))

    def lock(self) -> "BudgetQuerySet":
        """Hold them, in the order that `charge` does. The last lock that a transaction takes."""
        return self.order_by("project_id", "signal_id").select_for_update(no_key=True)

    def charge(self, charges: Mapping[tuple[int, int | None], Calls], day: date) -> None:
        """Count calls, by project and signal, if any, as made on that day."""
        rows = [(*key, *calls) for key, calls in charges.items() if any(calls)]
        if rows:
            database.execute(_CHARGE, [day, *map(list, zip(*rows, strict=True))])


_CHARGE = """
    INSERT INTO signals_budget AS b (project_id, signal_id, day, calls, spent)
    SELECT c.project_id, c.signal_id, %s, sum(c.calls), sum(c.dollars)
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::numeric[]) AS c (project_id, signal_id, calls, dollars)
    GROUP BY GROUPING SETS ((c.project_id, c.signal_id), (c.project_id))
    HAVING c.signal_id IS NOT NULL OR grouping(c.signal_id) = 1
    ORDER BY c.project_id, c.signal_id
    ON CONFLICT (project_id, signal_id) DO UPDATE SET
        calls = EXCLUDED.calls + CASE WHEN b.day >= EXCLUDED.day THEN b.calls ELSE 0 END,
        allowed_calls = CASE WHEN b.day >= EXCLUDED.day THEN b.allowed_calls ELSE 0 END,
        spent = EXCLUDED.spent + CASE WHEN b.day >= EXCLUDED.day THEN b.spent ELSE 0 END,
        day = greatest(b.day, EXCLUDED.day)
"""
