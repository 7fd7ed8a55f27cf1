"""The project Demo in the database."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.tasks import task

from catalyst import registry
from catalyst.agents.models import Agent
from catalyst.core.models import Project, User
from catalyst.core.operations import create_project
from catalyst.env import env
from catalyst.llms.endpoints import OFFLINE
from catalyst.ops.demo import research, review, support, timeline
from catalyst.ops.demo.timeline import Turns
from catalyst.registry import DemoData
from signals import operations
from signals.definitions.choices import Scope
from signals.definitions.definition import Definition
from signals.definitions.judge_view import JudgeView
from signals.definitions.templates import TEMPLATES, Template
from signals.filters import LabelFilter
from signals.models import Signal, SignalVersion
from signals.results import summaries
from signals.runs import backfill
from traces.conventions.span_mapping import Identity
from traces.ingest import pipeline
from traces.ingest.agents import keep_agents
from traces.models import Trace
from traces.otlp import DecodedSpan

NAME, SLUG = "Demo", "demo"
BATCH = 1_000
# New traffic is this many times denser than the week before, so that it shows up soon.
LIVE_SCALE = 5
# Overlaps the minute between two runs. Ingest ignores duplicates.
LIVE_WINDOW = timedelta(minutes=3)
# Agent, template, scope and sample rate in percent.
SIGNALS = (
    (support.ID, "task_outcome", Scope.SESSION, 100),
    (support.ID, "frustration", Scope.SESSION, 100),
    (support.ID, "laziness", Scope.TRACE, 100),
    (support.ID, "sentiment", Scope.SESSION, 50),
    (review.ID, "task_outcome", Scope.TRACE, 100),
    (review.ID, "laziness", Scope.TRACE, 100),
    (research.ID, "task_outcome", Scope.SESSION, 100),
    (research.ID, "jailbreak", Scope.TRACE, 100),
)
# This signal gets a second version: its first one blames the assistant for failed tools.
REWORDED = (support.ID, "laziness")
_LOCK = 0x64656D6F  # an advisory lock: the demo is filled, renewed or carried on by one at a time


def find() -> Project | None:
    # Another project may have the slug.
    return Project.objects.filter(slug=SLUG, agents__identity=support.ID).first()


def is_due() -> bool:
    if not env.demo or Project.objects.count() != 1 or Trace.objects.exists():
        return False
    # Its name would be refused.
    return not Project.objects.filter(name__iexact=NAME).exists()


@transaction.atomic
def make(owner: User, now: datetime) -> Project:
    """Create the project and its agents without traffic."""
    project = create_project(name=NAME, owner=owner)
    _agents(project, now)
    return project


@transaction.atomic
def begin(owner: User, now: datetime) -> None:
    """Create the project and enqueue a task that fills it."""
    fill_later.enqueue(make(owner, now).pk, now.isoformat())


@task
def fill_later(project_id: int, moment: str) -> None:
    """Fill the demo as of a moment.

    At least once; safe to repeat because the same moment gives the same spans, and ingest ignores duplicates.
    """
    project = Project.objects.filter(pk=project_id).first()
    if project is not None:
        fill(project, datetime.fromisoformat(moment))


def fill(project: Project, now: datetime, scale: float = 1) -> int:
    """Store the week up to now, newest conversations first. Returns the number of new spans.

    Signals are activated before the first span, so that live judging covers everything.
    """
    with _exclusive():
        _signals(project)
        conversations = list(timeline.conversations(timeline.begins(now), now, now, scale))
        stored = sum(_store(project, spans, now) for spans in _batches(reversed(conversations)))
        for data in registry.entries(DemoData):
            data.load(project.pk, now)
        return stored


def renew(project: Project, now: datetime, scale: float = 1) -> int:
    """Delete the data of the project and fill it again."""
    with _exclusive():
        for data in registry.entries(DemoData):
            data.erase(project.pk)
        project.agents.exclude(identity__in=[agent.id for agent in timeline.AGENTS]).delete()
        project.agents.update(first_seen_at=now - timeline.PERIOD)
    return fill(project, now, scale)


@task
def generate_next(moment: str) -> None:
    """Add the newest traffic. A separate task, because it would delay the periodic run.

    At least once; safe to repeat because ingest ignores duplicates.
    """
    trickle(datetime.fromisoformat(moment))


go_on = generate_next  # tasks that earlier versions queued name it so


def trickle(now: datetime) -> int:
    """Store the traffic of the last minutes. Returns the number of new spans."""
    project = find() if env.demo else None
    if project is None:
        return 0
    stay_offline()
    for data in registry.entries(DemoData):
        data.go_on(project.pk, now)
    reword(now)
    conversations = timeline.conversations(now - LIVE_WINDOW, now, now, LIVE_SCALE)
    with _exclusive():
        return sum(_store(project, spans, now) for spans in _batches(conversations))


def stay_offline() -> None:
    """Have the offline judge label made-up traffic, even if a paid model is connected.

    Signals that somebody activated or edited are judged like any other.
    """
    unedited = {"judge_model": "", "created_by": None, "created_by_key": None}
    versions = SignalVersion.objects.filter(signal__in=_active(), connection=None, **unedited)
    versions.update(judge_model=OFFLINE)


def reword(now: datetime) -> None:
    """Publish a second version once the first has judged the week, and backfill the day of the bad deploy.

    Skips a signal that somebody has edited or activated.
    """
    agent, key = REWORDED
    signal = _active().filter(agent__identity=agent, template=key, current_version__number=1).first()
    if signal is None or not signal.label_set.exists():
        return
    if summaries.is_open(signal, signal.label_set.matching(LabelFilter(status="waiting")).count()):
        return
    operations.publish_version(signal, _definition(TEMPLATES[key], 100))
    first, _ = timeline.bad_deploy(signal.agent.first_seen_at + timeline.PERIOD)
    day = first.replace(hour=0)
    backfill.start(signal, start=day, end=day + timedelta(days=1), sample_rate=100, now=now)


def _active() -> QuerySet[Signal]:
    # Signals that somebody activated have another `activated_at`.
    started_here = Signal.objects.filter(project=find(), activated_at=F("agent__first_seen_at"))
    return started_here.filter(state=Signal.State.ACTIVE).select_related("current_version", "agent")


def _agents(project: Project, now: datetime) -> None:
    identities = {Identity(agent.id, Agent.Source.AGENT_ID, agent.name) for agent in timeline.AGENTS}
    keep_agents(project.pk, identities, now - timeline.PERIOD)


@transaction.atomic
def _signals(project: Project) -> None:
    if Signal.objects.filter(project=project).exists():
        return
    agents = {agent.identity: agent for agent in project.agents.all()}
    for identity, key, scope, rate in SIGNALS:
        template, agent = TEMPLATES[key], agents[identity]
        definition = _definition(template, rate)
        if (identity, key) == REWORDED:
            definition = replace(definition, prompt=template.earlier[0], view=JudgeView(tool_calls=False))
        signal = operations.create_signal(agent, name=template.name, scope=scope, definition=definition, template=key)
        operations.activate(signal, agent.first_seen_at)


def _definition(template: Template, rate: int) -> Definition:
    return Definition(template.type, template.prompt, rate, template.labels, template.sentiments, OFFLINE)


def _batches(conversations: Iterable[Turns]) -> Iterator[list[DecodedSpan]]:
    # Conversations stay whole.
    batch: list[DecodedSpan] = []
    for turns in conversations:
        batch += [span for turn in turns for span in turn]
        if len(batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _store(project: Project, spans: list[DecodedSpan], now: datetime) -> int:
    return pipeline.store(project.pk, spans, now).inserted


@contextmanager
def _exclusive() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])
