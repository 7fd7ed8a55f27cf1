"""Operations on backfills, budgets, call limits and catching up."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from catalyst.core.operation_context import Context
from catalyst.formats import roughly
from catalyst.llms.amounts import Account, Cap
from catalyst.llms.budgets import spent_today
from catalyst.operations import CAMEL, Effect, Id, Input, Limit, NotFound, Page, Scope, UtcTime, operation
from catalyst.package import command
from signals import operations
from signals.models import SignalRun
from signals.operations.inputs import SignalInput, signal_of, version_of
from signals.results.budgets import SignalBudget, own_budgets
from signals.runs import backfill, catch_up, estimates
from signals.serializers import PreviewRecord, RunRecord, SpendingRecord, dollars

MAX_CALLS = 1_000_000_000
PAGE_SIZE = 20


class BackfillInput(SignalInput):
    start: UtcTime = Field(alias="from", description="Start of the window, ISO 8601, in UTC by default.")
    end: UtcTime | None = Field(None, alias="to", description="End of the window, exclusive (default: now).")
    sample_rate: int = Field(100, description="Percent of the targets, 0 to 100.")


@operation("signals.preview", Scope.WRITE, Effect.READS)
def preview(context: Context, arguments: BackfillInput) -> PreviewRecord:
    """Show what a backfill of a window would find, cost and take."""
    version = version_of(signal_of(context, arguments))
    end = arguments.end or context.now
    backfill.check(arguments.start, end, arguments.sample_rate, context.now)
    found = backfill.preview(version, arguments.start, end, arguments.sample_rate)
    estimate = estimates.estimate_calls(version, found.to_judge, found.examples, context.now)
    return PreviewRecord.of(found, estimate)


@operation("signals.backfill", Scope.WRITE, Effect.WRITES, preview="signals.preview")
def start_run(context: Context, arguments: BackfillInput) -> RunRecord:
    """Start a backfill: judge the targets of a window of the past by the current version."""
    run = backfill.start(
        signal_of(context, arguments),
        start=arguments.start,
        end=arguments.end or context.now,
        sample_rate=arguments.sample_rate,
        now=context.now,
        by=context.actor,
    )
    return _run(context, run)


class RunsInput(Input):
    signal: Id | None = Field(None, description="Only backfills of this signal.")
    limit: Limit = PAGE_SIZE
    after: Id | None = Field(None, description="Only backfills before this one: `next` of the page before.")


@operation("signals.runs", Scope.READ, Effect.READS)
def list_runs(context: Context, arguments: RunsInput) -> Page[RunRecord]:
    """List backfills with their progress, newest first."""
    known = SignalRun.objects.for_project(context.project)
    if arguments.signal is not None:
        known = SignalRun.objects.for_signal(signal_of(context, SignalInput(signal=arguments.signal)))
    if arguments.after is not None:
        known = known.filter(pk__lt=arguments.after)
    found = list(known[: arguments.limit + 1])
    shown = found[: arguments.limit]
    records = [RunRecord.of(progress) for progress in backfill.progress(shown, context.now)]
    return Page(records, str(shown[-1].pk) if len(found) > arguments.limit else None)


class RunInput(Input):
    run: Id = Field(description="ID of the backfill, as `runs` shows it.")


@operation("signals.cancel_run", Scope.WRITE, Effect.WRITES)
def cancel_run(context: Context, arguments: RunInput) -> RunRecord:
    """Cancel a backfill. Its pending labels are removed, others stay."""
    run = SignalRun.objects.for_project(context.project).filter(pk=arguments.run).first()
    if run is None:
        raise NotFound(
            f"The project {context.project.slug} has no backfill {arguments.run}. See {command('signals runs')}."
        )
    backfill.cancel(run, context.now, context.actor)
    return _run(context, run)


def _run(context: Context, run: SignalRun) -> RunRecord:
    return RunRecord.of(backfill.progress([run], context.now)[0])


DailyUsd = Annotated[Decimal, Field(ge=Decimal("0.0001"), max_digits=12, decimal_places=4)]
DailyCalls = Annotated[int, Field(ge=1, le=MAX_CALLS)]


class CapInput(Input):
    daily_usd: DailyUsd | None = Field(None, description="Budget: US dollars a UTC day (default: no limit).")
    daily_calls: DailyCalls | None = Field(None, description="Call limit: judge calls a UTC day (default: no limit).")

    @property
    def cap(self) -> Cap:
        return Cap(self.daily_usd, self.daily_calls)


class SignalCapInput(SignalInput, CapInput):
    pass


@operation("signals.cap", Scope.WRITE, Effect.WRITES)
def cap_signal(context: Context, arguments: SignalCapInput) -> SpendingRecord:
    """Set the budget and the call limit of a signal. One without an amount is removed."""
    signal = signal_of(context, arguments)
    operations.cap_signal(signal, arguments.cap, context.now, context.actor)
    return SpendingRecord.of(spent_today(Account(context.project.pk, signal.pk), context.now))


@operation("signals.cap_project", Scope.ADMIN, Effect.WRITES)
def cap_project(context: Context, arguments: CapInput) -> SpendingRecord:
    """Set the budget and the call limit of all signals together. One without an amount is removed."""
    operations.cap_project(context.project, arguments.cap, context.now, context.actor)
    return SpendingRecord.of(spent_today(Account(context.project.pk), context.now))


@dataclass(frozen=True, slots=True)
class SignalBudgetRecord:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    signal_id: str
    signal_name: str
    spending: SpendingRecord

    @classmethod
    def of(cls, budget: SignalBudget) -> "SignalBudgetRecord":
        return cls(str(budget.signal.pk), budget.signal.name, SpendingRecord.of(budget.today))


@dataclass(frozen=True, slots=True)
class Budgets:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    project: SpendingRecord
    """What all signals together spent, and their limits."""
    signals: list[SignalBudgetRecord]
    """The first ones by name that have a limit of their own."""


@operation("signals.budgets", Scope.READ, Effect.READS)
def budgets(context: Context, _arguments: Input) -> Budgets:
    """Show what judging cost today, and the limits of the project and of signals with their own."""
    project = SpendingRecord.of(spent_today(Account(context.project.pk), context.now))
    own = own_budgets(context.project, context.now)
    return Budgets(project, [SignalBudgetRecord.of(each) for each in own])


@dataclass(frozen=True, slots=True)
class HeldBack:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    label_count: int
    max_cost: Decimal | None
    estimated_cost: Decimal | None
    estimated_time: str


@dataclass(frozen=True, slots=True)
class CaughtUp:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    label_count: int


NOTHING_HELD_BACK = HeldBack(0, Decimal(0), Decimal(0), roughly(None))


class CatchUpInput(SignalInput):
    labels: Annotated[int, Field(ge=1, le=MAX_CALLS)] | None = Field(None, description="Up to how many (default: all).")


class CatchUpProjectInput(Input):
    labels: Annotated[int, Field(ge=1, le=MAX_CALLS)] | None = Field(None, description="Up to how many (default: all).")


@operation("signals.held_back", Scope.WRITE, Effect.READS)
def held_back(context: Context, arguments: CatchUpInput) -> HeldBack:
    """Show how many labels the limits of a signal keep pending, and what judging them costs."""
    return _offer(catch_up.offer(context.project, signal_of(context, arguments), context.now))


@operation("signals.catch_up", Scope.WRITE, Effect.WRITES, preview="signals.held_back")
def catch_up_signal(context: Context, arguments: CatchUpInput) -> CaughtUp:
    """Judge labels today that the limits of a signal keep pending. The limits stay."""
    signal, limit = signal_of(context, arguments), arguments.labels or MAX_CALLS
    return CaughtUp(catch_up.catch_up(context.project, signal, limit, context.now, context.actor))


@operation("signals.held_back_project", Scope.ADMIN, Effect.READS)
def held_back_project(context: Context, _given: CatchUpProjectInput) -> HeldBack:
    """Show how many labels the limits of the project keep pending, and what judging them costs."""
    return _offer(catch_up.offer(context.project, None, context.now))


@operation("signals.catch_up_project", Scope.ADMIN, Effect.WRITES, preview="signals.held_back_project")
def catch_up_project(context: Context, arguments: CatchUpProjectInput) -> CaughtUp:
    """Judge labels today that the limits of the project keep pending. The limits stay."""
    limit = arguments.labels or MAX_CALLS
    return CaughtUp(catch_up.catch_up(context.project, None, limit, context.now, context.actor))


def _offer(offer: catch_up.CatchUpEstimate | None) -> HeldBack:
    if offer is None:
        return NOTHING_HELD_BACK
    return HeldBack(offer.labels, dollars(offer.max_cost), dollars(offer.cost), offer.takes)
