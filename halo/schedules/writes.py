"""Writes on schedules, with their rules and audit entries.

Violated rules raise `django.core.exceptions.ValidationError` by field, with text for people.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from catalyst import notifications
from catalyst.agents.models import Agent
from catalyst.core.actor import SYSTEM, Actor
from catalyst.core.audit import record
from catalyst.core.models import Project
from catalyst.timerange import DAY
from halo.choices import Frequency, Origin, PausedReason
from halo.models import Run, Schedule
from halo.models.conversation import MAX_TITLE_CHARACTERS
from halo.recurrence import LOOKBACK_HOURS, MAX_LOOKBACK_HOURS, Recurrence
from halo.runs import requests
from halo.schedules.plan import NOTHING, planned

# Of a project.
MAX_SCHEDULES = 100
MAX_CHANNELS = 20
NUMBERS = ("hours", "minutes", "days_of_week", "days_of_month")
WHEN = ("frequency", "timezone", *NUMBERS)
REQUEST = (
    *("prompt", "focus", "engine", "span_limit", "max_depth", "max_turns", "reasoning_effort"),
    *("budget_tokens", "budget_usd", "budget_minutes"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """When a schedule runs, what its reports do (`requests.Definition`), and ids of the channels that are told.

    `lookback_hours`: None is the time from one report to the next.
    """

    title: str
    frequency: str
    hours: Sequence[int] = ()
    minutes: Sequence[int] = (0,)
    days_of_week: Sequence[int] = ()
    days_of_month: Sequence[int] = ()
    timezone: str = "UTC"
    lookback_hours: int | None = None
    prompt: str = ""
    focus: str = ""
    engine: str = ""
    connection: int | None = None
    model: str = ""
    span_limit: int = 10_000
    max_depth: int = 2
    max_turns: int = 20
    reasoning_effort: str = ""
    budget_tokens: int | None = None
    budget_usd: Decimal | None = None
    budget_minutes: int = 30
    channels: Sequence[int] = ()

    @classmethod
    def of(cls, schedule: Schedule) -> "Definition":
        """Without channels that were deleted since. A lookback that is that of its cadence follows it."""
        same = {name: getattr(schedule, name) for name in ("title", *WHEN, *REQUEST)}
        lookback = schedule.lookback_hours
        is_usual = lookback == LOOKBACK_HOURS[Frequency(schedule.frequency)]
        channels = [pk for pk, _ in notifications.channels(schedule.project_id) if pk in schedule.channels]
        return cls(
            **same,
            lookback_hours=None if is_usual else lookback,
            connection=schedule.connection_id,
            model=schedule.model_name,
            channels=channels,
        )

    @property
    def recurrence(self) -> Recurrence:
        return Recurrence(**{name: getattr(self, name) for name in WHEN})

    def request(self, start: datetime, end: datetime) -> requests.Definition:
        """The report on a window."""
        asked = {name: getattr(self, name) for name in REQUEST}
        return requests.Definition(
            window_start=start,
            window_end=end,
            title=self.title,
            connection=self.connection,
            model=self.model,
            **asked,
        )


@transaction.atomic
def create(
    agent: Agent, definition: Definition, now: datetime, by: Actor = SYSTEM, *, enabled: bool = True
) -> Schedule:
    """Create a schedule. It counts from now on."""
    columns = _checked_columns(agent, definition, now)
    _check_room(agent.project)
    schedule = Schedule.objects.create(
        project=agent.project,
        agent=agent,
        enabled=enabled,
        created_at=now,
        updated_at=now,
        **columns,
        **by.as_creator(),
    )
    _plan(schedule, now)
    record(by, "created", schedule, detail=schedule.recurrence.words)
    return schedule


@transaction.atomic
def update(schedule: Schedule, definition: Definition, now: datetime, by: Actor = SYSTEM) -> None:
    """Replace the definition. New times count from now on."""
    locked = _locked(schedule)
    columns = _checked_columns(locked.agent, definition, now)
    changed = [name for name, value in columns.items() if getattr(locked, name) != value]
    if changed:
        _write(locked, updated_at=now, **columns)
        if not set(WHEN).isdisjoint(changed):
            _plan(locked, now)
        record(by, "changed", locked, detail=", ".join(changed).replace("_", " "))
    schedule.copy_from(locked)


@transaction.atomic
def enable(schedule: Schedule, now: datetime, by: Actor = SYSTEM) -> None:
    """Start reports from the next time on. Ends a pause, too."""
    locked = _locked(schedule)
    if locked.archived_at is not None:
        raise ValidationError("An archived schedule can't be enabled. Unarchive it first.")
    if not locked.enabled:
        _write(locked, enabled=True, paused_reason="", paused_detail="", failure_count=0)
        _plan(locked, now)
        record(by, "enabled", locked)
    schedule.copy_from(locked)


@transaction.atomic
def disable(schedule: Schedule, now: datetime, by: Actor = SYSTEM) -> None:
    """Start no more reports. One that is under way goes on."""
    locked = _locked(schedule)
    if locked.enabled:
        _write(locked, enabled=False)
        _plan(locked, now)
        record(by, "disabled", locked)
    schedule.copy_from(locked)


def pause(locked: Schedule, reason: PausedReason, detail: str) -> None:
    """Disable a schedule and say why, in the transaction that locked it."""
    _write(locked, enabled=False, paused_reason=reason, paused_detail=detail, **NOTHING)
    record(SYSTEM, "paused", locked, detail=detail)


@transaction.atomic
def archive(schedule: Schedule, now: datetime, by: Actor = SYSTEM) -> None:
    """Start no more reports, and take the schedule off the list. Its reports stay."""
    locked = _locked(schedule)
    if locked.archived_at is None:
        _write(locked, archived_at=now)
        _plan(locked, now)
        record(by, "archived", locked)
    schedule.copy_from(locked)


@transaction.atomic
def unarchive(schedule: Schedule, now: datetime, by: Actor = SYSTEM) -> None:
    """Put the schedule back on the list. If it was enabled, it counts from now on."""
    locked = _locked(schedule)
    if locked.archived_at is not None:
        _check_room(locked.project)
        _write(locked, archived_at=None)
        _plan(locked, now)
        record(by, "unarchived", locked)
    schedule.copy_from(locked)


@transaction.atomic
def run_now(
    schedule: Schedule,
    now: datetime,
    by: Actor = SYSTEM,
    *,
    window: tuple[datetime, datetime] | None = None,
) -> Run:
    """Start its report now, on its lookback up to now or on another window. Its next time stays as it is."""
    locked = _locked(schedule)
    if locked.archived_at is not None:
        raise ValidationError("An archived schedule starts no reports. Unarchive it first.")
    if Run.objects.open().filter(schedule=locked).exists():
        raise ValidationError("Its last report is still under way. Wait for it, or cancel it.")
    return start(locked, window or (window_start(locked, now), now), now, by, origin=Origin.MANUAL_SCHEDULE)


def start(
    locked: Schedule,
    window: tuple[datetime, datetime],
    now: datetime,
    by: Actor = SYSTEM,
    *,
    origin: Origin,
    notes: Sequence[str] = (),
) -> Run:
    """Start its report, in the transaction that locked the schedule. Raises what `requests.create` does."""
    asked = Definition.of(locked).request(*window)
    run = requests.create(locked.agent, asked, now, by, origin=origin, notes=notes)
    Run.objects.filter(pk=run.pk).update(schedule=locked)
    run.schedule = locked
    return run


def window_start(schedule: Schedule, end: datetime, first: datetime | None = None) -> datetime:
    """Where a window begins that ends there. `first`: the first of the times that were missed."""
    start = schedule.recurrence.start(first or end, schedule.lookback_hours)
    return max(start, end - requests.MAX_WINDOW)


def _checked_columns(agent: Agent, definition: Definition, now: datetime) -> dict[str, Any]:
    """Return the columns of a valid definition. Raises ValidationError with the errors of all fields."""
    errors = dict(_errors(agent.project_id, definition))
    try:
        # Any window: a schedule has none of its own.
        requests.draft(agent, definition.request(now - DAY, now))
    except ValidationError as error:
        errors = {field: " ".join(texts) for field, texts in error.message_dict.items()} | errors
    if errors:
        raise ValidationError(errors)
    lookback = definition.lookback_hours or LOOKBACK_HOURS[Frequency(definition.frequency)]
    numbers = {name: sorted(set(getattr(definition, name))) for name in NUMBERS}
    return {
        **{name: getattr(definition, name) for name in REQUEST},
        "title": " ".join(definition.title.split()),
        "frequency": definition.frequency,
        "timezone": definition.timezone,
        "lookback_hours": lookback,
        "prompt": definition.prompt.strip(),
        "connection_id": definition.connection,
        "model_name": definition.model,
        "channels": sorted(set(definition.channels)),
        **numbers,
    }


def _errors(project: int, definition: Definition) -> Iterator[tuple[str, str]]:
    title = " ".join(definition.title.split())
    if not title:
        yield "title", "Enter a title."
    elif len(title) > MAX_TITLE_CHARACTERS:
        yield "title", f"A title has at most {MAX_TITLE_CHARACTERS} characters."
    yield from definition.recurrence.errors()
    lookback = definition.lookback_hours
    if lookback is not None and not 1 <= lookback <= MAX_LOOKBACK_HOURS:
        yield "lookback_hours", f"Enter a number of hours from 1 to {MAX_LOOKBACK_HOURS}, which is 30 days."
    if len(set(definition.channels)) > MAX_CHANNELS:
        yield "channels", f"A schedule tells at most {MAX_CHANNELS} channels."
    elif definition.channels and set(definition.channels) - {pk for pk, _ in notifications.channels(project)}:
        yield "channels", "There is no such channel any more. Choose another one."


def _check_room(project: Project) -> None:
    Project.lock_names(project.pk)
    if Schedule.objects.for_project(project).unarchived().count() >= MAX_SCHEDULES:
        raise ValidationError(f"A project has at most {MAX_SCHEDULES} schedules. Archive one first.")


def _locked(schedule: Schedule) -> Schedule:
    related = Schedule.objects.select_related("project", "agent", "connection")
    return related.select_for_update(of=("self",), no_key=True).get(pk=schedule.pk)


def _write(locked: Schedule, **columns: Any) -> None:
    for name, value in columns.items():
        setattr(locked, name, value)
    Schedule.objects.filter(pk=locked.pk).update(**columns)


def _plan(locked: Schedule, now: datetime) -> None:
    is_on = locked.enabled and locked.archived_at is None
    _write(locked, **(planned(locked, now) if is_on else NOTHING))


def move_on(locked: Schedule, after: datetime) -> None:
    """Plan the next time after one that was reported on, in the transaction that locked it."""
    _write(locked, **planned(locked, after))


def note(locked: Schedule, *, failed: bool | None) -> None:
    """Count reports that fail in a row, in the transaction that locked it. None: it was cancelled."""
    if failed is not None:
        _write(locked, failure_count=locked.failure_count + 1 if failed else 0)
