"""Days whose spans have expired. They explain to ingest why spans of a trace are missing."""

from collections.abc import Sequence
from datetime import date

from django.db import models

from catalyst import database
from traces.records import Extent, time_bounds

_RECORD = """
    INSERT INTO traces_expiredday (day, last_trace)
    SELECT %s, coalesce(max(id), 0) FROM traces_trace
    ON CONFLICT (day) DO UPDATE SET last_trace = EXCLUDED.last_trace
"""


class ExpiredDayQuerySet(models.QuerySet["ExpiredDay"]):
    def record(self, day: date) -> None:
        """Record that the store drops a day. Existing traces lose their spans of it."""
        database.execute(_RECORD, [day])

    def overlapping(self, extents: Sequence[Extent]) -> Sequence["ExpiredDay"]:
        """Expired days between the first start and the last end."""
        first, last = time_bounds(extents)
        return list(self.filter(day__gte=first.date(), day__lte=last.date()))


class ExpiredDay(models.Model):
    """A day (UTC) that the store dropped, written in the same transaction.

    Only older traces whose extent overlaps the day may have lost spans.
    """

    day = models.DateField(primary_key=True)
    # Not a time: the clocks of the processes that write traces and drop days may differ.
    last_trace = models.BigIntegerField(help_text="The newest trace, by primary key, when the day was dropped.")

    objects = ExpiredDayQuerySet.as_manager()

    def __str__(self) -> str:
        return self.day.isoformat()

    def took_from(self, trace: int, extent: Extent) -> bool:
        """True if the trace with this primary key may have lost spans."""
        return trace <= self.last_trace and extent.first.date() <= self.day <= extent.last.date()
