"""The checks of all health probes."""

from collections.abc import Callable
from datetime import datetime

from django.db import Error as DatabaseError

from catalyst.health import Check
from catalyst.ops.monitoring import probes, snapshot
from catalyst.ops.monitoring.snapshot import Snapshot


def examine(collect: Callable[[], Snapshot]) -> list[Check]:
    """Run all checks. A database that does not answer is one of the results."""
    try:
        return collect().checks()
    except DatabaseError as error:
        return without_database(error)


def without_database(error: DatabaseError) -> list[Check]:
    """Return the checks that need no database."""
    return [_unreachable(error), *probes.check_data_folder(probes.data_folder())]


def readiness(now: datetime) -> list[Check]:
    """Return the checks that decide readiness."""
    try:
        return snapshot.readiness_checks(now)
    except DatabaseError as error:
        return [_unreachable(error)]


def _unreachable(error: DatabaseError) -> Check:
    reason = (str(error).strip().splitlines() or ["no answer"])[0]
    advice = "Start the server or correct DATABASE_URL; if it runs, look in pg_stat_activity for who locks its tables. "
    advice += "Senders are told to send again, and everything goes on by itself once it answers."
    return Check("Database", "answer", "bad", f"none: {reason}", advice)
