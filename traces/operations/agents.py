"""Operations on agents."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from typing import Annotated, ClassVar

from django.db.models import Q
from pydantic import ConfigDict, Field

from catalyst.agents.models import Agent, AgentIdentity
from catalyst.core.operation_context import Context
from catalyst.operations import CAMEL, Effect, Id, Input, InvalidInput, Limit, Page, Scope, operation
from catalyst.pagination import Sort
from catalyst.params import MAX_OFFSET
from traces import usage
from traces.analytics import agent_order, calls, runs
from traces.analytics.runs import SeenAgent
from traces.ingest import moves
from traces.models import Deploy
from traces.operations.inputs import RangeInput, agent_of, range_of
from traces.usage import Called, Runs


class AgentsInput(RangeInput):
    limit: Limit = 200
    after: Annotated[int, Field(ge=0, le=MAX_OFFSET)] = Field(0, description="Continue a list: `next` of the page.")


@dataclass(frozen=True, slots=True)
class UsageRecord:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    run_count: int
    error_count: int
    success_count: int
    failure_count: int
    model_call_count: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost: Decimal
    input_cost: Decimal
    cache_cost: Decimal
    output_cost: Decimal
    unpriced_count: int
    # Within 5 %.
    p50_us: float | None
    p95_us: float | None

    @classmethod
    def of(cls, found: Runs) -> "UsageRecord":
        sums = found.usage
        return cls(
            run_count=sums.trace_count,
            error_count=sums.error_trace_count,
            success_count=sums.success_count,
            failure_count=sums.failure_count,
            model_call_count=sums.llm_count,
            input_tokens=sums.input_tokens,
            cached_tokens=sums.cached_tokens,
            output_tokens=sums.output_tokens,
            cost=sums.cost,
            input_cost=sums.input_cost,
            cache_cost=sums.cache_cost,
            output_cost=sums.output_cost,
            unpriced_count=sums.unpriced_count,
            p50_us=found.p50_us,
            p95_us=found.p95_us,
        )


@dataclass(frozen=True, slots=True)
class AgentRecord:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    id: str
    identity: str
    source: str
    name: str
    run_count: int
    error_count: int
    input_tokens: int
    output_tokens: int
    cost: Decimal
    p50_us: float | None
    p95_us: float | None
    first_run: datetime
    last_run: datetime | None

    @classmethod
    def of(cls, agent: SeenAgent, found: Runs) -> "AgentRecord":
        sums = found.usage
        return cls(
            id=str(agent.pk),
            identity=agent.identity,
            source=agent.source,
            name=agent.name,
            run_count=sums.trace_count,
            error_count=sums.error_trace_count,
            input_tokens=sums.input_tokens,
            output_tokens=sums.output_tokens,
            cost=sums.cost,
            p50_us=found.p50_us,
            p95_us=found.p95_us,
            first_run=agent.first_run,
            last_run=agent.last_run,
        )


@operation("traces.agents", Scope.READ, Effect.READS)
def list_agents(context: Context, arguments: AgentsInput) -> Page[AgentRecord]:
    """List agents, busiest first."""
    time_range = range_of(arguments, context.now)
    in_order = agent_order.in_order(context.project, time_range, Sort("runs"))
    found = list(in_order[arguments.after : arguments.after + arguments.limit + 1])
    shown = found[: arguments.limit]
    ids = [agent.pk for agent in shown]
    sums = runs.sums(context.project, time_range, Q(agent__in=ids), since=time_range.start, merge_latencies=True)
    by_agent = usage.by_agent(*sums)
    more = arguments.after + arguments.limit
    has_more = len(found) > arguments.limit and more <= MAX_OFFSET
    return Page([AgentRecord.of(agent, by_agent[agent.pk]) for agent in shown], str(more) if has_more else None)


class AgentInput(RangeInput):
    agent: str = Field(description="Identity of the agent.")


@dataclass(frozen=True, slots=True)
class UsageBucket:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    start: datetime
    run_count: int
    error_count: int
    cost: Decimal
    p95_us: float | None

    @classmethod
    def of(cls, start: datetime, found: Runs) -> "UsageBucket":
        sums = found.usage
        return cls(start, sums.trace_count, sums.error_trace_count, sums.cost, found.p95_us)


@dataclass(frozen=True, slots=True)
class CallRecord:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    name: str
    call_count: int
    error_count: int
    input_tokens: int
    output_tokens: int
    cost: Decimal
    p50_us: float | None
    p95_us: float | None

    @classmethod
    def of(cls, called: Called) -> "CallRecord":
        sums = called.calls
        return cls(
            name=called.name,
            call_count=sums.call_count,
            error_count=sums.error_count,
            input_tokens=sums.input_tokens,
            output_tokens=sums.output_tokens,
            cost=sums.cost,
            p50_us=called.p50_us,
            p95_us=called.p95_us,
        )


@dataclass(frozen=True, slots=True)
class DeployRecord:
    """A version of a service, since the first run with it."""

    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    service: str
    version: str
    start: datetime

    @classmethod
    def of(cls, deploy: Deploy) -> "DeployRecord":
        return cls(deploy.service, deploy.version, deploy.started_at)


@dataclass(frozen=True, slots=True)
class AgentDetail:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    agent: AgentRecord
    usage: UsageRecord
    # The equal period before. None if the agent was not seen in it.
    before: UsageRecord | None
    buckets: list[UsageBucket]
    # The greatest only: models by cost, tools by calls.
    models: list[CallRecord]
    tools: list[CallRecord]
    deploys: list[DeployRecord]
    """The newest ones in the range that followed another version, oldest first."""


@operation("traces.agent", Scope.READ, Effect.READS)
def show_agent(context: Context, arguments: AgentInput) -> AgentDetail:
    """Show the numbers of an agent against the period before, over time, and by model and tool."""
    time_range = range_of(arguments, context.now)
    agent = runs.with_run_times(context.project).get(pk=agent_of(context, arguments.agent).pk)
    compared = runs.against_before(context.project, agent, time_range, context.now)
    total = usage.total(compared.bars.values())
    called = calls.tables(context.project, agent.pk, time_range)
    return AgentDetail(
        agent=AgentRecord.of(agent, total),
        usage=UsageRecord.of(total),
        before=UsageRecord.of(usage.total(compared.earlier)) if compared.is_comparable else None,
        buckets=[UsageBucket.of(start, found) for start, found in sorted(compared.bars.items())],
        models=[CallRecord.of(row) for row in called.models],
        tools=[CallRecord.of(row) for row in called.tools],
        deploys=[DeployRecord.of(row) for row in context.project.deploys.changes_of(agent.pk, time_range)],
    )


class IdentitiesInput(Input):
    agent: str = Field(description="Identity of the agent.")
    limit: Limit = 200
    after: Id | None = Field(None, description="Continue a list: `next` of the page before.")


@dataclass(frozen=True, slots=True)
class IdentityRecord:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    identity: str
    agent: str
    first_seen: datetime
    has_recurred: bool
    """Whether more than one conversation had it."""
    is_moving: bool
    """Whether some of its stored spans still name its agent before."""

    @classmethod
    def of(cls, row: AgentIdentity) -> "IdentityRecord":
        return cls(
            identity=row.identity,
            agent=row.agent.identity,
            first_seen=row.first_seen_at,
            has_recurred=row.has_recurred,
            is_moving=row.moving_from_id is not None,
        )


@operation("traces.identities", Scope.READ, Effect.READS)
def list_identities(context: Context, arguments: IdentitiesInput) -> Page[IdentityRecord]:
    """List the ids and names that count as an agent, newest first."""
    rows = agent_of(context, arguments.agent).identities.select_related("agent").order_by("-pk")
    if arguments.after is not None:
        rows = rows.filter(pk__lt=arguments.after)
    return Page.of(list(rows[: arguments.limit + 1]), arguments.limit, IdentityRecord.of, lambda row: row.pk)


class MergeInput(Input):
    agents: Annotated[list[str], Field(min_length=1, max_length=100)] = Field(
        description="Identities of the agents to merge into the other one."
    )
    into: str = Field(description="Identity of the agent that stays.")


@dataclass(frozen=True, slots=True)
class MergeRecord:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    agent: str
    into: str


@dataclass(frozen=True, slots=True)
class MergesRecord:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    merges: list[MergeRecord]


@operation("traces.merge_agents", Scope.WRITE, Effect.WRITES)
def merge_agents(context: Context, arguments: MergeInput) -> MergesRecord:
    """Merge agents: spans with their ids count as another agent from now on.

    Their signals go with them at once. Their stored spans follow within minutes, then the merged agents are gone.
    """
    into = agent_of(context, arguments.into)
    sources = [agent_of(context, identity) for identity in dict.fromkeys(arguments.agents)]
    moves.merge(sources, into, context.now, context.actor)
    return _merged((source, into) for source in sources)


def _merged(pairs: Iterable[tuple[Agent, Agent]]) -> MergesRecord:
    return MergesRecord([MergeRecord(source.identity, into.identity) for source, into in pairs])


class DuplicatesInput(Input):
    name: str | None = Field(None, description="Only agents with this name.")


@operation("traces.duplicates", Scope.READ, Effect.READS)
def list_duplicates(context: Context, arguments: DuplicatesInput) -> MergesRecord:
    """List up to 1,000 agents whose id came with one run only, each with the agent of its name that has most runs."""
    return _merged(_duplicates(context, arguments))


@operation("traces.merge_duplicates", Scope.WRITE, Effect.WRITES, preview="traces.duplicates")
def merge_duplicates(context: Context, arguments: DuplicatesInput) -> MergesRecord:
    """Merge up to 1,000 agents whose id came with one run only with the agent of their name that has most runs."""
    pairs = _duplicates(context, arguments)
    for into, found in groupby(pairs, key=itemgetter(1)):
        moves.merge([source for source, _ in found], into, context.now, context.actor)
    return _merged(pairs)


def _duplicates(context: Context, arguments: DuplicatesInput) -> Sequence[tuple[Agent, Agent]]:
    agents = context.project.agents.all()
    return moves.duplicates(agents if arguments.name is None else agents.filter(name=arguments.name))


class SplitInput(Input):
    identity: str = Field(description="An id or a name that counts as an agent, but is not its own identity.")


@operation("traces.split_agent", Scope.WRITE, Effect.WRITES)
def split_agent(context: Context, arguments: SplitInput) -> IdentityRecord:
    """Give an id that counts as an agent its own agent again. Its stored spans follow within minutes."""
    row = context.project.agent_identities.filter(identity=arguments.identity).first()
    if row is None:
        raise InvalidInput({"identity": f"No agent of {context.project.slug} has the id {arguments.identity}."})
    moves.split(row, context.now, context.actor)
    return IdentityRecord.of(context.project.agent_identities.select_related("agent").get(pk=row.pk))
