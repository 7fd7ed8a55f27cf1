"""Operations on what signals found: coverage, queue, rates, traffic."""

from datetime import datetime, timedelta

import pytest

from catalyst.core.models import Project
from catalyst.operations import InvalidInput
from signals.models import Label, Signal
from tests.factories import make_agent, make_label, make_labels, make_session, make_signal, make_trace
from tests.signals.operations.calling import call

pytestmark = pytest.mark.django_db


@pytest.fixture
def signal(project: Project, now: datetime) -> Signal:
    return make_signal(make_agent(project), active_since=now - timedelta(days=1))


def test_it_shows_what_became_of_the_targets_of_a_day(project: Project, now: datetime, signal: Signal) -> None:
    make_label(signal, 1, now=now, value="yes")
    make_label(signal, 2, now=now, status="failed", error="The judge was silent.")
    found = call(project, now, "signals.coverage", signal=signal.pk)
    (day,) = found.days
    assert (day.day, day.version) == (f"{now:%Y-%m-%d}", 1)
    assert (day.matching_count, day.sampled_count, day.labelled_count, day.failed_count) == (2, 2, 1, 1)
    assert day.reasons == {"failed: The judge was silent.": 1}
    assert (found.total.day, found.total.matching_count) == (None, 2)


def test_it_shows_what_waits_and_why_labels_failed(project: Project, now: datetime, signal: Signal) -> None:
    make_labels(signal, project, 2, now=now)
    Label.objects.filter(pk=Label.objects.latest("pk").pk).update(status="failed", error="No.")
    later = now + timedelta(days=1)
    found = call(project, later, "signals.queue", signal=signal.pk)
    assert (found.waiting_count, found.failed_count, found.judge) == (1, 1, "no model connected")
    assert [(failure.error, failure.count) for failure in found.failures] == [("No.", 1)]
    assert 0 < found.lag_seconds <= timedelta(days=1).total_seconds()


def test_it_compares_the_telling_labels_of_active_signals(project: Project, now: datetime, signal: Signal) -> None:
    make_signal(signal.agent, name="Draft")
    make_label(signal, 1, now=now - timedelta(minutes=1), value="yes")
    make_label(signal, 2, now=now - timedelta(minutes=1), value="no")
    (rate,) = call(project, now, "signals.rates", agent=signal.agent.identity).rates
    assert (rate.signal_id, rate.label, rate.share_percent, rate.label_count) == (str(signal.pk), "yes", 50.0, 2)
    with pytest.raises(InvalidInput, match="has no agent nobody"):
        call(project, now, "signals.rates", agent="nobody")


def test_it_counts_what_a_signal_could_evaluate(project: Project, now: datetime) -> None:
    make_session(project, turns=2, now=now)
    found = call(project, now, "signals.traffic", agent="support-bot")
    assert (found.trace_count, found.session_count) == (2, 1)


def test_it_lists_the_labels_that_lists_can_be_narrowed_to(project: Project, now: datetime, signal: Signal) -> None:
    for number in (1, 2):
        make_trace(project, number, now=now)
    make_label(signal, 1, now=now, value="yes")
    (label,) = call(project, now, "traces.facets").labels
    assert (label.name, label.value, label.scope, label.count) == ("Refund wanted", "yes", "trace", 1)
    narrowed = call(project, now, "traces.list", labels=[label.key])
    assert [trace.trace_id for trace in narrowed.items] == [f"{1:032x}"]
    (given,) = call(project, now, "traces.show", trace=f"{1:032x}").labels
    assert (given.value, given.reason, given.key) == ("yes", "Because yes.", label.key)
