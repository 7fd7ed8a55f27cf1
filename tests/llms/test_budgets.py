"""Budgets of signals and of projects, and the ledger that reserves of them."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection

from catalyst.core.models import Project
from catalyst.llms.amounts import NO_CALLS, Account, Calls, Cap, SpentToday
from catalyst.llms.budgets import Ledger, reconcile, spent_today
from catalyst.llms.models import Budget
from signals.models import Signal
from tests.factories import make_agent, make_signal

DAY = timedelta(days=1)
PROJECT, SIGNAL, OTHER = Account(1), Account(1, 10), Account(1, 11)


def budget(account: Account, now: datetime, **columns: object) -> Budget:
    """A budget that is not stored."""
    return Budget(project_id=account.project_id, subject_id=account.subject_id, day=now.date(), **columns)


@pytest.fixture
def signal(project: Project) -> Signal:
    return make_signal(make_agent(project))


class TestLedger:
    """What a ledger reserves."""

    def test_it_reserves_until_a_budget_is_used_up(self, now: datetime) -> None:
        ledger = Ledger([budget(SIGNAL, now, daily_usd=Decimal(1), spent=Decimal("0.4"), calls=1)], {}, now)
        assert ledger.reserve(SIGNAL, Decimal("0.3")) == Calls(1, Decimal("0.3"))
        assert ledger.reserve(SIGNAL, Decimal("0.3")) == Calls(1, Decimal("0.3"))
        assert ledger.reserve(SIGNAL, Decimal("0.3")) is None
        assert ledger.reserve(OTHER, Decimal("0.3")) is not None

    def test_a_call_must_fit_the_budget_of_its_project_too(self, now: datetime) -> None:
        ledger = Ledger([budget(SIGNAL, now, daily_calls=9), budget(PROJECT, now, daily_calls=2)], {}, now)
        assert ledger.reserve(SIGNAL, None)
        assert ledger.reserve(OTHER, None)
        assert ledger.reserve(SIGNAL, None) is None

    def test_calls_in_flight_are_taken(self, now: datetime) -> None:
        budgets = [budget(PROJECT, now, daily_calls=3), budget(OTHER, now, daily_calls=2)]
        ledger = Ledger(budgets, {SIGNAL: Calls(1), OTHER: Calls(1)}, now)
        assert ledger.reserve(OTHER, None)
        assert not ledger.has_room(OTHER, None)
        assert not ledger.has_room(SIGNAL, None)

    def test_a_limit_in_dollars_has_no_room_for_a_call_without_a_price(self, now: datetime) -> None:
        ledger = Ledger([budget(SIGNAL, now, daily_usd=Decimal(1))], {}, now)
        assert ledger.reserve(SIGNAL, None) is None
        assert ledger.reserve(SIGNAL, Decimal(0)) == Calls(1)

    def test_catching_up_allows_calls_beyond_the_limit(self, now: datetime) -> None:
        ledger = Ledger([budget(SIGNAL, now, daily_calls=1, calls=1, allowed_calls=2)], {}, now)
        assert ledger.reserve(SIGNAL, Decimal(5))
        assert ledger.reserve(SIGNAL, Decimal(5)) is None

    def test_each_day_begins_with_the_whole_limit(self, now: datetime) -> None:
        used_up = budget(SIGNAL, now, daily_calls=1, calls=1)
        assert not Ledger([used_up], {}, now).has_room(SIGNAL, None)
        assert Ledger([used_up], {}, now + DAY).has_room(SIGNAL, None)


def test_ended_calls_count_for_a_signal_and_its_project(project: Project, signal: Signal, now: datetime) -> None:
    whole, own = Account(project.pk), Account(project.pk, signal.pk)
    reconcile({own: Calls(2, Decimal(3)), whole: Calls(1, Decimal(1))}, now)
    assert spent_today(own, now) == SpentToday(Calls(2, Decimal(3)), Cap())
    assert spent_today(whole, now).spent == Calls(3, Decimal(4))
    reconcile({own: Calls(1, Decimal(1)) - Calls(1, Decimal(2))}, now)
    assert spent_today(own, now).spent == Calls(2, Decimal(2))
    assert spent_today(own, now + DAY).spent == NO_CALLS


def test_a_budget_goes_with_its_signal(project: Project, signal: Signal, now: datetime) -> None:
    reconcile({Account(project.pk, signal.pk): Calls(1, Decimal(1))}, now)
    signal.delete()
    connection.check_constraints()
    assert [budget.subject_id for budget in Budget.objects.all()] == [None]


def test_budgets_go_with_their_project(project: Project, signal: Signal, now: datetime) -> None:
    reconcile({Account(project.pk, signal.pk): Calls(1, Decimal(1))}, now)
    project.delete()
    connection.check_constraints()
    assert not Budget.objects.exists()
