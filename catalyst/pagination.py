"""Pages of rows: cursors, sort orders, and queries for the rows after one."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.expressions import Combinable

# The column of the time of a list.
TIME = "time"


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row of a page. The next page starts after it."""

    time: datetime
    id: int

    def __str__(self) -> str:
        return f"{self.time.isoformat()}_{self.id}"


@dataclass(frozen=True, slots=True)
class Sort:
    """The column by which a list is sorted, and the direction. `-cost` in an address puts the highest cost first."""

    key: str
    is_descending: bool = True

    def __str__(self) -> str:
        return f"-{self.key}" if self.is_descending else self.key

    @property
    def opposite(self) -> "Sort":
        return replace(self, is_descending=not self.is_descending)

    @property
    def is_by_time(self) -> bool:
        return self.key == TIME

    @property
    def is_newest_first(self) -> bool:
        return self == NEWEST_FIRST


NEWEST_FIRST = Sort(TIME)


@dataclass(frozen=True, slots=True)
class SortedCursor:
    """The last row of a page of a sorted list: its value, which is a number unless the list goes by time."""

    value: datetime | Decimal
    id: int

    @classmethod
    def of(cls, row: Any) -> "SortedCursor":
        """The place of a row of `sorted_rows`."""
        value = row.sort_value
        return cls(value if isinstance(value, datetime) else Decimal(value), row.pk)

    def __str__(self) -> str:
        value = self.value.isoformat() if isinstance(self.value, datetime) else f"{self.value:f}"
        return f"{value}_{self.id}"


def sorted_rows[Rows: models.QuerySet[Any]](
    rows: Rows, sort: Sort, value: Combinable, after: SortedCursor | None
) -> Rows:
    """Rows by a value, and by id where it is the same, from behind `after`. Each has its value as `sort_value`."""
    sign, side = ("-", "lt") if sort.is_descending else ("", "gt")
    in_order: Rows = rows.annotate(sort_value=value).order_by(f"{sign}sort_value", f"{sign}id")
    if after is None:
        return in_order
    behind = Q(**{f"sort_value__{side}": after.value}) | Q(**{f"id__{side}": after.id})
    return in_order.filter(behind, **{f"sort_value__{side}e": after.value})


def newest_by_id[Row: models.Model](rows: models.QuerySet[Row], after: int | None, limit: int) -> list[Row]:
    """Up to `limit` rows and one more, by falling id, from below the id `after` on."""
    found = rows if after is None else rows.filter(pk__lt=after)
    return list(found.order_by("-pk")[: limit + 1])
