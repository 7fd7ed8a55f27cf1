"""`manage.py signals test`, beside a worker."""

import io
import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from threading import Event, Thread

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.utils import timezone

from catalyst.core.models import Project
from catalyst.llms.amounts import Cap
from catalyst.llms.models import Budget
from signals import operations
from signals.definitions.definition import Definition
from signals.judging import worker
from signals.models import Label, Signal
from tests.factories import make_agent, make_signal, make_trace
from tests.judge_server import JudgeServer, says

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def signal(project: Project) -> Signal:
    """A draft about traces, of which there are three."""
    for number in range(1, 4):
        started = timezone.now() - timedelta(hours=number)
        make_trace(project, number, now=started, said=(f"Question {number}?", "Answer."))
    return make_signal(make_agent(project))


@pytest.fixture
def _working(judge: JudgeServer) -> Iterator[None]:
    """A worker that looks for work all the time."""
    stopped = Event()

    def work() -> None:
        while not stopped.wait(0.05):
            worker.run()
        connection.close()

    thread = Thread(target=work)
    thread.start()
    yield
    stopped.set()
    thread.join()


@pytest.mark.usefixtures("_working")
def test_it_tests_what_would_be_asked_and_saves_no_version(signal: Signal, judge: JudgeServer) -> None:
    judge.script = lambda asked: says("yes" if "Question 2?" in asked.recording else "no", "It says so.")
    out = io.StringIO()
    call_command("signals", "test", str(signal.pk), "--sample-size=2", "--prompt=Is it new?", "--json", stdout=out)
    found = json.loads(out.getvalue())
    assert found["outcomeCounts"] == {"true": 1, "false": 1}
    assert {each["target_id"]: each["bool_label"] for each in found["results"]} == {
        f"{1:032x}": False,
        f"{2:032x}": True,
    }
    assert (found["results"][0]["signal_label_id"], found["results"][0]["tokens"]) == (None, 132)
    assert ["Is it new?" in asked.instructions for asked in judge.asked] == [True, True]
    assert signal.versions.count() == 1
    assert not Label.objects.exists()


@pytest.mark.usefixtures("_working")
def test_it_prints_each_target_once(signal: Signal, judge: JudgeServer) -> None:
    judge.script = lambda _: says("no", "It says so.")
    out, errors = io.StringIO(), io.StringIO()
    call_command("signals", "test", str(signal.pk), stdout=out, stderr=errors)
    assert "That is all that is stored" in errors.getvalue()
    assert [out.getvalue().count(f"Question {number}?") for number in (1, 2, 3)] == [1, 1, 1]
    for words in ("It says so.", "3: 0 failed", "396 tokens", "Live, a day"):
        assert words in out.getvalue()


@pytest.mark.usefixtures("_working")
def test_a_test_that_was_cut_short_says_why(signal: Signal, judge: JudgeServer) -> None:
    now = timezone.now()
    operations.publish_version(signal, Definition("binary", "Is it?", 100, judge_model="gpt-4o"))
    operations.cap_signal(signal, Cap(Decimal(1)), now)
    Budget.objects.update(spent=Decimal(1), day=now.date())
    with pytest.raises(CommandError, match="The daily spending cap leaves no room"):
        call_command("signals", "test", str(signal.pk), stdout=io.StringIO(), stderr=io.StringIO())
    assert not judge.asked
