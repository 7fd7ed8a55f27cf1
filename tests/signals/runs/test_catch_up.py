"""What a cap keeps waiting is judged on demand, with its price first, and nothing beside it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from catalyst.core.actor import Actor
from catalyst.core.models import AuditEntry, Project, User
from catalyst.env import env
from catalyst.llms.amounts import Cap
from catalyst.llms.endpoints import ConnectedModel
from catalyst.llms.models import Budget
from catalyst.timerange import between
from signals import operations
from signals.judging import budget_checks
from signals.judging.claims import claim
from signals.judging.worker import LEASE, run
from signals.models import Label, Signal
from signals.results import coverage
from signals.results.coverage import Reason
from signals.runs import catch_up
from tests.factories import LATER, make_agent, make_labels, make_signal
from tests.judge_server import JudgeServer, says
from tests.page import Page

pytestmark = pytest.mark.slow

MODEL = "gpt-4o-mini"


@pytest.fixture
def judge(judge: JudgeServer, monkeypatch: pytest.MonkeyPatch) -> JudgeServer:
    monkeypatch.setattr(env, "judge_model", MODEL)
    judge.script = lambda _: says("no", prompt_tokens=21_000, completion_tokens=0, prompt_tokens_details={})
    return judge


@pytest.fixture
def signal(project: Project, now: datetime, judge: JudgeServer) -> Signal:
    return make_signal(make_agent(project), active_since=now)


def judge_at(at: datetime) -> int:
    return run(lambda: at)


def done() -> int:
    return Label.objects.filter(status="done").count()


@pytest.mark.parametrize("cap", [Cap(calls=3), Cap(usd=Decimal("0.01"))])
def test_just_the_waiting_ones_are_judged(signal: Signal, project: Project, now: datetime, cap: Cap) -> None:
    make_labels(signal, project, 9, now=now)
    operations.cap_signal(signal, cap, now)
    first, at = judge_at(now + LATER), now + LATER
    found = catch_up.offer(project, signal, at)
    assert found is not None
    assert 0 < found.labels == 9 - first < 9
    assert found.max_cost is not None
    assert 0 < (found.cost or 0) <= found.max_cost
    assert catch_up.catch_up(project, signal, found.labels, at) == found.labels
    assert signal.current_version
    assert not budget_checks.caps_reached([signal.current_version], at)
    make_traffic_later(signal, project, at)
    judge_at(at + 2 * LATER)
    assert done() == 9
    assert Label.objects.filter(status="queued").count() == 3
    assert catch_up.offer(project, signal, at) is not None


def make_traffic_later(signal: Signal, project: Project, at: datetime) -> None:
    """Three labels more that wait."""
    earlier = Label.objects.filter(signal=signal).order_by("pk")[:3]
    for number, label in enumerate(earlier):
        label.pk, label.target_key, label.status, label.not_before = None, f"f{number:031x}", "queued", at
        label.value, label.judged_revision, label.labelled_at, label.attempts = "", 0, None, 0
        label.save(force_insert=True)


def test_the_next_day_the_cap_is_what_it_was(signal: Signal, project: Project, now: datetime) -> None:
    make_labels(signal, project, 9, now=now)
    operations.cap_signal(signal, Cap(calls=2), now)
    judge_at(now + LATER)
    catch_up.catch_up(project, signal, 4, now + LATER)
    judge_at(now + LATER)
    assert done() == 6
    assert judge_at((now + timedelta(days=1)).replace(hour=0, minute=0)) == 2
    assert done() == 8


def test_a_new_cap_ends_it(signal: Signal, project: Project, now: datetime) -> None:
    make_labels(signal, project, 9, now=now)
    operations.cap_signal(signal, Cap(calls=2), now)
    at = now + LATER
    judge_at(at)
    catch_up.catch_up(project, signal, 4, at)
    operations.cap_signal(signal, Cap(calls=3), at)
    assert judge_at(at) == 1


def test_what_waits_is_what_coverage_says_waits_for_the_cap(signal: Signal, project: Project, now: datetime) -> None:
    make_labels(signal, project, 9, now=now)
    operations.cap_signal(signal, Cap(calls=2), now)
    at = now + LATER
    judge_at(at)
    days = coverage.whole_days(between(now, at))
    (row,) = coverage.by_day(signal, days, at).rows
    limit = "the signal's call limit of 2 judge calls a day"
    words = f"Paused until 00:00 UTC: $0.0063 and 2 judge calls today; {limit} is reached"
    assert row.reasons == [Reason("waiting", words, 7)]
    assert row.covered.waiting == offered(project, signal, at) == 7
    catch_up.catch_up(project, signal, 7, at)
    judge_at(at)
    (row,) = coverage.by_day(signal, days, at).rows
    assert (row.covered.done, row.covered.waiting, row.reasons) == (9, 0, [])


def offered(project: Project, signal: Signal | None, at: datetime) -> int:
    found = catch_up.offer(project, signal, at)
    return found.labels if found else 0


def test_it_holds_up_nothing_that_the_cap_still_bears(signal: Signal, project: Project, now: datetime) -> None:
    dear = make_signal(make_agent(project), name="Dear", judge_model="gpt-4o", active_since=now)
    make_labels(dear, project, 6, now=now)
    operations.cap_project(project, Cap(usd=budget_checks.max_call_cost(ConnectedModel("gpt-4o"), now)), now)
    at = now + LATER
    judge_at(at)
    waiting = offered(project, None, at)
    assert 0 < waiting == Label.objects.filter(signal=dear, status="queued").count()
    assert Label.objects.filter(signal=signal, status="done").count() == 6
    catch_up.catch_up(project, None, 1, at)
    judge_at(at)
    assert offered(project, None, at) == waiting - 1
    current = [each.current_version for each in (signal, dear) if each.current_version]
    assert set(budget_checks.caps_reached(current, at)) == {dear.current_version_id}


def test_no_claim_goes_beyond_it(signal: Signal, project: Project, now: datetime) -> None:
    make_labels(signal, project, 9, now=now)
    operations.cap_signal(signal, Cap(calls=2), now)
    at = now + LATER
    judge_at(at)
    catch_up.catch_up(project, signal, 3, at)
    assert [len(claim(2, LEASE, at)) for _ in range(3)] == [2, 1, 0]


def test_the_owner_catches_up_with_the_project_but_not_with_caps_of_signals(
    signal: Signal, project: Project, now: datetime, alice: User
) -> None:
    other = make_signal(make_agent(project), name="Other", active_since=now)
    make_labels(signal, project, 6, now=now)
    operations.cap_signal(other, Cap(calls=1), now)
    operations.cap_project(project, Cap(calls=4), now)
    at = now + LATER
    judge_at(at)
    own_room = 1 - Label.objects.filter(signal=other, status="done").count()
    assert offered(project, None, at) == Label.objects.filter(signal=signal, status="queued").count() + own_room == 3
    catch_up.catch_up(project, None, 100, at, Actor(alice))
    judge_at(at)
    assert Label.objects.filter(signal=signal, status="done").count() == 6
    assert Label.objects.filter(signal=other, status="done").count() == 1
    assert AuditEntry.objects.filter(action="caught up with", actor=alice).exists()


def test_nothing_waits_without_a_cap(signal: Signal, project: Project, now: datetime) -> None:
    make_labels(signal, project, 1, now=now)
    assert catch_up.offer(project, signal, now) is None
    with pytest.raises(ValidationError, match="No labels are held back"):
        catch_up.catch_up(project, signal, 1, now)


def test_the_page_names_the_price_before_the_button(
    signal: Signal, project: Project, client_as: Callable[[User], Client], alice: User
) -> None:
    now = timezone.now()
    make_labels(signal, project, 5, now=now - LATER)
    operations.cap_signal(signal, Cap(calls=2), now)
    Budget.objects.filter(subject_id=signal.pk).update(calls=2, day=now.date())
    browser = client_as(alice)
    url = reverse("signals:signal-catch-up", args=[project.slug, signal.pk])
    page = Page(browser.get(signal.get_absolute_url()).text)
    assert page.part("catch-up").attribute("hx-get") == f"{url}?"
    assert "5 pending. Nothing is lost." in page.text
    offer = Page(browser.get(url, headers={"HX-Request": "true", "HX-Target": "catch-up"}).text)
    assert offer.buttons == ["Judge 5 now"]
    assert "Costs about $" in offer.text
    after = Page(browser.post(url, offer.form(url).filled, follow=True).text)
    assert "5 labels will be judged now. The limit stays." in after.text
    judge_at(timezone.now())
    assert done() == 5
