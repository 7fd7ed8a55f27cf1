"""Operations on reports: start, list, read, cancel."""

from decimal import Decimal
from operator import attrgetter
from typing import Literal

from pydantic import Field

from catalyst import timerange
from catalyst.agents.models import Agent
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
from catalyst.timerange import RangeName
from halo.models import Run
from halo.operations.records import PreviewRecord, RunEventRecord, RunRecord, RunRow
from halo.runs import follow_ups, requests
from halo.runs.requests import DEFAULT_PROMPT, Definition
from traces.operations.inputs import agent_of

Engine = Literal["rules", "model"]
Status = Literal[
    "pending_export",
    "exporting_traces",
    "queued",
    "starting",
    "running",
    "completed",
    "failed",
    "cancelled",
    "timed_out",
    "no_traces",
]
Effort = Literal["none", "minimal", "low", "medium", "high"]


class RunInput(Input):
    run: Id = Field(description="ID of the report, as `list` shows it.")


class FollowUpInput(Input):
    conversation: Id = Field(description="ID of the conversation that a report began, as `show` shows it.")
    prompt: str = Field(
        description="The question, which the model of the report is asked.",
        json_schema_extra={"contentMediaType": "text/plain"},
    )


class RequestInput(Input):
    """What a report is to do."""

    agent: str = Field(description="Identity of the agent.")
    range: RangeName = Field("7d", description="Read the traces of this time up to now, of at most 30 days.")
    start: UtcTime | None = Field(None, alias="from", description="Start of the window, instead of a range.")
    end: UtcTime | None = Field(None, alias="to", description="End of the window, exclusive (default: now).")
    prompt: str = Field(
        DEFAULT_PROMPT,
        description="What a model is asked (default: a general review).",
        json_schema_extra={"contentMediaType": "text/plain"},
    )
    title: str = Field("", description="Name of the report (default: made from the question).")
    focus: str = Field("", description="Parameters of a list of traces that narrow it, such as status=error.")
    engine: Engine | None = Field(None, description="The offline analyst or a model (default: a model, if any).")
    connection_id: Id | None = Field(None, description="ID of a model connection (default: the instance's endpoint).")
    model: str = Field("", description="The model to ask (default: that of the connection).")
    span_limit: int = Field(10_000, description="Spans that a model may read, in whole traces.")
    max_depth: int = Field(1, description="Levels of helpers below the analyst, 0 to 5.")
    max_turns: int = Field(20, description="Turns of the analyst, 3 to 100.")
    reasoning_effort: Effort | None = None
    budget_tokens: int | None = Field(None, description="End at this many tokens.")
    budget_usd: Decimal | None = Field(None, description="End at this cost in US dollars.")
    budget_minutes: int = Field(30, description="End after this many minutes, at most 120.")


class ListInput(NewestInput):
    agent: str | None = Field(None, description="Identity of an agent: only its reports.")
    status: Status | None = None


class EventsInput(RunInput):
    limit: int = Field(100, ge=1, le=1_000)
    after: int = Field(0, ge=0, description="Only events behind this sequence number.")


@operation("halo.preview", Scope.READ, Effect.READS)
def preview(context: Context, arguments: RequestInput) -> PreviewRecord:
    """Show what a report would read and about what it would cost."""
    agent, definition, told = _definition(context, arguments)
    seen = requests.preview(agent, definition)
    low, high = seen.cost or (None, None)
    return PreviewRecord(
        trace_count=seen.traces,
        span_count=seen.spans,
        error_count=seen.failed,
        read_span_count=seen.read_spans,
        model=seen.model or None,
        expected_cost_from=None if low is None else f"{low:.4f}",
        expected_cost_to=None if high is None else f"{high:.4f}",
        told=told,
    )


@operation("halo.run", Scope.WRITE, Effect.WRITES)
def run(context: Context, arguments: RequestInput) -> RunRecord:
    """Start a report on the traces of an agent."""
    agent, definition, told = _definition(context, arguments)
    made = requests.create(agent, definition, context.now, context.actor, notes=told)
    return RunRecord.of(made)


@operation("halo.follow_up", Scope.WRITE, Effect.WRITES)
def follow_up(context: Context, arguments: FollowUpInput) -> RunRecord:
    """Ask the model of a report a question about it. The answer is the text of a further run."""
    runs = Run.objects.for_project(context.project).reports().filter(conversation=arguments.conversation)
    report = runs.select_related("conversation", "agent", "connection", "project").order_by("pk").first()
    if report is None:
        project = context.project.slug
        raise NotFound(
            f"The project {project} has no conversation {arguments.conversation}. See {command('halo list')}."
        )
    return RunRecord.of(follow_ups.ask(report, arguments.prompt, context.now, context.actor))


@operation("halo.list", Scope.READ, Effect.READS)
def list_runs(context: Context, arguments: ListInput) -> Page[RunRow]:
    """List reports, the newest first."""
    found = Run.objects.for_project(context.project).reports()
    if arguments.agent is not None:
        found = found.filter(agent=agent_of(context, arguments.agent))
    if arguments.status is not None:
        found = found.filter(status=arguments.status)
    if arguments.after is not None:
        found = found.filter(pk__lt=arguments.after)
    rows = list(found.for_list().order_by("-pk")[: arguments.limit + 1])
    return Page.of(rows, arguments.limit, RunRow.of, attrgetter("pk"))


@operation("halo.show", Scope.READ, Effect.READS)
def show(context: Context, arguments: RunInput) -> RunRecord:
    """Show a report with its findings and what they cite."""
    return RunRecord.of(run_of(context, arguments))


@operation("halo.events", Scope.READ, Effect.READS)
def events(context: Context, arguments: EventsInput) -> Page[RunEventRecord]:
    """List what a report did while it ran, in order."""
    found = run_of(context, arguments).events.filter(sequence__gt=arguments.after).order_by("sequence")
    return Page.of(list(found[: arguments.limit + 1]), arguments.limit, RunEventRecord.of, attrgetter("sequence"))


@operation("halo.cancel", Scope.WRITE, Effect.WRITES)
def cancel(context: Context, arguments: RunInput) -> RunRecord:
    """Cancel a report. What it wrote so far is kept."""
    found = run_of(context, arguments)
    requests.cancel(found, context.now, context.actor)
    return RunRecord.of(run_of(context, arguments))


def draft(context: Context, arguments: RequestInput) -> Run:
    """Return a report that is not stored. Raises InvalidInput and ValidationError."""
    agent, definition, _ = _definition(context, arguments)
    return requests.draft(agent, definition)


def run_of(context: Context, arguments: RunInput) -> Run:
    """Raises NotFound."""
    related = Run.objects.for_project(context.project).select_related("conversation", "agent", "connection", "project")
    found = related.filter(pk=arguments.run).first()
    if found is None:
        project = context.project.slug
        raise NotFound(f"The project {project} has no report {arguments.run}. See {command('halo list')}.")
    return found


def _definition(context: Context, arguments: RequestInput) -> tuple[Agent, Definition, list[str]]:
    end = min(arguments.end or context.now, context.now)
    start = arguments.start
    if start is None:
        length, _ = timerange.RANGES[arguments.range]
        start = end - length
    copied = (
        *("prompt", "title", "focus", "model", "span_limit", "max_depth", "max_turns"),
        *("budget_tokens", "budget_usd", "budget_minutes"),
    )
    definition = Definition(
        window_start=start,
        window_end=end,
        engine=arguments.engine or "",
        connection=arguments.connection_id,
        reasoning_effort=arguments.reasoning_effort or "",
        **{name: getattr(arguments, name) for name in copied},
    )
    return agent_of(context, arguments.agent), *requests.clamped(definition)
