"""Operations on tests of signals: their targets, and what a judge is sent."""

from datetime import datetime

import pytest

from catalyst.core.models import Project
from catalyst.operations import InvalidInput, NotFound
from signals.models import Label, Signal, SignalTest
from tests.factories import make_agent, make_signal, make_trace
from tests.signals.operations.calling import call

pytestmark = pytest.mark.django_db
DRAFT = {"agent": "support-bot", "scope": "trace", "prompt": "Is it rude?"}


@pytest.fixture
def signal(project: Project, now: datetime) -> Signal:
    for number in range(1, 4):
        make_trace(project, number, now=now, said=(f"Question {number}?", "Answer."))
    return make_signal(make_agent(project))


def targets_of(test: str) -> list[str]:
    items = SignalTest.objects.get(pk=int(test)).items
    return list(items.order_by("position").values_list("target_key", flat=True))


def test_it_tests_on_the_targets_that_are_named(project: Project, now: datetime, signal: Signal) -> None:
    wanted = [f"{3:032x}", f"{1:032x}"]
    found = call(project, now, "signals.test", signal=signal.pk, targets=wanted)
    assert targets_of(found.id) == wanted


def test_it_tests_on_the_targets_of_an_earlier_test(project: Project, now: datetime, signal: Signal) -> None:
    first = call(project, now, "signals.test", signal=signal.pk, targets=[f"{2:032x}"])
    second = call(project, now, "signals.test", signal=signal.pk, prompt="Else?", again=int(first.id))
    assert targets_of(second.id) == targets_of(first.id)
    assert SignalTest.objects.get(pk=int(second.id)).repeats


def test_it_tests_a_signal_that_is_not_created(project: Project, now: datetime, signal: Signal) -> None:
    found = call(project, now, "signals.test_draft", **DRAFT, sample_size=2)
    assert (found.state, found.target_count) == ("running", 2)
    assert SignalTest.objects.get().signal is None
    assert (Signal.objects.count(), Label.objects.count()) == (1, 0)


def test_it_waits_only_for_a_test_that_runs(project: Project, now: datetime, signal: Signal) -> None:
    test = call(project, now, "signals.test", signal=signal.pk)
    ended = call(project, now, "signals.cancel_test", test=int(test.id), wait=300)
    assert ended.state == "cancelled"


def test_it_shows_the_prompt_of_a_target(project: Project, now: datetime, signal: Signal) -> None:
    found = call(project, now, "signals.prompt", signal=signal.pk, prompt="Is it rude?", target=f"{2:032x}")
    assert found.target_id == f"{2:032x}"
    assert found.messages or found.text
    newest = call(project, now, "signals.prompt_draft", **DRAFT)
    assert newest.target_id in {f"{number:032x}" for number in range(1, 4)}
    assert Label.objects.count() == 0


def test_it_says_which_target_is_not_there(project: Project, now: datetime, signal: Signal) -> None:
    with pytest.raises(NotFound, match=f"no trace {9:032x}"):
        call(project, now, "signals.prompt", signal=signal.pk, target=f"{9:032x}")


def test_it_says_what_a_draft_lacks(project: Project, now: datetime, signal: Signal) -> None:
    with pytest.raises(InvalidInput) as caught:
        call(project, now, "signals.test_draft", agent="support-bot")
    assert list(caught.value.errors) == ["scope", "prompt"]
