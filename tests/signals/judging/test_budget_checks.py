"""Daily caps: what judging costs stays within them whoever claims at once, and what waits says so."""

import random
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import Sum
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from catalyst.core.models import Project, User
from catalyst.env import env
from catalyst.llms.amounts import Account, Cap
from catalyst.llms.budgets import spent_today
from catalyst.llms.endpoints import ConnectedModel
from catalyst.llms.models import Budget
from signals import operations
from signals.judging import budget_checks
from signals.judging.budget_checks import CapReached
from signals.judging.calls import CallResult, CallUsage
from signals.judging.claims import claim
from signals.judging.worker import LEASE, finish, run
from signals.models import Label, Signal, Verdict
from signals.runs import catch_up
from tests.factories import LATER, make_agent, make_labels, make_signal
from tests.judge_server import Answer, JudgeServer, error, says
from tests.page import Page

pytestmark = pytest.mark.slow

MODEL = "gpt-4o-mini"
FIELDS = (("daily_usd", "Daily budget (USD)"), ("daily_calls", "Daily call limit"))
DAY = timedelta(days=1)


@pytest.fixture
def judge(judge: JudgeServer, monkeypatch: pytest.MonkeyPatch) -> JudgeServer:
    """The connected judge is a model with a price; what it answers costs three fifths of the estimate."""
    monkeypatch.setattr(env, "judge_model", MODEL)
    judge.script = lambda _: priced("no")
    return judge


@pytest.fixture
def signal(project: Project, now: datetime, judge: JudgeServer) -> Signal:
    return make_signal(make_agent(project), active_since=now)


def priced(label: str, tokens: int = 21_000) -> Answer:
    answer = says(label, prompt_tokens=tokens, completion_tokens=0, prompt_tokens_details={})
    assert isinstance(answer.body, dict)
    return Answer(answer.body | {"model": MODEL})


def calls(count: float, now: datetime) -> Decimal:
    """What so many calls are expected to cost at most."""
    estimate = budget_checks.max_call_cost(ConnectedModel(MODEL), now)
    assert estimate
    return estimate * Decimal(count)


def cost() -> Decimal:
    return Verdict.objects.aggregate(total=Sum("cost"))["total"] or Decimal(0)


def capped(signals: list[Signal], at: datetime) -> dict[int, CapReached]:
    """The caps that keep these signals from being judged, by signal."""
    reached = budget_checks.caps_reached([each.current_version for each in signals if each.current_version], at)
    return {each.pk: reached[each.current_version_id] for each in signals if each.current_version_id in reached}


def judge_at(at: datetime) -> int:
    return run(lambda: at)


def statuses() -> dict[str, int]:
    return {status: Label.objects.filter(status=status).count() for status in ("queued", "running", "done")}


def test_it_stops_at_the_cap_and_goes_on_the_next_day(signal: Signal, project: Project, now: datetime) -> None:
    cap = round(calls(10, now), 4)
    make_labels(signal, project, 40, now=now)
    operations.cap_signal(signal, Cap(cap), now)
    judge_at(now + LATER)
    assert cap - calls(1, now) < cost() <= cap
    assert Budget.objects.get(subject_id=signal.pk).spent == cost() == Budget.objects.get(subject_id=None).spent
    waiting = Label.objects.filter(status="queued")
    assert set(waiting.values_list("attempts", "error")) == {(0, "")}
    assert statuses()["done"] + waiting.count() == 40
    assert signal.pk in capped([signal], now + LATER)
    assert judge_at(now + LATER + timedelta(hours=3)) == 0

    midnight = (now + DAY).replace(hour=0, minute=0)
    assert not capped([signal], midnight)
    done = statuses()["done"]
    assert judge_at(midnight) == done
    assert Budget.objects.get(subject_id=signal.pk).spent == cost() / 2


def test_it_goes_on_when_the_cap_is_raised_or_removed(signal: Signal, project: Project, now: datetime) -> None:
    make_labels(signal, project, 12, now=now)
    operations.cap_signal(signal, Cap(calls(2, now)), now)
    first = judge_at(now + LATER)
    operations.cap_signal(signal, Cap(calls(4, now)), now)
    second = judge_at(now + LATER)
    assert 0 < first < first + second < 12
    assert cost() <= calls(4, now)
    operations.cap_signal(signal, Cap(), now)
    judge_at(now + LATER)
    assert statuses()["done"] == 12


def test_a_cap_counts_what_was_spent_before_it_was_set(signal: Signal, project: Project, now: datetime) -> None:
    make_labels(signal, project, 5, now=now)
    judge_at(now + LATER)
    assert statuses()["done"] == 5
    operations.cap_signal(signal, Cap(calls(3, now)), now + LATER)
    assert signal.pk in capped([signal], now + LATER)


def test_the_cap_of_a_project_holds_for_all_its_signals_and_no_other(
    signal: Signal, project: Project, other_project: Project, now: datetime
) -> None:
    other = make_signal(make_agent(project), name="Other", active_since=now)
    elsewhere = make_signal(make_agent(other_project), active_since=now)
    make_labels(signal, project, 15, now=now)
    make_labels(elsewhere, other_project, 15, now=now)
    operations.cap_project(project, Cap(calls(6, now)), now)
    judge_at(now + LATER)
    ours = Verdict.objects.filter(label__project=project).aggregate(total=Sum("cost"))["total"]
    assert calls(5, now) < ours <= calls(6, now)
    assert set(capped([signal, other, elsewhere], now + LATER)) == {signal.pk, other.pk}
    assert not Label.objects.filter(signal=elsewhere).exclude(status="done").exists()


def test_what_is_capped_holds_up_nothing_else(signal: Signal, project: Project, now: datetime) -> None:
    make_labels(signal, project, 30, now=now - timedelta(hours=1))
    operations.cap_signal(signal, Cap(calls(1, now)), now)
    Budget.objects.filter(subject_id=signal.pk).update(spent=calls(1, now), day=(now + LATER).date())
    other = make_signal(make_agent(project, "helper"), active_since=now)
    make_labels(other, project, 31, now=now)
    assert len(claim(1, LEASE, now + LATER)) == 1
    assert Label.objects.get(status="running").signal == other


def test_a_dead_workers_reservation_ends_with_its_lease(signal: Signal, project: Project, now: datetime) -> None:
    make_labels(signal, project, 6, now=now)
    operations.cap_signal(signal, Cap(calls(3, now)), now)
    at = now + LATER
    assert len(claim(6, LEASE, at)) == 3
    assert claim(6, LEASE, at) == []
    assert len(claim(6, LEASE, at + LEASE + timedelta(seconds=1))) == 3
    assert not capped([signal], at)


def test_a_call_without_a_known_cost_counts_as_what_was_reserved(
    signal: Signal, project: Project, now: datetime, judge: JudgeServer
) -> None:
    judge.script = lambda _: says("no", prompt_tokens=None, completion_tokens=None)
    make_labels(signal, project, 1, now=now)
    judge_at(now + LATER)
    assert Verdict.objects.get().cost is None
    assert Budget.objects.get(subject_id=signal.pk).spent == calls(1, now)


@pytest.mark.parametrize("status", [401, 429, 503])
def test_a_refused_call_costs_nothing(
    signal: Signal, project: Project, now: datetime, judge: JudgeServer, status: int
) -> None:
    judge.script = lambda _: error(status)
    make_labels(signal, project, 3, now=now)
    operations.cap_signal(signal, Cap(calls(3, now)), now)
    judge_at(now + LATER)
    assert spent_today(Account(project.pk, signal.pk), now).spent.dollars == 0
    assert not Label.objects.filter(reserved__gt=0).exists()


def test_a_late_answer_is_paid_all_the_same(signal: Signal, project: Project, now: datetime) -> None:
    make_labels(signal, project, 1, now=now)
    (held,) = claim(1, LEASE, now + LATER)
    later = now + LATER + 2 * LEASE
    claim(1, LEASE, later)
    spent = CallUsage(MODEL, MODEL, "0" * 64, 10, 21_000, 0, 0)
    finish([CallResult(held, Label.Status.DONE, 1, "yes", "Late.", usage=spent)], later)
    assert Budget.objects.get(subject_id=signal.pk).spent == cost() > 0
    assert Label.objects.get().reserved == calls(1, now)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seed", range(3))
def test_claims_at_once_never_exceed_a_cap(signal: Signal, project: Project, now: datetime, seed: int) -> None:
    """Some calls cost what was reserved, some less, and some workers die."""
    other = make_signal(make_agent(project), name="Other", judge_model="gpt-4o", active_since=now)
    make_labels(signal, project, 60, now=now)
    operations.cap_signal(signal, Cap(calls(13, now)), now)
    gpt_4o = budget_checks.max_call_cost(ConnectedModel("gpt-4o"), now) or Decimal(0)
    operations.cap_project(project, Cap(calls(20, now) + gpt_4o * 3), now)
    worst, at = list[Decimal](), now + LATER

    def work(chance: random.Random) -> None:
        for _ in range(25):
            held = claim(chance.randint(1, 4), LEASE, at)
            worst.append(beyond())
            finish([paid(label, chance) for label in held if chance.random() < 0.9], at)
            worst.append(beyond())

    at_once(work, seed)
    assert len(worst) == 200
    assert max(worst) <= 0
    for each in (signal, other):
        verdicts = Verdict.objects.filter(label__signal=each)
        assert verdicts.aggregate(total=Sum("cost"))["total"] == Budget.objects.get(subject_id=each.pk).spent > 0


def at_once(work: Callable[[random.Random], None], seed: int = 0) -> None:
    """Have four workers do it at the same time, each with chances of its own."""
    start = threading.Barrier(4)

    def do(chance: random.Random) -> None:
        try:
            start.wait(10)
            work(chance)
        finally:
            connection.close()

    threads = [threading.Thread(target=do, args=[random.Random(seed * 10 + n)]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


def paid(label: Label, chance: random.Random) -> CallResult:
    model = label.version.judge_model or MODEL
    most = env.judge_budget_tokens + budget_checks.MAX_QUESTION_TOKENS
    spent = CallUsage(model, model, "0" * 64, 10, chance.choice([most, most // 2]), budget_checks.MAX_ANSWER_TOKENS, 0)
    return CallResult(label, Label.Status.DONE, 1, "yes", "So.", usage=spent)


def beyond() -> Decimal:
    """By how much what is spent and reserved is beyond the caps, at one moment."""
    with connection.cursor() as cursor:
        cursor.execute("""
            SELECT max(b.spent - b.daily_usd + (
                SELECT coalesce(sum(l.reserved), 0) FROM signals_label l WHERE l.status = 'running'
                AND l.project_id = b.project_id AND (b.signal_id IS NULL OR l.signal_id = b.signal_id)
            )) FROM signals_budget b WHERE b.daily_usd IS NOT NULL
        """)
        return Decimal(cursor.fetchone()[0])


def test_a_cap_needs_a_price_and_covers_one_call(
    signal: Signal, project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValidationError, match="may cost up to"):
        operations.cap_signal(signal, Cap(Decimal("0.0001")), now)
    monkeypatch.setattr(env, "judge_model", "my-own")
    with pytest.raises(ValidationError, match="my-own has none"):
        operations.cap_signal(signal, Cap(Decimal(5)), now)
    with pytest.raises(ValidationError, match="my-own has none"):
        operations.cap_project(project, Cap(Decimal(5)), now)
    assert not Budget.objects.exists()


def test_a_model_that_lost_its_price_is_not_asked_under_a_cap(
    signal: Signal, project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch, judge: JudgeServer
) -> None:
    make_labels(signal, project, 2, now=now)
    operations.cap_signal(signal, Cap(Decimal(5)), now)
    monkeypatch.setattr(env, "judge_model", "my-own")
    assert judge_at(now + LATER) == 0
    assert judge.asked == []
    stop = capped([signal], now)[signal.pk]
    assert stop.is_lasting
    assert stop.text == "the signal's budget of $5.00 a day can't be enforced because my-own has no known price"


def test_a_version_whose_calls_are_beyond_the_cap_is_never_judged_and_says_so(
    signal: Signal, project: Project, now: datetime, judge: JudgeServer
) -> None:
    question = (signal.current_version or pytest.fail("no version")).definition
    operations.cap_signal(signal, Cap(round(calls(2, now), 4)), now)
    operations.publish_version(signal, replace(question, judge_model="gpt-4o"))
    make_labels(signal, project, 1, now=now)
    assert judge_at(now + LATER) == 0
    assert judge.asked == []
    stop = capped([signal], now)[signal.pk]
    assert (stop.is_lasting, stop.title) == (True, "Not judged")
    assert "one call to gpt-4o may cost $0." in stop.text


def test_a_cap_in_calls_holds_without_a_price(
    signal: Signal, project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch, judge: JudgeServer
) -> None:
    monkeypatch.setattr(env, "judge_model", "my-own")
    judge.script = lambda _: says("no")
    make_labels(signal, project, 8, now=now)
    operations.cap_signal(signal, Cap(calls=5), now)
    judge_at(now + LATER)
    assert statuses() == {"queued": 3, "running": 0, "done": 5}
    assert len(judge.asked) == 5
    stop = capped([signal], now + LATER)[signal.pk]
    assert (stop.is_lasting, stop.title) == (False, "Paused until 00:00 UTC")
    assert stop.text == "$0 and 5 judge calls today; the signal's call limit of 5 judge calls a day is reached"
    judge_at((now + DAY).replace(hour=0, minute=0))
    assert statuses()["done"] == 8
    assert Budget.objects.get(subject_id=signal.pk).calls == 3


def test_calls_that_give_no_label_count_and_refused_ones_do_not(
    signal: Signal, project: Project, now: datetime, judge: JudgeServer
) -> None:
    make_labels(signal, project, 1, now=now)
    judge.script = lambda _: error(503)
    judge_at(now + LATER)
    assert spent_today(Account(project.pk, signal.pk), now).spent.made == 0
    judge.script = lambda _: priced("perhaps")
    judge_at(now + LATER * 2)
    signals, projects = (spent_today(Account(project.pk, of), now).spent.made for of in (signal.pk, None))
    assert signals == projects > 0
    assert not Label.objects.filter(status="done").exists()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_claims_at_once_never_exceed_a_cap_in_calls(signal: Signal, project: Project, now: datetime) -> None:
    make_labels(signal, project, 40, now=now)
    operations.cap_signal(signal, Cap(calls=17), now)
    at = now + LATER

    def work(chance: random.Random) -> None:
        for _ in range(20):
            held = claim(chance.randint(1, 4), LEASE, at)
            finish([paid(label, chance) for label in held], at)

    at_once(work)
    assert Verdict.objects.count() == Budget.objects.get(subject_id=signal.pk).calls == 17
    assert catch_up.catch_up(project, signal, 9, at) == 9
    at_once(work)
    assert Verdict.objects.count() == Budget.objects.get(subject_id=signal.pk).calls == 26


class TestPages:
    """What people see of caps, and how they set them."""

    @pytest.fixture
    def browser(self, client_as: Callable[[User], Client], alice: User) -> Client:
        return client_as(alice)

    def test_a_signal_says_that_it_is_capped_and_how_many_wait(
        self, signal: Signal, project: Project, browser: Client
    ) -> None:
        now = timezone.now()
        make_labels(signal, project, 3, now=now - LATER)
        operations.cap_signal(signal, Cap(calls(1, now)), now)
        Budget.objects.filter(subject_id=signal.pk).update(spent=calls(1, now))
        page, listed = (Page(browser.get(url).text) for url in (signal.get_absolute_url(), list_of(project)))
        assert "Paused until 00:00 UTC:" in page.text
        assert "3 pending. Nothing is lost." in page.text
        assert "Paused until 00:00" in listed.table().row(1)["State"]
        numbers = browser.get(signal.get_absolute_url(), headers={"HX-Request": "true", "HX-Target": "signal-numbers"})
        assert "Paused until 00:00 UTC:" in Page(numbers.text).text

    def test_a_signal_that_judges_nothing_is_not_paused(self, signal: Signal, browser: Client) -> None:
        now = timezone.now()
        operations.cap_signal(signal, Cap(calls(1, now)), now)
        Budget.objects.filter(subject_id=signal.pk).update(spent=calls(1, now))
        operations.disable(signal, now)
        for page in (signal.get_absolute_url(), list_of(signal.project)):
            assert "Paused" not in Page(browser.get(page).text).text

    def test_a_cap_is_set_and_removed(self, signal: Signal, browser: Client) -> None:
        url = reverse("signals:signal-cap", args=[signal.project.slug, signal.pk])
        page = Page(browser.post(url, {"daily_usd": "2.50"}, follow=True).text)
        assert "Daily limit: $2.50 a day" in page.text
        assert page.field("Daily budget (USD)").value == "2.5000"
        assert Budget.objects.get().daily_usd == Decimal("2.5")
        page = Page(browser.post(url, {"daily_usd": "2.50", "daily_calls": "500"}, follow=True).text)
        assert "Daily limit: $2.50 or 500 judge calls a day" in page.text
        spending = page.region("Budget")
        assert "Today (UTC): $0 of $2.50; 0 of 500 calls" in spending.text
        page = Page(browser.post(url, {"daily_usd": "", "daily_calls": ""}, follow=True).text)
        assert "Limit removed" in page.text
        assert Budget.objects.get().cap == Cap()

    @pytest.mark.parametrize("sent", ["0", "-1", "NaN", "1e99", "much", "0.00001"])
    @pytest.mark.parametrize(("name", "label"), FIELDS)
    @pytest.mark.parametrize("of_project", [True, False])
    def test_what_is_no_amount_is_refused_beside_its_field(
        self, signal: Signal, browser: Client, name: str, label: str, sent: str, of_project: bool
    ) -> None:
        others = {other: "7" for other, _ in FIELDS if other != name}
        for headers in ({}, {"HX-Request": "true"}):
            response = browser.post(cap_url(signal, of_project), {name: sent} | others, headers=headers)
            assert response.status_code == 422
            page = Page(response.text)
            assert [error.startswith("Enter a") for error in page.field(label).errors] == [True]
            assert page.field(label).value == sent
            assert [page.field(other).value for key, other in FIELDS if key != name] == ["7"]
        assert not Budget.objects.exists()

    @pytest.mark.usefixtures("signal")
    def test_a_project_without_prices_takes_no_cap(
        self, project: Project, browser: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(env, "judge_model", "my-own")
        page = Page(browser.post(reverse("signals:project-cap", args=[project.slug]), {"daily_usd": "5"}).text)
        (error,) = page.field("Daily budget (USD)").errors
        assert "my-own has none" in error
        assert page.field("Daily budget (USD)").value == "5"

    def test_the_settings_show_and_set_the_limits_of_all_signals(
        self, signal: Signal, project: Project, browser: Client, client_as: Callable[[User], Client], bob: User
    ) -> None:
        now = timezone.now()
        free = make_signal(signal.agent, name="Without a limit")
        operations.cap_signal(signal, Cap(calls=5), now)
        Budget.objects.filter(subject_id=signal.pk).update(calls=3)
        page = Page(browser.get(list_of(project)).text)
        settings = page.link("Budget")
        browser.post(reverse("signals:project-cap", args=[project.slug]), {"daily_calls": "9"})
        page = Page(browser.get(settings).text)
        assert "Today (UTC): $0; 0 of 9 calls" in page.region("Budget of all signals").text
        assert page.field("Daily call limit").value == "9"
        row = page.table().row(1)
        assert (row["Calls today"], row["Limit"]) == ("3 calls of", "5 judge calls a day")
        assert page.link(signal.name) == f"{signal.get_absolute_url()}#definition"
        assert not page.has_link(free.name)
        seen_by_a_member = Page(client_as(bob).get(settings).text)
        assert "Save" not in seen_by_a_member.buttons
        assert "Owners can set a budget and a call limit." in seen_by_a_member.text


def cap_url(signal: Signal, of_project: bool) -> str:
    if of_project:
        return reverse("signals:project-cap", args=[signal.project.slug])
    return reverse("signals:signal-cap", args=[signal.project.slug, signal.pk])


def list_of(project: Project) -> str:
    return reverse("signals:signal-list", args=[project.slug])
