"""Operations on agents."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, ClassVar

from django.db.models import Q
from pydantic import ConfigDict, Field

from catalyst.core.operation_context import Context
from catalyst.operations import CAMEL, Effect, Limit, Page, Scope, operation
from catalyst.params import MAX_OFFSET
from traces import usage
from traces.analytics import calls, runs
from traces.analytics.runs import SeenAgent
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
    found = list(runs.busiest(context.project, time_range)[arguments.after : arguments.after + arguments.limit + 1])
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
        models=[CallRecord.of(row.called) for row in called.models],
        tools=[CallRecord.of(row.called) for row in called.tools],
    )
