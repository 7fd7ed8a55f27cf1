"""Tests: a definition, saved or not, judged on stored targets."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction

from catalyst.core.actor import SYSTEM, Actor
from catalyst.core.audit import record
from catalyst.core.models import Project
from catalyst.figures import Bar
from catalyst.llm import ChatMessage
from catalyst.llms import availability
from catalyst.llms.endpoints import ModelKey
from signals.definitions.choices import Scope
from signals.definitions.definition import version_columns
from signals.judging import judges, worker
from signals.judging.calls import JudgeCall
from signals.judging.judges import Judge
from signals.models import DefinitionModel, Signal, SignalTest, SignalTestItem, SignalVersion
from signals.models.label_states import Status
from signals.models.signal_test import MAX_DURATION, SignalTestQuerySet
from signals.results.charts import Outcome, breakdown, outcomes
from signals.runs import estimates
from signals.runs.estimates import Estimate
from signals.targets.base import Targets
from signals.targets.scopes import load_inputs, targets_of
from signals.targets.target import Target
from traces.filters import EVERYTHING

MAX_TARGETS = 100
WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Sample:
    """The targets of a test. `limit`: how many were requested; `shortfall`: why there are fewer, for pages.

    `before`: values of an earlier test on these targets, by target key. `finding`: the finding whose traces they are.
    """

    targets: Sequence[Target]
    limit: int
    shortfall: str = ""
    before: Mapping[str, str] = field(default_factory=dict)
    repeats: bool = False
    finding: int | None = None


def sample_newest(version: SignalVersion, limit: int, start: datetime, end: datetime) -> Sample:
    traffic = targets_of(version.signal.scope)(version.signal.agent, start, end, version.traffic_filter)
    targets = traffic.newest(min(limit, MAX_TARGETS))
    if len(targets) >= limit:
        return Sample(targets, limit)
    return Sample(targets, limit, shortfall(traffic, len(targets), version.signal.agent.project.kept_days))


def sample_by_key(version: SignalVersion, keys: Sequence[str], now: datetime) -> Sample:
    """Sample the agent's targets with these keys, whether or not they match the filter."""
    agent = version.signal.agent
    start = now - timedelta(days=agent.project.kept_days + 1)
    traffic = targets_of(version.signal.scope)(agent, start, now + timedelta(minutes=1))
    return Sample(traffic.among(keys[:MAX_TARGETS]), len(keys))


def sample_again(version: SignalVersion, earlier: SignalTest, now: datetime) -> Sample:
    before = dict(earlier.items.order_by("position").values_list("target_key", "value"))
    return Sample(
        sample_by_key(version, list(before), now).targets,
        len(before),
        before=before,
        repeats=True,
        finding=earlier.finding,
    )


def start_test(version: SignalVersion, sample: Sample, now: datetime, by: Actor = SYSTEM) -> SignalTest:
    """Start a test of a version, stored or not. Cancels the actor's running test of the signal."""
    signal = version.signal
    estimate = per_day(version, sample.targets, now)
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=signal.project_id)  # one start at a time
        stored = None if signal.pk is None else signal
        _own_tests(signal.project_id, by).filter(signal=stored).cancel(now)
        test = SignalTest.objects.create(
            project_id=signal.project_id,
            agent=signal.agent,
            signal=stored,
            scope=signal.scope,
            state=SignalTest.State.RUNNING if sample.targets else SignalTest.State.DONE,
            limit=sample.limit,
            shortfall=sample.shortfall,
            repeats=sample.repeats,
            finding=sample.finding,
            calls_per_day=estimate.calls,
            cost_per_day=estimate.cost,
            created_at=now,
            ends_at=now + MAX_DURATION,
            **version_columns(version.definition, version.connection),
            **by.as_creator(),
        )
        SignalTestItem.objects.bulk_create(
            SignalTestItem(
                test=test,
                signal=stored,
                position=position,
                not_before=now,
                before=sample.before.get(target.target_key, ""),
                **target.columns,
            )
            for position, target in enumerate(sample.targets)
        )
        action, tested = ("tested", stored) if stored else ("tested a draft for", signal.agent)
        record(by, action, tested, detail=_counted(len(sample.targets), signal.scope))
    return test


def cancel_test(test: SignalTest, now: datetime) -> None:
    SignalTest.objects.filter(pk=test.pk).cancel(now)


def find_test(project: Project, pk: int, by: Actor = SYSTEM) -> SignalTest:
    """Return a test of this actor. Raises SignalTest.DoesNotExist."""
    return _own_tests(project.pk, by).select_related("signal__agent", "agent", "project").get(pk=pk)


def latest_test(signal: Signal, by: Actor) -> SignalTest | None:
    """Return the actor's newest test of a signal, if it is still kept."""
    tests = _own_tests(signal.project_id, by).filter(signal=signal)
    return tests.select_related("signal__agent", "agent", "project").order_by("-pk").first()


def asks_alike(test: SignalTest, version: DefinitionModel) -> bool:
    """Return whether a version has the prompt, the labels and the model of a test."""
    return _asked(test) == _asked(version)


def _asked(version: DefinitionModel) -> tuple[str, Sequence[str], ModelKey]:
    return version.prompt.replace("\r\n", "\n").strip(), version.labels, judges.model_for(version).key


def tested_version(test: SignalTest) -> int | None:
    """Return the number of the newest version that a test judged with, or None for a draft that no version saved."""
    if test.signal is None:
        return None
    columns = version_columns(test.definition, test.connection)
    del columns["sample_rate"]  # no test samples
    same = test.signal.versions.published().filter(**columns).order_by("-number")
    return same.values_list("number", flat=True).first()


def _own_tests(project_id: int, by: Actor) -> SignalTestQuerySet:
    return SignalTest.objects.filter(project=project_id).started_by(by)


@dataclass(frozen=True, slots=True)
class Results:
    """A test with its results so far.

    `exchanged`: ids of items with a stored exchange. `outage`: why the judge is unavailable, for pages.
    """

    test: SignalTest
    items: Sequence[SignalTestItem]
    exchanged: Set[int] = frozenset()
    outage: str = ""

    @property
    def ended(self) -> list[SignalTestItem]:
        return [item for item in self.items if item.status not in (Status.QUEUED, Status.RUNNING)]

    @property
    def with_outcome(self) -> list[SignalTestItem]:
        return [item for item in self.items if item.error or item.status not in (Status.QUEUED, Status.RUNNING)]

    @property
    def judge(self) -> Judge:
        return judges.judge_of(self.test)

    @property
    def failed(self) -> int:
        return self._count(Status.FAILED)

    @property
    def skipped(self) -> int:
        return self._count(Status.SKIPPED)

    @property
    def tokens(self) -> int:
        return sum(item.tokens or 0 for item in self.items)

    @property
    def cost(self) -> Decimal | None:
        """US dollars; None if no call had a known price."""
        costs = [item.cost for item in self.items if item.cost is not None]
        return sum(costs, Decimal(0)) if costs else None

    @property
    def outcomes(self) -> list[Outcome]:
        sentiments = {label: self.test.sentiments[label] for label in self.test.labels}  # JSON keeps no order
        return outcomes(sentiments, Counter(item.value for item in self.items if item.value))

    @property
    def bars(self) -> list[Bar]:
        return breakdown(self.outcomes)

    @property
    def labelled(self) -> int:
        return sum(outcome.count for outcome in self.outcomes)

    @property
    def compared(self) -> int:
        return sum(bool(item.value and item.before) for item in self.items)

    @property
    def flipped(self) -> int:
        return sum(item.is_flipped for item in self.items)

    @property
    def moves(self) -> list[tuple[str, str, int]]:
        """(before, after, count) of changed labels, the most frequent first."""
        flips = Counter((item.before, item.value) for item in self.items if item.is_flipped)
        return [(before, value, count) for (before, value), count in flips.most_common()]

    def _count(self, status: Status) -> int:
        return sum(item.status == status for item in self.items)


def results_of(test: SignalTest) -> Results:
    items = list(test.items.defer("exchange").select_related("test").order_by("position"))
    health = availability.outages().get(judges.model_for(test).key) if test.is_running else None
    exchanged = set(test.items.filter(exchange__isnull=False).values_list("pk", flat=True))
    return Results(test, items, exchanged, health.error if health else "")


def per_day(version: SignalVersion, examples: Sequence[Target], now: datetime) -> Estimate:
    """Estimate the live calls of a day, based on the last week and the length of these examples."""
    agent, scope = version.signal.agent, version.signal.scope
    matching = targets_of(scope)(agent, now - WEEK, now, version.traffic_filter).count()
    return estimates.estimate_calls(version, math.ceil(matching / WEEK.days * version.sample_rate / 100), examples, now)


@dataclass(frozen=True, slots=True)
class PromptPreview:
    """The messages for a target's judge, or in `text` why there are none."""

    messages: Sequence[ChatMessage] = ()
    model: str = ""
    text: str = ""


def preview_prompt(version: SignalVersion, match: Target, now: datetime) -> PromptPreview:
    """Return the exact prompt for a target. Calls no model."""
    ((label, read),) = load_inputs([match.label_of(version)])
    prepared = worker.prepare(label, read, now, {})
    if isinstance(prepared, JudgeCall):
        return PromptPreview(prepared.messages, str(prepared.model))
    if prepared.status == Status.DONE:
        return PromptPreview(text="The offline judge goes by rules: no model is sent anything.")
    return PromptPreview(text=prepared.error)


def shortfall(traffic: Targets, found: int, kept_days: int) -> str:
    """Return for pages why a window has only `found` targets."""
    agent, scope = traffic.agent, traffic.scope
    everything = targets_of(scope)(agent, traffic.end - timedelta(days=kept_days + 1), traffic.end)
    stored = everything.count()
    if not stored:
        if scope == Scope.SESSION and targets_of(Scope.TRACE)(agent, everything.start, everything.end).count():
            return f"The traces of {agent} carry no session id, so there is no session to judge."
        return f"Nothing of {agent} is stored. Traffic is kept for {kept_days} days."
    within = targets_of(scope)(agent, traffic.start, traffic.end).count()
    if traffic.traffic_filter != EVERYTHING and within > found:
        return f"The window holds {_counted(within, scope)}; the others do not pass the filter."
    if stored > within:
        return f"The window is too short: {_counted(stored, scope)} of {agent} are stored in all."
    return f"No others are stored. Traffic is kept for {kept_days} days."


def _counted(count: int, scope: str) -> str:
    return f"{count:,} {scope}{'' if count == 1 else 's'}"
