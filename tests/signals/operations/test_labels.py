"""Operations on labels: exports, and what judges were sent and answered."""

from datetime import datetime

import pytest

from catalyst.core.models import Project
from catalyst.operations import InvalidInput, NotFound
from signals import operations
from signals.models import Signal
from tests.factories import make_agent, make_label, make_signal, make_verdict
from tests.signals.operations.calling import call

pytestmark = pytest.mark.django_db


@pytest.fixture
def signal(project: Project) -> Signal:
    return make_signal(make_agent(project))


def test_it_exports_labels_page_by_page(project: Project, now: datetime, signal: Signal) -> None:
    labels = [make_label(signal, number, now=now, value="yes") for number in range(1, 4)]
    first = call(project, now, "signals.export", signal=signal.pk, limit=2)
    second = call(project, now, "signals.export", signal=signal.pk, limit=2, after=first.next)
    targets = [row.target for row in first.items + second.items]
    assert targets == [label.target_key for label in reversed(labels)]
    assert (first.items[0].label, first.items[0].reason, second.next) == ("yes", "Because yes.", None)


def test_it_narrows_an_export(project: Project, now: datetime, signal: Signal) -> None:
    make_label(signal, 1, now=now, value="yes")
    make_label(signal, 2, now=now, value="no")
    found = call(project, now, "signals.export", signal=signal.pk, label="false")
    assert [row.label for row in found.items] == ["no"]


def test_it_shows_what_a_judge_was_sent_and_answered(project: Project, now: datetime, signal: Signal) -> None:
    label = make_label(signal, 1, now=now, value="yes")
    earlier = make_verdict(label, now, answer="First.")
    make_verdict(label, now, answer="Second.")
    newest = call(project, now, "signals.exchange", signal=signal.pk, label=label.pk)
    assert [(said.role, said.content) for said in newest.messages] == [("system", "Judge."), ("user", "A recording.")]
    assert (newest.answer, newest.judge) == ("Second.", "judge-1")
    named = call(project, now, "signals.exchange", signal=signal.pk, label=label.pk, verdict=earlier.pk)
    assert named.answer == "First."


def test_it_shows_no_exchange_of_another_label(project: Project, now: datetime, signal: Signal) -> None:
    label, other = (make_label(signal, number, now=now, value="yes") for number in (1, 2))
    theirs = make_verdict(other, now)
    with pytest.raises(NotFound, match=f"Label {label.pk} has no exchange"):
        call(project, now, "signals.exchange", signal=signal.pk, label=label.pk)
    with pytest.raises(NotFound, match=f"Verdict {theirs.pk} has no exchange"):
        call(project, now, "signals.exchange", signal=signal.pk, label=label.pk, verdict=theirs.pk)


def test_it_retries_nothing_of_an_archived_signal(project: Project, now: datetime, signal: Signal) -> None:
    label = make_label(signal, 1, now=now, status="failed")
    operations.archive(signal, now)
    for name, about in (("signals.retry", {}), ("signals.retry_label", {"label": label.pk})):
        with pytest.raises(InvalidInput, match=r"archived signal judges nothing\. Unarchive it first\."):
            call(project, now, name, signal=signal.pk, **about)
