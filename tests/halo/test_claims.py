"""Claims on runs: one worker at a time, and no write without a claim."""

from datetime import datetime, timedelta

import pytest

from catalyst.core.models import Project
from halo.choices import RunStatus
from halo.models import Run
from halo.runs import claims, requests
from halo.runs.claims import LEASE, Claim, Lost
from halo.runs.requests import Definition
from tests.factories import make_agent

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(project: Project, now: datetime) -> Run:
    return ask(project, now)


def ask(project: Project, now: datetime) -> Run:
    window = Definition(window_start=now - timedelta(days=1), window_end=now)
    return requests.create(make_agent(project), window, now)


def claimed(now: datetime) -> Claim:
    claim = claims.claim(now)
    assert claim is not None
    return claim


def stored(run: Run) -> Run:
    return Run.objects.get(pk=run.pk)


def test_one_worker_gets_a_run(run: Run, now: datetime) -> None:
    claim = claimed(now)
    assert (claim.run, claim.run.status, claim.run.attempts) == (run, RunStatus.EXPORTING, 1)
    assert claims.claim(now) is None


def test_the_oldest_run_comes_first(run: Run, project: Project, now: datetime) -> None:
    later = ask(project, now)
    assert [claimed(now).run, claimed(now).run] == [run, later]


def test_a_silent_worker_loses_its_run_to_the_next(run: Run, now: datetime) -> None:
    dead = claimed(now)
    assert claims.claim(now + LEASE) is None
    late = now + LEASE + timedelta(seconds=1)
    assert claimed(late).run.attempts == 2
    with pytest.raises(Lost):
        dead.update(late, turn=3)
    with pytest.raises(Lost):
        dead.tell(late, ("text", "Still here", "", 0))
    assert (stored(run).turn, run.events.count()) == (0, 0)


def test_a_write_renews_the_lease(run: Run, now: datetime) -> None:
    claim = claimed(now)
    claim.update(now + LEASE, turn=1)
    assert claims.claim(now + LEASE + timedelta(seconds=1)) is None


def test_a_run_that_kills_its_workers_is_given_up(run: Run, now: datetime) -> None:
    claimed(now).update(now, engine_text="So far so good")
    claimed(now + 2 * LEASE)
    assert claims.claim(now + 4 * LEASE) is None
    ended = stored(run)
    assert (ended.status, ended.text, ended.is_partial) == (RunStatus.FAILED, "So far so good", True)
    assert "died 2 times" in ended.error


def test_a_cancelled_run_takes_no_more_than_its_text(run: Run, now: datetime) -> None:
    claim = claimed(now)
    requests.cancel(run, now)
    with pytest.raises(Lost):
        claim.end(RunStatus.COMPLETED, now, text="All of it")
    claim.keep("Half of it")
    claim.keep("Something else")
    kept = stored(run)
    assert (kept.status, kept.text, kept.is_partial) == (RunStatus.CANCELLED, "Half of it", True)


def test_events_are_numbered(run: Run, now: datetime) -> None:
    claim = claimed(now)
    claim.tell(now, ("started", "Reads 3 of 3 traces", "", 0))
    claim.tell(now, ("text", "x" * 600, "Analyst", 0), ("tool_call", "Lists traces", "Helper", 1))
    rows = run.events.order_by("sequence").values_list("sequence", "kind", "agent", "depth")
    assert list(rows) == [(1, "started", "", 0), (2, "text", "Analyst", 0), (3, "tool_call", "Helper", 1)]
    assert len(run.events.get(sequence=2).text) == 500


def test_events_are_limited(run: Run, now: datetime) -> None:
    claim = claimed(now)
    for _ in range(21):
        claim.tell(now, *(("text", "So", "", 0) for _ in range(100)))
    assert run.events.count() == claims.MAX_EVENTS
