"""Claims on runs: one worker at a time, by a lease that it renews (docs/adr/0002)."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event, Thread
from typing import Any, Self
from uuid import UUID, uuid4

from django.db import DatabaseError, connection, transaction
from django.db.models import F

from halo.choices import OPEN_STATUSES, RunStatus
from halo.models import Run, RunEvent

logger = logging.getLogger(__name__)

type Clock = Callable[[], datetime]

# Renewed every second. A run whose worker is silent for longer is taken by another one.
LEASE = timedelta(seconds=45)
# A run that killed its worker twice would kill the next one, too.
MAX_ATTEMPTS = 2
WATCH_SECONDS = 1.0
MAX_EVENTS = 2_000
MAX_LOOKED_AT = 20


class Lost(Exception):
    """The run was cancelled, or another worker took it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A run that this worker holds. Every write fails with Lost once it does not."""

    run: Run
    lease: UUID

    def update(self, now: datetime, **columns: Any) -> None:
        """Write columns and renew the lease. Raises Lost."""
        held = Run.objects.filter(pk=self.run.pk, lease=self.lease, status__in=OPEN_STATUSES)
        if not held.update(leased_until=now + LEASE, **columns):
            raise Lost
        for name, value in columns.items():
            setattr(self.run, name, value)

    def check(self) -> None:
        """Lock the run until the transaction ends. Raises Lost."""
        held = Run.objects.filter(pk=self.run.pk, lease=self.lease, status__in=OPEN_STATUSES)
        if held.select_for_update(no_key=True).first() is None:
            raise Lost

    @transaction.atomic
    def tell(self, now: datetime, *events: tuple[str, str, str, int]) -> None:
        """Add events of (kind, text, agent, depth) for those who watch. Raises Lost."""
        first = self.run.event_count
        rows = [
            RunEvent(
                run=self.run,
                sequence=first + number,
                kind=kind,
                text=text[:500],
                agent=agent[:100],
                depth=depth,
                created_at=now,
            )
            for number, (kind, text, agent, depth) in enumerate(events, 1)
            if first + number <= MAX_EVENTS
        ]
        self.update(now, event_count=first + len(rows))
        RunEvent.objects.bulk_create(rows)

    def end(self, status: RunStatus, now: datetime, error: str = "", **columns: Any) -> None:
        """Raises Lost."""
        self.update(now, status=status, ended_at=now, error=error, **columns)

    def keep(self, text: str) -> None:
        """Keep what the model had written of a run that was cancelled meanwhile."""
        if text:
            ended = Run.objects.filter(pk=self.run.pk, lease=self.lease).exclude(status__in=OPEN_STATUSES)
            ended.filter(text="").update(text=text, is_partial=True)


class Watch:
    """Renews the lease of a claim in a thread of its own, and notices when it is lost: `is_lost` then returns True."""

    def __init__(self, claim: Claim, clock: Clock) -> None:
        self._claim, self._clock = claim, clock
        self._ended, self._lost = Event(), Event()
        self._thread = Thread(target=self._renew, name="watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def is_lost(self) -> bool:
        return self._lost.is_set()

    def _renew(self) -> None:
        try:
            while not self._ended.wait(WATCH_SECONDS) and not self.is_lost():
                self._look()
        finally:
            connection.close()

    def _look(self) -> None:
        try:
            self._claim.update(self._clock())
        except Lost:
            self._lost.set()
        except DatabaseError as error:
            # The worker notices too, and the lease outlasts a short trouble.
            logger.warning("The lease of run %s can't be renewed: %s", self._claim.run.pk, error)
            connection.close()


@transaction.atomic
def claim(now: datetime) -> Claim | None:
    """Claim the oldest due run. Returns None if nothing is due. A run that was given up too often ends here."""
    due = Run.objects.due(now).select_for_update(skip_locked=True, of=("self",), no_key=True)
    for run in due.select_related("project", "agent", "conversation", "connection")[:MAX_LOOKED_AT]:
        if run.attempts >= MAX_ATTEMPTS:
            _give_up(run, now)
            continue
        return _claimed(run, now)
    return None


def _claimed(run: Run, now: datetime) -> Claim:
    lease = uuid4()
    changes: dict[str, Any] = {
        "status": RunStatus.EXPORTING,
        "lease": lease,
        "leased_until": now + LEASE,
        "attempts": run.attempts + 1,
        "started_at": run.started_at or now,
        "turn": 0,
    }
    Run.objects.filter(pk=run.pk).update(**changes)
    for name, value in changes.items():
        setattr(run, name, value)
    return Claim(run, lease)


def _give_up(run: Run, now: datetime) -> None:
    error = f"Its worker died {run.attempts} times while it ran. The log of the worker tells why."
    Run.objects.filter(pk=run.pk).update(
        status=RunStatus.FAILED, ended_at=now, error=error, is_partial=True, text=F("engine_text"), leased_until=None
    )
