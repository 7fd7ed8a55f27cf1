"""The project Demo in the database: made, filled through ingest, kept alive, renewed."""

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
from catalyst.ops.demo import research, review, support, timeline
from catalyst.ops.demo.timeline import Turns
from catalyst.registry import DemoData
from signals import operations
from signals.definitions.choices import Scope
from signals.definitions.definition import Definition
from signals.definitions.judge_view import JudgeView
from signals.definitions.templates import TEMPLATES, Template
from signals.filters import LabelFilter
from signals.judging.judges import judge_of
from signals.models import Signal
from signals.results import summaries
from signals.runs import backfill
from traces.conventions.attributes import Identity
from traces.ingest import pipeline
from traces.ingest.identities import agent_ids
from traces.models import Trace
from traces.otlp import SentSpan

NAME, SLUG = "Demo", "demo"
BATCH = 1_000
LIVE_SCALE = 5
"""New traffic comes so many times as densely as the week before, so that somebody who looks sees it come."""
LIVE_WINDOW = timedelta(minutes=3)
"""More than the minute between two calls: what was stored already is recognised."""
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
"""Agent, template, scope and percent judged."""
REWORDED = (support.ID, "laziness")
"""Agent and template of the signal that gets a second version: the first blames the assistant for tools that failed."""
_LOCK = 0x64656D6F  # an advisory lock: the demo is filled, renewed or carried on by one at a time


def find() -> Project | None:
    """The project Demo that was made here; another one that happens to have its name is left alone."""
    return Project.objects.filter(slug=SLUG, agents__identity=support.ID).first()


def is_due() -> bool:
    """Whether the database is as good as empty and a demo is wanted."""
    return env.demo and Project.objects.count() == 1 and not Trace.objects.exists()


@transaction.atomic
def make(owner: User, now: datetime) -> Project:
    """Make the project and its agents; nothing has been sent to it yet."""
    project = create_project(name=NAME, owner=owner)
    _agents(project, now)
    return project


@transaction.atomic
def begin(owner: User, now: datetime) -> None:
    """Make the project and let a worker fill it."""
    fill_later.enqueue(make(owner, now).pk, now.isoformat())


@task
def fill_later(project_id: int, moment: str) -> None:
    """Fill the demo as of a moment.

    At least once; safe to repeat because the same moment gives the same spans, and ingest stores each once.
    """
    project = Project.objects.filter(pk=project_id).first()
    if project is not None:
        fill(project, datetime.fromisoformat(moment))


def fill(project: Project, now: datetime, scale: float = 1) -> int:
    """Store the week that ends now, the newest conversations first; returns how many spans are new.

    Signals are active before the first span arrives, so that the usual way judges all of them.
    """
    with _alone():
        _signals(project)
        conversations = list(timeline.conversations(timeline.begins(now), now, now, scale))
        stored = sum(_store(project, spans, now) for spans in _batches(reversed(conversations)))
        for data in registry.entries(DemoData):
            data.load(project.pk, now)
        return stored


def renew(project: Project, now: datetime, scale: float = 1) -> int:
    """Take all that the project has received away and fill it again."""
    with _alone():
        for data in registry.entries(DemoData):
            data.erase(project.pk)
        project.agents.exclude(identity__in=[agent.id for agent in timeline.AGENTS]).delete()
        project.agents.update(first_seen_at=now - timeline.PERIOD)
    return fill(project, now, scale)


@task
def generate_next(moment: str) -> None:
    """Carry the demo on to a moment; a task of its own, so that no wake-up of the clock waits for it.

    At least once; safe to repeat because what is stored is recognised.
    """
    trickle(datetime.fromisoformat(moment))


go_on = generate_next  # tasks that earlier versions queued name it so


def trickle(now: datetime) -> int:
    """Store what the demo's agents did in the last minutes; returns how many spans are new. Safe to repeat."""
    project = find() if env.demo else None
    if project is None:
        return 0
    pause(now)
    reword(now)
    conversations = timeline.conversations(now - LIVE_WINDOW, now, now, LIVE_SCALE)
    with _alone():
        return sum(_store(project, spans, now) for spans in _batches(conversations))


def pause(now: datetime) -> None:
    """Disable the demo's signals where a model would judge them: made-up traffic is not worth its price.

    One that somebody has activated stays as it is.
    """
    for signal in _active():
        if signal.current_version is not None and judge_of(signal.current_version).is_model:
            operations.disable(signal, now)


def reword(now: datetime) -> None:
    """Once the first version of one signal has judged the week: a second one, on the day of the bad deploy too.

    One that somebody has edited or activated stays as it is.
    """
    agent, key = REWORDED
    signal = _active().filter(agent__identity=agent, template=key, current_version__number=1).first()
    if signal is None or not signal.label_set.exists():
        return
    if summaries.is_open(signal, signal.label_set.matching(LabelFilter(status="waiting")).count()):
        return
    operations.publish_version(signal, _question(TEMPLATES[key], 100))
    first, _ = timeline.bad_deploy(signal.agent.first_seen_at + timeline.PERIOD)
    day = first.replace(hour=0)
    backfill.start(signal, start=day, end=day + timedelta(days=1), sample_rate=100, now=now)


def _active() -> QuerySet[Signal]:
    """The demo's active signals that nobody else has activated."""
    started_here = Signal.objects.filter(project=find(), activated_at=F("agent__first_seen_at"))
    return started_here.filter(state=Signal.State.ACTIVE).select_related("current_version", "agent")


def _agents(project: Project, now: datetime) -> None:
    identities = {Identity(agent.id, Agent.Source.AGENT_ID, agent.name) for agent in timeline.AGENTS}
    agent_ids(project.pk, identities, now - timeline.PERIOD)


@transaction.atomic
def _signals(project: Project) -> None:
    if Signal.objects.filter(project=project).exists():
        return
    agents = {agent.identity: agent for agent in project.agents.all()}
    for identity, key, scope, rate in SIGNALS:
        template, agent = TEMPLATES[key], agents[identity]
        question = _question(template, rate)
        if (identity, key) == REWORDED:
            question = replace(question, prompt=template.earlier[0], view=JudgeView(tool_calls=False))
        signal = operations.create_signal(agent, name=template.name, scope=scope, question=question, template=key)
        if signal.current_version is not None and not judge_of(signal.current_version).is_model:
            operations.activate(signal, agent.first_seen_at)


def _question(template: Template, rate: int) -> Definition:
    return Definition(template.type, template.prompt, rate, template.labels, template.sentiments)


def _batches(conversations: Iterable[Turns]) -> Iterator[list[SentSpan]]:
    """The spans of whole conversations, some of these at a time."""
    batch: list[SentSpan] = []
    for turns in conversations:
        batch += [span for turn in turns for span in turn]
        if len(batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _store(project: Project, spans: list[SentSpan], now: datetime) -> int:
    return pipeline.store(project.pk, spans, now).inserted


@contextmanager
def _alone() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])
