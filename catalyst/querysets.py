"""What QuerySets of several apps share: the row that a page starts after, bars of charts."""

from dataclasses import dataclass
from datetime import datetime

from django.db import models
from django.db.models import F, Func, Value

from catalyst.timerange import TimeRange


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page of a list ended: the next one starts after this row."""

    time: datetime
    id: int

    def __str__(self) -> str:
        return f"{self.time.isoformat()}_{self.id}"


def bar_of(field: str, time_range: TimeRange) -> Func:
    """The start of the bar that a time lies in, also before the range."""
    return Func(
        Value(time_range.step), F(field), Value(time_range.first_bar), function="date_bin",
        output_field=models.DateTimeField(),
    )  # fmt: skip
