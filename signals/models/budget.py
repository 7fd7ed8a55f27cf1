"""What judge calls cost, added up by the day."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import NamedTuple

from django.db import models
from django.db.models import Q

from catalyst import database
from catalyst.core.models import Project
from catalyst.formats import usd


class Calls(NamedTuple):
    """Judge calls: how many, and what they cost, or may cost, in US dollars."""

    made: int = 0
    dollars: Decimal = Decimal(0)

    @property
    def text(self) -> str:
        """`$1.20 and 12 judge calls`."""
        return f"{usd(self.dollars)} and {counted(self.made)}"


@dataclass(frozen=True, slots=True)
class Cap:
    """The most that judging may take on a UTC day, in US dollars and in judge calls; None where there is no limit."""

    usd: Decimal | None = None
    calls: int | None = None

    @property
    def text(self) -> str:
        """`$2.50 a day`, `500 judge calls a day`, `$2.50 or 500 judge calls a day`; empty for no cap."""
        parts = [usd(self.usd)] if self.usd is not None else []
        parts += [counted(self.calls)] if self.calls is not None else []
        return f"{' or '.join(parts)} a day" if parts else ""


def counted(calls: int) -> str:
    """`1 judge call`, `1,200 judge calls`."""
    return f"{calls:,} judge call{'' if calls == 1 else 's'}"


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


class Budget(models.Model):
    """What judging may cost on a UTC day, and what it did: that of one signal, or of all signals of a project."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    signal = models.ForeignKey(
        "signals.Signal", on_delete=models.CASCADE, null=True, related_name="+", help_text="Null: all of the project."
    )
    daily_usd = models.DecimalField(
        max_digits=12, decimal_places=4, null=True, help_text="The most for one day, in US dollars; null: no cap."
    )
    daily_calls = models.PositiveIntegerField(null=True, help_text="The most judge calls for one day; null: no cap.")
    day = models.DateField(help_text="The UTC day of `calls`, `spent` and `allowed_calls`.")
    calls = models.IntegerField(default=0, help_text="Judge calls that ended, with a label or without.")
    spent = models.DecimalField(max_digits=20, decimal_places=9, default=0, help_text="US dollars.")
    allowed_calls = models.IntegerField(
        default=0,
        db_default=0,
        help_text="On `day` judging goes on beyond the cap until `calls` is that many: to catch up.",
    )

    objects = BudgetQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "signal"], nulls_distinct=False, name="signals_budget_key"),
        ]

    def __str__(self) -> str:
        return f"Spending of {self.signal or self.project}"

    @property
    def cap(self) -> Cap:
        """The most for one day."""
        return Cap(self.daily_usd, self.daily_calls)

    def spent_on(self, now: datetime) -> Calls:
        """What was spent so far on the day of that moment."""
        return Calls(self.calls, self.spent) if self._is_of(now) else Calls()

    def allowed_on(self, now: datetime) -> int:
        """How many calls may be made beyond the cap on the day of that moment, those made before included."""
        return self.allowed_calls if self._is_of(now) else 0

    def _is_of(self, now: datetime) -> bool:
        return self.day >= now.astimezone(UTC).date()
