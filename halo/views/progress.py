"""What a run that is under way does, for those who watch."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from catalyst import formats
from catalyst.timerange import MINUTE
from halo.choices import RunStatus
from halo.models import Run, RunEvent

MAX_EVENTS = 200
SHOWN_EVENTS = 100
# A worker takes a run within seconds.
LONG_WAIT = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Progress:
    """`now`: the last event of each agent of the engine, the analyst first. `events`: the newest first."""

    run: Run
    moment: datetime
    now: Sequence[RunEvent]
    events: Sequence[RunEvent]

    @property
    def words(self) -> str:
        run = self.run
        if run.status == RunStatus.EXPORTING and run.trace_count is not None:
            return f"Reading {run.read_trace_count:,} of {run.trace_count:,} traces"
        if run.status == RunStatus.RUNNING and run.by_rules:
            return "Looking for findings"
        return str(run.get_status_display())

    @property
    def percent(self) -> int | None:
        """How far it is in what it does now. None if nobody knows."""
        run = self.run
        if run.status == RunStatus.EXPORTING and run.trace_count:
            return 100 * run.read_trace_count // run.trace_count
        if run.status == RunStatus.RUNNING and not run.by_rules:
            return min(100 * run.turn // run.max_turns, 100)
        return None

    @property
    def elapsed(self) -> str:
        return formats.roughly(self.moment - (self.run.started_at or self.run.created_at))

    @property
    def left(self) -> str:
        """The time after which it ends in any case. Empty without one."""
        run = self.run
        if run.by_rules or run.started_at is None:
            return ""
        left = run.started_at + run.budget_minutes * MINUTE - self.moment
        return formats.roughly(left) if left > timedelta() else "a moment"

    @property
    def waits_long(self) -> bool:
        return self.run.status == RunStatus.PENDING_EXPORT and self.moment - self.run.created_at > LONG_WAIT


def of(run: Run, moment: datetime) -> Progress:
    """Takes one query."""
    events = list(run.events.order_by("-sequence")[:MAX_EVENTS])
    newest: dict[tuple[int, str], RunEvent] = {}
    for event in events:
        if event.agent:
            newest.setdefault((event.depth, event.agent), event)
    return Progress(run, moment, [newest[key] for key in sorted(newest)], events[:SHOWN_EVENTS])
