"""Since when a session has been quiet."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from traces.models import Session, Unsettled


@dataclass(frozen=True, slots=True)
class Pause:
    """A session in the settle queue. Signals with different quiet times evaluate it at different times."""

    session: Session
    row: Unsettled

    def due_at(self, quiet: timedelta) -> datetime:
        """When the session settles for signals with this quiet time. Replays and imports are due at once."""
        received_at = self.session.last_received_at
        return received_at if self.session.end_time < received_at - quiet else received_at + quiet

    def is_over(self, quiet: timedelta) -> bool:
        """True if signals with this quiet time have evaluated the session since it grew."""
        return self.row.looked_at is not None and self.due_at(quiet) <= self.row.looked_at

    def settles_at(self, quiet: timedelta) -> datetime | None:
        """When the session settles for signals with this quiet time, None once it has."""
        return None if self.is_over(quiet) else max(self.row.due_at, self.due_at(quiet))

    def waits(self, quiet: timedelta, now: datetime) -> bool:
        # Spans from the future: the clock of the machine was ahead, so their time tells nothing.
        return now < self.due_at(quiet) and self.session.last_received_at <= now
