"""Moves stored spans to the agent that their identity counts as now, after identities split or agents were merged."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter

from django.core.exceptions import ValidationError
from django.db import models, transaction

from catalyst import registry
from catalyst.agents.models import Agent, AgentIdentity
from catalyst.core.actor import SYSTEM, Actor
from catalyst.core.audit import record
from catalyst.registry import AgentRows
from traces.ingest import deploys, pipeline, rollups, settled_minutes
from traces.ingest.pipeline import SpanBatch
from traces.ingest.regroup import TRACES_AT_ONCE, readings_of
from traces.models import Session, Trace
from traces.span_store import SpanQuery, span_store

# Ingest that found the agent before the change has ended by then.
GRACE = timedelta(minutes=1)
TRACES_LOOKED_AT = 2_000
MAX_DUPLICATES = 1_000
MOVING = "Spans of {} are still moving to it. Try again in some minutes."


@transaction.atomic
def merge(sources: list[Agent], into: Agent, now: datetime, by: Actor = SYSTEM) -> None:
    """Let all identities of `sources` count as the agent `into` from now on.

    Their signals go with them; their stored spans follow. Raises ValidationError.
    """
    # Nobody may merge the same agents elsewhere meanwhile.
    agents = Agent.objects.filter(pk__in=[into.pk, *(source.pk for source in sources)])
    list(agents.order_by("pk").select_for_update())
    for source in sources:
        if source == into:
            raise ValidationError({"agents": f"{source} can't be merged with itself."})
        if AgentIdentity.objects.moving().filter(models.Q(agent=source) | models.Q(moving_from=into)).exists():
            raise ValidationError({"agents": MOVING.format(source)})
        _keep_identity(source)
        source.identities.update(agent=into, has_recurred=True, moving_from=source, moving_since=now, moved_through=0)
        for entry in registry.entries(AgentRows):
            entry.move(source, into)
        record(by, "merged", into, detail=f"with {source.audit_name}")
    _keep_identity(into)


@transaction.atomic
def split(row: AgentIdentity, now: datetime, by: Actor = SYSTEM) -> Agent:
    """Give an identity that counts as another agent its own one, which its stored spans follow.

    Raises ValidationError.
    """
    agent = Agent.objects.select_for_update().get(pk=row.agent_id)
    row = AgentIdentity.objects.select_for_update().get(pk=row.pk)
    if row.identity == agent.identity:
        raise ValidationError({"identity": f"{row.identity} is the agent's own identity. Split off the others."})
    if row.moving_from is not None:
        raise ValidationError({"identity": MOVING.format(row.identity)})
    row.split(agent.name, now)
    record(by, "split off", row.agent, detail=f"from {agent.audit_name}")
    return row.agent


def has_work(now: datetime) -> bool:
    return _due(now).exists()


def step(now: datetime) -> bool:
    """Look at the next traces of a move, or end it after the last one. Returns False if nothing is due."""
    row = _due(now).select_related("agent", "moving_from", "project").order_by("moving_since", "pk").first()
    if row is None:
        return False
    begin = row.moved_through or _before_first(row)
    looked_at = list(Trace.objects.filter(pk__gt=begin).order_by("pk").values_list("pk", flat=True)[:TRACES_LOOKED_AT])
    if not looked_at:
        _end(row)
        return True
    found = _naming(row, begin, looked_at[-1])
    _move(row, found)
    # If there may be more of them, the next step goes on behind the last one.
    through = found[-1] if len(found) == TRACES_AT_ONCE else looked_at[-1]
    AgentIdentity.objects.filter(pk=row.pk).update(moved_through=through)
    return True


def _due(now: datetime) -> models.QuerySet[AgentIdentity]:
    return AgentIdentity.objects.moving().filter(moving_since__lte=now - GRACE)


def _before_first(row: AgentIdentity) -> int:
    """The primary key before that of the first trace with the identity."""
    if row.first_trace_id is None:
        return 0
    first = Trace.objects.filter(project=row.project_id, trace_id=row.first_trace_id).values_list("pk", flat=True)
    return next((pk - 1 for pk in first), 0)


def _naming(row: AgentIdentity, begin: int, through: int) -> list[int]:
    """The first traces of a range that have spans to move."""
    named = span_store().traces_with(row.project_id, SpanQuery(agents=(row.moving_from_id,)))
    found = Trace.objects.filter(named, pk__gt=begin, pk__lte=through).order_by("pk")
    return list(found.values_list("pk", flat=True)[:TRACES_AT_ONCE])


@transaction.atomic
def _move(row: AgentIdentity, pks: list[int]) -> None:
    # Locked, so that retention does not delete one whose spans are about to be stored again.
    for trace in Trace.objects.filter(pk__in=pks).order_by("trace_id").select_for_update():
        named = readings_of(row.project, [trace], lambda span: span.agent_id == row.moving_from_id)
        readings = [each for each in named if each.agent is not None and each.agent.identity == row.identity]
        if readings:
            # With the time of the trace: nothing new was received.
            batch = SpanBatch(row.project_id, trace.last_received_at, readings, {}, 0)
            pipeline.rewrite(batch)


@transaction.atomic
def _end(row: AgentIdentity) -> None:
    assert row.moving_from is not None
    source = Agent.objects.select_for_update().get(pk=row.moving_from.pk)
    AgentIdentity.objects.filter(pk=row.pk).update(moving_from=None, moving_since=None)
    if not source.identities.exists() and not AgentIdentity.objects.filter(moving_from=source).exists():
        _remove(source, row.agent)


def _remove(source: Agent, into: Agent) -> None:
    """Delete an agent that nothing counts as. What is left of it has no spans that could be stored again."""
    Trace.objects.filter(agent=source).update(agent=into)
    Session.objects.filter(agent=source).update(agent=into)
    rollups.merge_agents(source.project_id, source.pk, into.pk)
    settled_minutes.give(source, into)
    deploys.give(source.pk, into.pk)
    source.delete()


def _keep_identity(agent: Agent) -> None:
    known = {"agent": agent, "first_seen_at": agent.first_seen_at, "has_recurred": True}
    AgentIdentity.objects.get_or_create(project_id=agent.project_id, identity=agent.identity, defaults=known)


def duplicates(agents: models.QuerySet[Agent]) -> Sequence[tuple[Agent, Agent]]:
    """Agents with an id of one run, each with the agent of the same name that has most runs; up to MAX_DUPLICATES."""
    shared = agents.order_by().values("name").annotate(agents=models.Count("pk")).filter(agents__gt=1)
    runs = models.functions.Coalesce(models.Sum("hours__trace_count"), 0)
    counted = agents.filter(name__in=shared.values("name")).annotate(runs=runs).order_by("name", "-runs", "pk")
    pairs = []
    for _, namesakes in groupby(counted.iterator(), key=attrgetter("name")):
        main, *others = namesakes
        pairs += [(agent, main) for agent in others if agent.source == Agent.Source.AGENT_ID and agent.runs <= 1]
    return pairs[:MAX_DUPLICATES]
