"""Asking for a run: its definition, what it would read, creating and cancelling it.

Violated rules raise `django.core.exceptions.ValidationError` by field, with text for people.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.db import transaction

from catalyst.agents.models import Agent
from catalyst.core.actor import SYSTEM, Actor
from catalyst.core.audit import record
from catalyst.llms.endpoints import ConnectedModel, model_named
from catalyst.llms.models import ModelConnection
from catalyst.timerange import DAY
from halo import focus
from halo.choices import EngineKind, Origin, ReasoningEffort, RunStatus
from halo.models import Conversation, Run
from halo.models.conversation import MAX_TITLE_CHARACTERS
from halo.models.run import (
    MAX_BUDGET_MINUTES,
    MAX_BUDGET_TOKENS,
    MAX_BUDGET_USD,
    MAX_DEPTH,
    MAX_FOCUS_CHARACTERS,
    MAX_PROMPT_CHARACTERS,
    MAX_SPAN_LIMIT,
    MAX_TURNS,
    MAX_WINDOW_DAYS,
    MIN_TURNS,
)

MAX_WINDOW = MAX_WINDOW_DAYS * DAY
# Runs of a project that wait or run at the same time.
MAX_OPEN = 10
FULL = "full"
DEFAULT_PROMPT = (
    "Analyze the traces in this window. Understand the agent's activity and identify anomalies, errors, "
    "inefficiencies, and opportunities to improve reliability, latency, cost, and tool usage. Highlight the top "
    "recurring failures, notable tool-call patterns, wasted or redundant work, slow or high-cost paths, and concrete "
    "fixes you'd recommend. Cite specific trace IDs for every key finding."
)
SIGNALS_QUESTION = "Which signals should I add?"
QUESTIONS = (
    "Why does this agent fail, and what would fix most of it?",
    "Which tool calls are returning empty results most often?",
    "Find redundant model calls in the planning loop.",
    "What changed since the last deploy?",
    "Where do time and money go that nobody needs?",
    SIGNALS_QUESTION,
)
# What a turn of a typical run sends and gets, for estimates before there is any experience.
TURN_TOKENS = (12_000, 700)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What a run is to do.

    `engine`: empty chooses a model if one is connected, else the offline analyst. `focus`: parameters of a list of
    traces. `connection`: id of a model connection, None for the environment's endpoint. `model`: empty for the default
    one. The rest limits a model; the offline analyst needs none of it.
    """

    window_start: datetime
    window_end: datetime
    prompt: str = DEFAULT_PROMPT
    title: str = ""
    focus: str = ""
    engine: str = ""
    connection: int | None = None
    model: str = ""
    span_limit: int = 10_000
    max_depth: int = 1
    max_turns: int = 20
    reasoning_effort: str = ""
    budget_tokens: int | None = None
    budget_usd: Decimal | None = None
    budget_minutes: int = 30


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would read. `cost`: expected US dollars, from and to; None without a known price or a model."""

    traces: int
    spans: int
    failed: int
    read_spans: int
    model: str
    cost: tuple[Decimal, Decimal] | None

    @property
    def share(self) -> float:
        """The share of the spans that is read, from 0 to 1."""
        return self.read_spans / self.spans if self.spans else 1.0


def connected_model(agent: Agent, connection: int | None, name: str) -> ConnectedModel:
    """Return the model that a run would ask; false if there is none. Raises ValidationError by field."""
    if connection is None:
        return ConnectedModel(model_named(name))
    found = ModelConnection.objects.usable().filter(project=agent.project_id, pk=connection).first()
    if found is None:
        raise ValidationError({"connection": "There is no such model connection any more. Choose another one."})
    if name and name not in found.allowed_models:
        raise ValidationError({"model": f"{found.name} does not allow the model {name}. Choose another one."})
    return ConnectedModel(name or found.default_model, found)


def default_model(agent: Agent) -> ConnectedModel:
    """Return the first model that the project could ask: of the environment, else of a connection."""
    if model := ConnectedModel(model_named("")):
        return model
    found = ModelConnection.objects.usable().filter(project=agent.project_id).order_by("name").first()
    return ConnectedModel(found.default_model, found) if found else ConnectedModel("")


def preview(agent: Agent, definition: Definition) -> Preview:
    """Count what a run would read, and estimate its cost. Raises ValidationError like `create`."""
    planned = draft(agent, definition)
    volume = focus.volume_of(focus.traces_of(planned))
    counted = (volume.trace_count, volume.span_count, volume.failed_count)
    if planned.by_rules:
        return Preview(*counted, read_spans=volume.span_count, model="", cost=None)
    read = min(volume.span_count, planned.span_limit)
    model = ConnectedModel(planned.model_name, planned.connection)
    return Preview(*counted, read_spans=read, model=str(model), cost=_cost(planned, model))


def _cost(planned: Run, model: ConnectedModel) -> tuple[Decimal, Decimal] | None:
    done = Run.objects.filter(
        project=planned.project_id, model_name=planned.model_name, status=RunStatus.COMPLETED, cost__isnull=False
    )
    newest = done.reports().order_by("-pk").values_list("cost", flat=True)[:20]
    if costs := sorted(cost for cost in newest if cost is not None):
        low, high = costs[len(costs) // 4], costs[-1]
    else:
        turn = model.price(*TURN_TOKENS, None, planned.window_end)
        if turn is None:
            return None
        low, high = turn * planned.max_turns / 4, turn * planned.max_turns * (1 + planned.max_depth)
    most = planned.budget_usd
    return (low, high) if most is None else (min(low, most), min(high, most))


def create(
    agent: Agent,
    definition: Definition,
    now: datetime,
    by: Actor = SYSTEM,
    *,
    origin: Origin = Origin.MANUAL,
    notes: Sequence[str] = (),
) -> Run:
    """Queue a run. `notes`: sentences that the report begins its notes with.

    Raises ValidationError, with the code `FULL` if others have to end first.
    """
    run = draft(agent, definition)
    run.notes = list(notes)
    with transaction.atomic():
        take_turn(agent)
        run.conversation = Conversation.objects.create(
            project_id=agent.project_id,
            agent=agent,
            title=_title(definition),
            created_at=now,
            updated_at=now,
            **by.as_creator(),
        )
        queue(run, now, by, origin)
    return run


def take_turn(agent: Agent) -> None:
    """Lock until the transaction ends, one after the other, so that limits hold. Raises ValidationError."""
    Agent.objects.select_for_update(no_key=True).get(pk=agent.pk)
    if Run.objects.filter(project=agent.project_id).open().count() >= MAX_OPEN:
        text = f"{MAX_OPEN} reports of this project are under way. Wait for one, or cancel one."
        raise ValidationError(text, code=FULL)


def queue(run: Run, now: datetime, by: Actor, origin: Origin) -> None:
    """Store a run of a conversation, in the caller's transaction."""
    run.origin, run.created_at = origin, now
    for name, value in by.as_creator().items():
        setattr(run, name, value)
    run.save(force_insert=True)
    # Nobody did what a schedule does by itself.
    if origin != Origin.SCHEDULED:
        record(by, "asked about" if origin == Origin.FOLLOW_UP else "started", run, detail=_audit_detail(run))


def _audit_detail(run: Run) -> str:
    engine = "rules" if run.by_rules else run.model_name
    return f"{run.window_start:%Y-%m-%d %H:%M} to {run.window_end:%Y-%m-%d %H:%M} UTC of {run.agent} with {engine}"


def _title(definition: Definition) -> str:
    if title := " ".join(definition.title.split()):
        return title[:MAX_TITLE_CHARACTERS]
    prompt = " ".join(definition.prompt.split())
    if not prompt or prompt == DEFAULT_PROMPT:
        return f"Review, {definition.window_end:%b %-d}"
    first, _, _ = prompt.partition("? ")
    question = f"{first.rstrip('?')}?" if "?" in prompt else prompt
    return question if len(question) <= MAX_TITLE_CHARACTERS else f"{question[: MAX_TITLE_CHARACTERS - 1].rstrip()}…"


def draft(agent: Agent, definition: Definition) -> Run:
    """Return a run that is not stored. Raises ValidationError."""
    errors = dict(_errors(agent, definition))
    if errors:
        raise ValidationError(errors)
    model = _model(agent, definition)
    if definition.engine == EngineKind.MODEL and not model:
        text = "No model is connected. Connect one under Settings, Models, or let the offline analyst do it."
        raise ValidationError({"engine": text})
    columns = asdict(definition)
    for name in ("title", "engine", "connection", "model"):
        del columns[name]
    return Run(
        project=agent.project,
        agent=agent,
        engine=EngineKind.MODEL if model else EngineKind.RULES,
        connection=model.connection,
        model_name=model.name,
        **columns | {"prompt": definition.prompt.strip() or DEFAULT_PROMPT},
    )


def _model(agent: Agent, definition: Definition) -> ConnectedModel:
    if definition.engine == EngineKind.RULES:
        return ConnectedModel("")
    if definition.connection is None and not definition.model:
        return default_model(agent)
    return connected_model(agent, definition.connection, definition.model)


def _errors(agent: Agent, definition: Definition) -> Iterator[tuple[str, str]]:
    length = definition.window_end - definition.window_start
    if length <= timedelta():
        yield "window_end", "The window must end after it begins."
    elif length > MAX_WINDOW:
        yield "window_start", f"A report reads at most {MAX_WINDOW_DAYS} days. Choose a shorter window."
    if len(definition.prompt) > MAX_PROMPT_CHARACTERS:
        yield "prompt", f"The question has at most {MAX_PROMPT_CHARACTERS:,} characters."
    if len(definition.focus) > MAX_FOCUS_CHARACTERS:
        yield "focus", "The filter is too long."
    elif problems := focus.problems(agent.project, definition.focus):
        yield "focus", " ".join(problems)
    if definition.engine and definition.engine not in EngineKind:
        yield "engine", f"Choose one of: {', '.join(EngineKind.values)}."
    if definition.reasoning_effort and definition.reasoning_effort not in ReasoningEffort:
        yield "reasoning_effort", f"Choose one of: {', '.join(ReasoningEffort.values)}."
    yield from _limit_errors(definition)


def _limit_errors(definition: Definition) -> Iterator[tuple[str, str]]:
    ranges = {
        "span_limit": (1, MAX_SPAN_LIMIT),
        "max_depth": (0, MAX_DEPTH),
        "max_turns": (MIN_TURNS, MAX_TURNS),
        "budget_tokens": (1_000, MAX_BUDGET_TOKENS),
        "budget_usd": (Decimal("0.01"), MAX_BUDGET_USD),
        "budget_minutes": (1, MAX_BUDGET_MINUTES),
    }
    for name, (low, high) in ranges.items():
        value = getattr(definition, name)
        if value is not None and not low <= value <= high:
            yield name, f"Enter a number from {low:,} to {high:,}."


def clamped(definition: Definition) -> tuple[Definition, list[str]]:
    """For machine callers: a window that is too long keeps its end. Returns what was changed, in sentences."""
    if definition.window_end - definition.window_start <= MAX_WINDOW:
        return definition, []
    start = definition.window_end - MAX_WINDOW
    told = f"The window was longer than {MAX_WINDOW_DAYS} days, so the report begins at {start:%Y-%m-%d %H:%M} UTC."
    return replace(definition, window_start=start), [told]


def cancel(run: Run, now: datetime, by: Actor = SYSTEM) -> bool:
    """End a run. Its worker stops within seconds, and what it wrote so far is kept. False if it had ended."""
    changes = {"status": RunStatus.CANCELLED, "ended_at": now, "cancelled_at": now, "cancelled_by_name": by.name}
    error = f"{by.name} cancelled it."
    with transaction.atomic():
        was_open = bool(Run.objects.filter(pk=run.pk).open().update(**changes, error=error))
        if was_open:
            record(by, "cancelled", run)
    run.refresh_from_db()
    return was_open
