"""Versions that are not current: judged in runs of their own, and left out of results."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from catalyst.core.models import Project
from catalyst.timerange import named
from signals import operations
from signals.definitions.definition import Definition
from signals.judging.worker import run as judge_all
from signals.label_source import SignalLabels
from signals.models import Label, LabelHour, Signal, SignalRun, SignalVersion, Unsampled
from signals.results import comparison, facets, summaries
from signals.results.coverage import by_day, whole_days
from signals.runs import backfill
from tests.factories import LATER, make_agent, make_labels, make_signal, make_trace, settle_all
from tests.judge_server import JudgeServer, says

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
ELSE = Definition(type="binary", prompt="Is it about money?", sample_rate=100)


@pytest.fixture
def signal(project: Project, now: datetime) -> Signal:
    return make_signal(make_agent(project), active_since=now - HOUR)


@pytest.fixture
def candidate(signal: Signal) -> SignalVersion:
    return operations.add_candidate(signal, ELSE)


def queue_all(now: datetime) -> None:
    while backfill.step(now):
        pass


def duel(version: SignalVersion, now: datetime, sample_rate: int = 100) -> SignalRun:
    start, end = now - HOUR, now + HOUR
    started = backfill.start_comparison(version, start=start, end=end, sample_rate=sample_rate, now=now + LATER)
    queue_all(now)
    return started


def test_a_candidate_does_not_become_current(
    signal: Signal, candidate: SignalVersion, project: Project, now: datetime
) -> None:
    stored = Signal.objects.get(pk=signal.pk)
    assert (candidate.number, candidate.is_candidate) == (2, True)
    assert stored.current_version_id == signal.current_version_id != candidate.pk
    assert {label.version_id for label in make_labels(signal, project, 2, now=now)} == {signal.current_version_id}
    assert operations.publish_version(signal, ELSE).number == 3


def test_a_duel_judges_a_candidate(
    signal: Signal, candidate: SignalVersion, project: Project, now: datetime, judge: JudgeServer
) -> None:
    make_labels(signal, project, 3, now=now)
    judge_all(lambda: now + LATER)
    judge.script = lambda _: says("no")
    run = duel(candidate, now)
    judge_all(lambda: now + LATER)
    assert set(candidate.label_set.values_list("value", "status", "run")) == {("no", "done", run.pk)}
    assert signal.current_version
    pair = comparison.pair(signal, signal.current_version, candidate, named("7d", now + LATER))
    assert comparison.agreement(pair).moves == {("yes", "no"): 3}


def test_results_leave_a_candidate_out(
    browser: Client, signal: Signal, candidate: SignalVersion, project: Project, now: datetime
) -> None:
    make_labels(signal, project, 2, now=now)
    duel(candidate, now)
    Label.objects.filter(version=candidate).update(status="done", value="no", labelled_at=now, judged_revision=9)
    Label.objects.filter(target_key=UUID(int=1).hex, version=signal.current_version).update(
        status="done", value="yes", labelled_at=now, judged_revision=9
    )
    time_range = named("7d", now + LATER)
    (summary,) = summaries.summaries([signal], time_range)
    assert (summary.text, summary.coverage.sampled) == ("yes 1, no 0", 2)
    (facet,) = facets.load(project, time_range, None)
    assert {(value.value, value.count) for value in facet.values} == {("yes", 1), ("no label yet", 1)}
    pills = SignalLabels().pills_for_traces(project, [UUID(int=1), UUID(int=2)])
    assert [[pill.value for pill in each] for each in pills.values()] == [["yes"]]
    assert {row.version for row in by_day(signal, whole_days(time_range), now + LATER).rows} == {1}
    text = browser.get(signal.get_absolute_url()).text
    assert "2 versions" not in text
    assert ELSE.prompt not in browser.get(f"{signal.get_absolute_url()}versions/").text


def test_what_a_candidate_did_not_sample_explains_nothing(
    signal: Signal, candidate: SignalVersion, project: Project, now: datetime
) -> None:
    make_trace(project, 1, now=now)
    settle_all(now)
    duel(candidate, now, sample_rate=0)
    assert Unsampled.objects.filter(version=candidate).count() == 1
    assert {row.version for row in by_day(signal, whole_days(named("7d", now)), now).rows} == {1}


def test_an_edit_ends_backfills_and_leaves_duels(
    signal: Signal, candidate: SignalVersion, project: Project, now: datetime
) -> None:
    make_trace(project, 1, now=now)
    compared = duel(candidate, now)
    backfilled = backfill.start(signal, start=now - HOUR, end=now, sample_rate=100, now=now + LATER)
    operations.publish_version(signal, Definition(type="binary", prompt="Something new?", sample_rate=100))
    queue_all(now)
    backfilled.refresh_from_db()
    compared.refresh_from_db()
    assert (backfilled.state, compared.state) == ("cancelled", "judging")
    assert list(candidate.label_set.values_list("status", flat=True)) == ["queued"]


def test_disabling_a_signal_leaves_its_duels(
    signal: Signal, candidate: SignalVersion, project: Project, now: datetime
) -> None:
    make_labels(signal, project, 2, now=now)
    duel(candidate, now)
    operations.disable(signal, now)
    assert set(Label.objects.values_list("version", "status")) == {(candidate.pk, "queued")}
    assert LabelHour.objects.filter(version=candidate).coverage().waiting == 2


def test_archiving_a_signal_ends_its_duels(
    signal: Signal, candidate: SignalVersion, project: Project, now: datetime
) -> None:
    make_labels(signal, project, 2, now=now)
    compared = duel(candidate, now)
    operations.archive(signal, now)
    queue_all(now)
    compared.refresh_from_db()
    assert (compared.state, Label.objects.count()) == ("cancelled", 0)


def test_two_versions_may_be_judged_at_once_but_not_one_twice(
    signal: Signal, candidate: SignalVersion, project: Project, now: datetime
) -> None:
    make_labels(signal, project, 1, now=now)
    duel(candidate, now)
    assert signal.current_version
    duel(signal.current_version, now)
    with pytest.raises(ValidationError, match="being compared"):
        duel(candidate, now)
