"""Operations on schedules."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from operator import attrgetter
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from catalyst.core.operation_context import Context
from catalyst.operations import (
    Effect,
    Id,
    Input,
    NewestInput,
    NotFound,
    Page,
    Scope,
    UtcTime,
    operation,
)
from catalyst.package import command
from halo.models import Run, Schedule
from halo.operations.records import RunRecord, RunRow, ScheduleRecord, ScheduleRow
from halo.operations.reports import Effort, Engine
from halo.schedules import writes
from halo.schedules.writes import Definition
from traces.operations.inputs import agent_of

Frequency = Literal["hourly", "daily", "weekly", "monthly"]
# What null takes away. Of the others it is no value.
NULLABLE = {"lookback_hours", "connection_id", "budget_tokens", "budget_usd"}
# The field of `Definition`.
NAMES = {"connection_id": "connection"}
DAYS = ("days_of_week", "days_of_month")


def _numbers(value: object) -> object:
    """`["9,17"]` as a command gives it."""
    if isinstance(value, list):
        return [part for each in value for part in (each.split(",") if isinstance(each, str) else [each])]
    return value


Numbers = Annotated[list[int], BeforeValidator(_numbers)]


class ScheduleInput(Input):
    schedule: Id = Field(description="ID of the schedule, as `list` shows it.")


class DefinitionInput(Input):
    """Names are those of the public command line client, where it has them. What is not given has its default."""

    hours: Numbers | None = Field(None, description="0 to 23, with commas. An hourly one runs every hour without.")
    minutes: Numbers | None = Field(None, description="0 to 59, with commas (default: 0).")
    days_of_week: Numbers | None = Field(None, description="Of a weekly one: 0 (Sunday) to 6, with commas.")
    days_of_month: Numbers | None = Field(
        None, description="Of a monthly one: 1 to 31, with commas. A short month has them on its last day."
    )
    timezone: str | None = Field(None, description="An IANA name, such as Europe/Berlin (default: UTC).")
    lookback_hours: int | None = Field(
        None, description="Length of the window before each time, at most 720 (default: 1, 24, 168 or 720 by cadence)."
    )
    prompt: str | None = Field(
        None,
        description="What a model is asked (default: a general review).",
        json_schema_extra={"contentMediaType": "text/plain"},
    )
    focus: str | None = Field(None, description="Parameters of a list of traces that narrow it, such as status=error.")
    engine: Engine | None = Field(None, description="The offline analyst or a model (default: a model, if any).")
    connection_id: Id | None = Field(None, description="ID of a model connection (default: the instance's endpoint).")
    model: str | None = Field(None, description="The model to ask (default: that of the connection).")
    span_limit: int | None = Field(None, description="Spans that a model may read, in whole traces (default: 10000).")
    max_depth: int | None = Field(None, description="Levels of helpers below the analyst, 0 to 5 (default: 2).")
    max_turns: int | None = Field(None, description="Turns of the analyst, 3 to 100 (default: 20).")
    reasoning_effort: Effort | None = None
    budget_tokens: int | None = Field(None, description="End at this many tokens.")
    budget_usd: Decimal | None = Field(None, description="End at this cost in US dollars.")
    budget_minutes: int | None = Field(None, description="End after this many minutes, at most 120 (default: 30).")
    channels: list[Id] | None = Field(None, description="IDs of the channels that are told what is new or worse.")

    @property
    def given(self) -> Mapping[str, Any]:
        """The fields of a `Definition` that were given."""
        values = {name: getattr(self, name) for name in DefinitionInput.model_fields if name in self.model_fields_set}
        return {NAMES.get(name, name): value for name, value in values.items() if value is not None or name in NULLABLE}


class CreateInput(DefinitionInput):
    title: str
    agent: str = Field(description="Identity of the agent.")
    frequency: Frequency = Field(description="The cadence.")
    enabled: bool = True


class UpdateInput(ScheduleInput, DefinitionInput):
    title: str | None = None
    frequency: Frequency | None = Field(None, description="The cadence.")


class ListInput(NewestInput):
    agent: str | None = Field(None, description="Identity of an agent: only its schedules.")
    include_archived: bool = False


@operation("halo.schedule_list", Scope.READ, Effect.READS)
def list_schedules(context: Context, arguments: ListInput) -> Page[ScheduleRow]:
    """List schedules, the newest first."""
    found = Schedule.objects.for_project(context.project)
    if not arguments.include_archived:
        found = found.unarchived()
    if arguments.agent is not None:
        found = found.filter(agent=agent_of(context, arguments.agent))
    if arguments.after is not None:
        found = found.filter(pk__lt=arguments.after)
    rows = list(found.for_list()[: arguments.limit + 1])
    return Page.of(rows, arguments.limit, ScheduleRow.of, attrgetter("pk"))


@operation("halo.schedule_show", Scope.READ, Effect.READS)
def show(context: Context, arguments: ScheduleInput) -> ScheduleRecord:
    """Show a schedule, and when it runs next."""
    return _record(context, schedule_of(context, arguments))


@operation("halo.schedule_create", Scope.WRITE, Effect.WRITES)
def create(context: Context, arguments: CreateInput) -> ScheduleRecord:
    """Create a schedule of reports on an agent. It counts from now on."""
    agent = agent_of(context, arguments.agent)
    definition = Definition(title=arguments.title, frequency=arguments.frequency, **arguments.given)
    made = writes.create(agent, definition, context.now, context.actor, enabled=arguments.enabled)
    return _record(context, made)


@operation("halo.schedule_update", Scope.WRITE, Effect.WRITES)
def update(context: Context, arguments: UpdateInput) -> ScheduleRecord:
    """Change a schedule. What is not given stays, but days that the new cadence does not have."""
    schedule = schedule_of(context, arguments)
    definition = replace(Definition.of(schedule), **arguments.given)
    if arguments.title is not None:
        definition = replace(definition, title=arguments.title)
    if arguments.frequency not in {None, schedule.frequency}:
        stale: dict[str, Any] = {name: () for name in DAYS if name not in arguments.given}
        definition = replace(definition, frequency=str(arguments.frequency), **stale)
    writes.update(schedule, definition, context.now, context.actor)
    return _record(context, schedule)


@operation("halo.schedule_enable", Scope.WRITE, Effect.WRITES)
def enable(context: Context, arguments: ScheduleInput) -> ScheduleRecord:
    """Start reports from the next time on. Ends a pause, too."""
    schedule = schedule_of(context, arguments)
    writes.enable(schedule, context.now, context.actor)
    return _record(context, schedule)


@operation("halo.schedule_disable", Scope.WRITE, Effect.WRITES)
def disable(context: Context, arguments: ScheduleInput) -> ScheduleRecord:
    """Start no more reports. One that is under way goes on."""
    schedule = schedule_of(context, arguments)
    writes.disable(schedule, context.now, context.actor)
    return _record(context, schedule)


@operation("halo.schedule_archive", Scope.WRITE, Effect.WRITES)
def archive(context: Context, arguments: ScheduleInput) -> ScheduleRecord:
    """Stop a schedule and take it off the list. Its reports stay."""
    schedule = schedule_of(context, arguments)
    writes.archive(schedule, context.now, context.actor)
    return _record(context, schedule)


@operation("halo.schedule_unarchive", Scope.WRITE, Effect.WRITES)
def unarchive(context: Context, arguments: ScheduleInput) -> ScheduleRecord:
    """Put a schedule back on the list. If it was enabled, it counts from now on."""
    schedule = schedule_of(context, arguments)
    writes.unarchive(schedule, context.now, context.actor)
    return _record(context, schedule)


class RunNowInput(ScheduleInput):
    start: UtcTime | None = Field(None, alias="from", description="Start of the window (default: by the lookback).")
    end: UtcTime | None = Field(None, alias="to", description="End of the window, exclusive (default: now).")


@operation("halo.schedule_run_now", Scope.WRITE, Effect.WRITES)
def run_now(context: Context, arguments: RunNowInput) -> RunRecord:
    """Start the report of a schedule now. Its next time stays as it is."""
    schedule = schedule_of(context, arguments)
    end = min(arguments.end or context.now, context.now)
    window = (arguments.start or writes.window_start(schedule, end), end)
    return RunRecord.of(writes.run_now(schedule, context.now, context.actor, window=window))


class RunsInput(NewestInput, ScheduleInput):
    pass


@operation("halo.schedule_runs", Scope.READ, Effect.READS)
def runs(context: Context, arguments: RunsInput) -> Page[RunRow]:
    """List the reports of a schedule, the newest first."""
    found = Run.objects.for_project(context.project).filter(schedule=schedule_of(context, arguments))
    if arguments.after is not None:
        found = found.filter(pk__lt=arguments.after)
    rows = list(found.for_list().order_by("-pk")[: arguments.limit + 1])
    return Page.of(rows, arguments.limit, RunRow.of, attrgetter("pk"))


def schedule_of(context: Context, arguments: ScheduleInput) -> Schedule:
    """Raises NotFound."""
    found = Schedule.objects.for_project(context.project).for_list().filter(pk=arguments.schedule).first()
    if found is None:
        text = f"The project {context.project.slug} has no schedule {arguments.schedule}."
        raise NotFound(f"{text} See {command('halo schedule list')}.")
    return found


def _record(context: Context, schedule: Schedule) -> ScheduleRecord:
    shown = schedule_of(context, ScheduleInput(schedule=schedule.pk))
    return ScheduleRecord.of(shown, context.now)
