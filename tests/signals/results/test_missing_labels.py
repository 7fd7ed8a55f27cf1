"""Why a target has no label from a signal: what its page says, and that coverage counts the same."""

import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import cycle
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalyst.core.models import Project
from catalyst.llms import availability
from catalyst.llms.availability import Outage
from catalyst.llms.models import Budget
from catalyst.timerange import between
from signals import operations
from signals.definitions.definition import Definition
from signals.judging.claims import claim
from signals.judging.worker import LEASE
from signals.models import Label, Signal, Unsampled
from signals.results import coverage, missing_labels
from signals.results.missing_labels import Reason
from signals.runs import backfill
from signals.sampling import least_rate, trace_key
from signals.targets import eligibility as subjects
from signals.targets.eligibility import TargetEligibility
from tests.factories import AGENT, LATER, make_agent, make_signal, make_trace, settle_all
from tests.page import Page
from tests.signals.unlabelled import of, settled, waiting
from tests.traces.sent import sent_span
from traces.filters import Filter
from traces.ingest import pipeline
from traces.models import Trace
from traces.models.span import hex_span_id

pytestmark = [pytest.mark.slow, pytest.mark.real_clock]

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
HTMX = {"HX-Request": "true"}
PROD, FAST = Filter(environment="prod"), Filter(max_duration_ms=1, environment="prod")


@pytest.fixture(autouse=True)
def _judge(connect: Callable[[str], None]) -> None:
    """A judge is connected; nobody asks it."""
    connect("http://127.0.0.1:9/v1")


@pytest.fixture
def signal(project: Project) -> Callable[..., Signal]:
    """Make a signal of the agent that traces name."""
    return lambda **about: make_signal(make_agent(project), **about)


type Case = Callable[[Project, Callable[..., Signal], datetime], Trace]
CASES: list[Any] = []


def case(why: Reason, words: str) -> Callable[[Case], Case]:
    """A trace that comes to be like this is marked and explained like that."""

    def add(make: Case) -> Case:
        CASES.append(pytest.param(make, why, words, id=make.__name__))
        return make

    return add


@case(Reason.DRAFT, "Drafts don't run.")
def a_draft(project: Project, signal: Callable[..., Signal], now: datetime) -> Trace:
    signal()
    return settled(project, now)


@case(Reason.DISABLED, "Disabled at ")
def disabled_since(project: Project, signal: Callable[..., Signal], now: datetime) -> Trace:
    operations.disable(signal(active_since=now - HOUR), now)
    return settled(project, now)


@case(Reason.FILTERED, "Does not match the filters: environment is prod.")
def no_match(project: Project, signal: Callable[..., Signal], now: datetime) -> Trace:
    signal(active_since=now - HOUR, traffic_filter=PROD)
    return settled(project, now)


@case(Reason.FILTERED, "Does not match the filters: environment is prod, latency ≤ 1 ms.")
def no_match_twice(project: Project, signal: Callable[..., Signal], now: datetime) -> Trace:
    signal(traffic_filter=FAST)
    return settled(project, now)


@case(Reason.FILTERED, "Did not match the filters of v1 when it settled: environment is prod.")
def no_match_then(project: Project, signal: Callable[..., Signal], now: datetime) -> Trace:
    made = signal(active_since=now - HOUR, traffic_filter=PROD)
    trace = settled(project, now)
    operations.publish_version(made, Definition(type="binary", prompt="Is it so?", sample_rate=100))
    return trace


@case(Reason.UNSAMPLED, "Not sampled: v1 samples 0%, this trace needs {least}%.")
def left_out(project: Project, signal: Callable[..., Signal], now: datetime) -> Trace:
    signal(active_since=now - HOUR, sample_rate=0)
    return settled(project, now)


@case(Reason.UNSAMPLED, "Not sampled: a backfill used a lower rate than the {least}% that this trace needs.")
def left_out_by_a_run(project: Project, signal: Callable[..., Signal], now: datetime) -> Trace:
    made = signal()
    trace = settled(project, now)
    backfill.start(made, start=now - HOUR, end=now + HOUR, sample_rate=0, now=now + HOUR)
    while backfill.step(now + HOUR):
        pass
    return trace


@case(Reason.BEFORE_ACTIVATION, "Arrived before the signal was activated at ")
def older_than_the_activation(project: Project, signal: Callable[..., Signal], now: datetime) -> Trace:
    signal(active_since=now + timedelta(seconds=1))
    return settled(project, now)


@case(Reason.BEFORE_ACTIVATION, "A backfill of this time ended early, ")
def not_reached_by_a_run(project: Project, signal: Callable[..., Signal], now: datetime) -> Trace:
    made = signal(active_since=now + timedelta(seconds=1))
    trace = settled(project, now)
    backfill.cancel(backfill.start(made, start=now - HOUR, end=now + HOUR, sample_rate=100, now=now + HOUR), now + HOUR)
    return trace


@case(Reason.IN_RUN, "A backfill of this time is looking for targets.")
def on_the_way_of_a_run(project: Project, signal: Callable[..., Signal], now: datetime) -> Trace:
    trace = settled(project, now)
    backfill.start(signal(), start=now - HOUR, end=now + HOUR, sample_rate=100, now=now + HOUR)
    return trace


@case(Reason.UNSETTLED, "unless new spans arrive.")
def not_settled(project: Project, signal: Callable[..., Signal], now: datetime) -> Trace:
    signal(active_since=now - HOUR)
    return make_trace(project, now=now)


@case(Reason.WAITING, "Queued since ")
def in_the_queue(project: Project, signal: Callable[..., Signal], now: datetime) -> Trace:
    signal(active_since=now - HOUR)
    return settled(project, now)


@case(Reason.WAITING, "Live traffic has priority.")
def in_the_queue_of_a_run(project: Project, signal: Callable[..., Signal], now: datetime) -> Trace:
    made = signal()
    trace = settled(project, now)
    backfill.start(made, start=now - HOUR, end=now + HOUR, sample_rate=100, now=now + HOUR)
    backfill.step(now + HOUR)
    return trace


@case(Reason.WAITING, "The last try failed. It said <maybe>. Next try: ")
def between_two_tries(project: Project, signal: Callable[..., Signal], now: datetime) -> Trace:
    signal(active_since=now - HOUR)
    return waiting(project, now, attempts=1, tried_at=now, error="It said <maybe>.")


@case(
    Reason.WAITING,
    "Not judged: the signal's budget of $1.00 a day can't be enforced because judge-1 has no known price.",
)
def beyond_an_unpriced_cap(project: Project, signal: Callable[..., Signal], now: datetime) -> Trace:
    made = signal(active_since=now - HOUR)
    trace = settled(project, now)
    Budget.objects.create(project=project, subject_id=made.pk, daily_usd=1, day=now.date())
    return trace


@case(
    Reason.WAITING,
    "the project's call limit of 7 judge calls a day is reached.",
)
def beyond_a_cap(project: Project, signal: Callable[..., Signal], now: datetime) -> Trace:
    signal(active_since=now - HOUR)
    trace = settled(project, now)
    Budget.objects.create(project=project, daily_calls=7, calls=7, day=now.date())
    return trace


@case(Reason.WAITING, "judge-1 does not answer. It is on fire. Next try: ")
def with_a_judge_that_is_down(project: Project, signal: Callable[..., Signal], now: datetime) -> Trace:
    signal(active_since=now - HOUR)
    trace = settled(project, now)
    availability.pause(Outage("judge-1", "It is on fire.", now, retry_after=600), now)
    return trace


@case(Reason.JUDGING, "The judge is reading it.")
def being_judged(project: Project, signal: Callable[..., Signal], now: datetime) -> Trace:
    signal(active_since=now - HOUR)
    trace = settled(project, now)
    claim(1, LEASE, now + LATER)
    return trace


@case(Reason.JUDGING, "The worker stopped. Another one takes over.")
def held_by_a_dead_worker(project: Project, signal: Callable[..., Signal], now: datetime) -> Trace:
    signal(active_since=now - DAY)
    trace = settled(project, now - 2 * LATER)
    claim(1, LEASE, now - LATER)
    return trace


@case(Reason.FAILED, "The judge answered <nonsense>.")
def failed(project: Project, signal: Callable[..., Signal], now: datetime) -> Trace:
    signal(active_since=now - HOUR)
    return waiting(project, now, status="failed", error="The judge answered <nonsense>.")


@case(Reason.SKIPPED, "There is nothing to judge")
def empty(project: Project, signal: Callable[..., Signal], now: datetime) -> Trace:
    signal(active_since=now - HOUR)
    return waiting(project, now, status="skipped", error="There is nothing to judge: this has no content.")


@pytest.mark.parametrize(("make", "why", "words"), CASES)
def test_it_says_why(
    browser: Client, project: Project, signal: Callable[..., Signal], now: datetime, make: Case, why: Reason, words: str
) -> None:
    trace = make(project, signal, now)
    assert Page(browser.get(trace.get_absolute_url()).text).link("Signals without a label") == f"{of(trace)}?range=1d"
    part = Page(browser.get(of(trace), headers=HTMX).text)
    assert not part.is_whole
    (shown,) = (label for label in part.labels if label.startswith("No label "))
    for absence in (part.region(shown), Page(browser.get(of(trace)).text).region(shown)):
        assert absence.has_link("pending" if why == Reason.WAITING else why)
        assert words.format(least=least_rate(trace_key(trace.trace_id))) in absence.text


def why_of(subject: TargetEligibility | None, project: Project, now: datetime) -> list[Reason]:
    assert subject is not None
    return [each.why for each in missing_labels.explain_missing(project, subject, now)]


def test_it_says_that_labels_are_kept_no_longer_or_that_nothing_is_known(
    project: Project, signal: Callable[..., Signal], now: datetime
) -> None:
    signal(active_since=now - HOUR, sample_rate=0)
    subject = subjects.of_trace(settled(project, now))
    Unsampled.objects.all().delete()
    assert why_of(subject, project, now) == [Reason.MISSED]
    assert why_of(subject, project, now + 10_000 * DAY) == [Reason.EXPIRED]


def test_the_newest_version_that_looked_at_it_counts(
    project: Project, signal: Callable[..., Signal], now: datetime
) -> None:
    made = signal(active_since=now - HOUR)
    trace = waiting(project, now, status="failed", error="Broken.")
    operations.publish_version(made, Definition(type="binary", prompt="Is it so?", sample_rate=0))
    assert why_of(subjects.of_trace(trace), project, now) == [Reason.FAILED]
    make_trace(project, 1, now=now, error="grown")
    settle_all(now)
    assert why_of(subjects.of_trace(trace), project, now) == [Reason.UNSAMPLED]


def test_a_span_of_a_trace_without_model_calls_says_why(
    project: Project, signal: Callable[..., Signal], now: datetime
) -> None:
    signal(scope="span", active_since=now - HOUR)
    spans = [
        sent_span(1, start=now, agent__name=AGENT),
        sent_span(2, 1, start=now),
        sent_span(3, start=now, seconds=None),
    ]
    pipeline.store(project.pk, spans, now)
    trace = project.traces.get()
    root, child, still_open = (subjects.of_span(trace, hex_span_id(number)) for number in (1, 2, 3))
    assert why_of(root, project, now) == [Reason.UNSETTLED]
    assert [each.ignored for each in (child, still_open) if each] == [
        "No span of this trace is a model call, so signals about spans look at its root alone.",
        "This span has not ended yet.",
    ]
    settle_all(now)
    assert why_of(subjects.of_span(trace, hex_span_id(1)), project, now) == [Reason.WAITING]


def test_it_asks_the_database_as_often_for_many_signals_as_for_few(
    project: Project, signal: Callable[..., Signal], now: datetime
) -> None:
    def population() -> None:
        older, gone = signal(active_since=now + timedelta(seconds=1)), signal(active_since=now - HOUR)
        operations.disable(gone, now)
        signal(active_since=now - HOUR, sample_rate=0)
        signal(active_since=now - HOUR)
        operations.publish_version(older, Definition(type="binary", prompt="Is it so?", sample_rate=100))

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            missing_labels.explain_missing(project, subjects.of_trace(trace), now)
        return len(captured)

    population()
    trace = settled(project, now)
    few = queries()
    population()
    settled(project, now, error="grown")
    assert len(missing_labels.explain_missing(project, subjects.of_trace(trace), now)) == 8
    assert queries() == few <= 12


STATE_OF = {
    Reason.WAITING: "waiting",
    Reason.JUDGING: "waiting",
    Reason.FAILED: "failed",
    Reason.SKIPPED: "skipped",
    Reason.UNSAMPLED: "unsampled",
}


def population(project: Project, made: Signal, now: datetime) -> None:
    """Traffic before and after the activation, that passes and does not, under two versions, in every state."""
    chance, statuses = random.Random(5), cycle(["queued", "running", "failed", "skipped", "done"])
    for number in range(2, 40):
        if number == 20:
            settle_all(now)
            Label.objects.update(status="skipped", error="Empty.")
            assert made.current_version
            anew = Definition(
                type="binary", prompt="Is it so?", sample_rate=70, filter=made.current_version.traffic_filter
            )
            operations.publish_version(made, anew)
        make_trace(project, number, now=now, error=chance.choice(["", "Down", "Down"]))
    settle_all(now)
    make_trace(project, 40, now=now, error="Down")
    for label, status in zip(Label.objects.filter(version__number=2), statuses, strict=False):
        value = {"value": "yes", "labelled_at": now} if status == "done" else {}
        Label.objects.filter(pk=label.pk).update(status=status, **value)


def told_of(project: Project, now: datetime) -> Counter[tuple[int, str]]:
    """How many traces are said to be in which state of which version; without those that were not looked at."""
    told = Counter[tuple[int, str]]()
    for trace in project.traces.all():
        found = missing_labels.explain_missing(project, subjects.of_trace(trace), now)
        told[2, "done"] += not found
        for each in found:
            assert (each.version is not None) == (each.why in STATE_OF)
            if each.version:
                told[each.version.number, STATE_OF[each.why]] += 1
    return told


def counted_of(made: Signal, now: datetime) -> Counter[tuple[int, str]]:
    """The same as coverage counts it."""
    counted = Counter[tuple[int, str]]()
    for row in coverage.by_day(made, coverage.whole_days(between(now - 2 * DAY, now + DAY)), now).rows:
        counted[row.version, "unsampled"] += row.unsampled
        for state in ("waiting", "done", "failed", "skipped"):
            counted[row.version, state] += getattr(row.covered, state)
    return +counted


def test_it_agrees_with_what_coverage_counts(project: Project, signal: Callable[..., Signal], now: datetime) -> None:
    make_trace(project, 1, now=now - DAY)
    settle_all(now - DAY)
    made = signal(active_since=now - HOUR, sample_rate=60, traffic_filter=Filter(attributes={"tool.name": "lookup"}))
    population(project, made, now)
    told = told_of(project, now)
    assert told == counted_of(made, now)
    assert len(told) == 7
