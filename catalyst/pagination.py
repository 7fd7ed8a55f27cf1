"""Pages of rows: cursors, and queries for the rows after one."""

from dataclasses import dataclass
from datetime import datetime

from django.db import models


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row of a page. The next page starts after it."""

    time: datetime
    id: int

    def __str__(self) -> str:
        return f"{self.time.isoformat()}_{self.id}"


def newest_by_id[Row: models.Model](rows: models.QuerySet[Row], after: int | None, limit: int) -> list[Row]:
    """Up to `limit` rows and one more, by falling id, from below the id `after` on."""
    found = rows if after is None else rows.filter(pk__lt=after)
    return list(found.order_by("-pk")[: limit + 1])
