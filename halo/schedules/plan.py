"""When a schedule's next report starts."""

import hashlib
from datetime import datetime, timedelta
from typing import Any

from halo.models import Schedule
from halo.recurrence import MIN_MINUTES

SECOND = timedelta(seconds=1)
# The last traces of a window arrive after it ended.
FIRST_START = 30 * SECOND
# Less than two times are apart, so that a report starts before the next time.
LAST_START = timedelta(minutes=MIN_MINUTES)
NOTHING: dict[str, Any] = {"next_run_at": None, "starts_at": None}


def delay(schedule: Schedule) -> timedelta:
    """How long after its times its reports start: always the same, and another one for most of the others.

    So a hundred schedules at midnight do not start at once.
    """
    digest = hashlib.sha256(f"halo schedule {schedule.pk}".encode()).digest()
    return FIRST_START + int.from_bytes(digest[:8]) % int((LAST_START - FIRST_START).total_seconds()) * SECOND


def planned(schedule: Schedule, after: datetime) -> dict[str, Any]:
    """The columns for its next time after this moment."""
    moment = schedule.recurrence.next(after)
    return {"next_run_at": moment, "starts_at": moment + delay(schedule)}
