"""Budgets of signals and of projects."""

from datetime import datetime
from decimal import Decimal

import pytest
from django.db import connection

from catalyst.core.models import Project
from catalyst.llms.amounts import Calls
from catalyst.llms.models import Budget
from signals.models import Signal
from tests.factories import make_agent, make_signal


@pytest.fixture
def signal(project: Project) -> Signal:
    return make_signal(make_agent(project))


def test_a_budget_goes_with_its_signal(project: Project, signal: Signal, now: datetime) -> None:
    Budget.objects.charge({(project.pk, signal.pk): Calls(1, Decimal(1))}, now.date())
    signal.delete()
    connection.check_constraints()
    assert [budget.subject_id for budget in Budget.objects.all()] == [None]


def test_budgets_go_with_their_project(project: Project, signal: Signal, now: datetime) -> None:
    Budget.objects.charge({(project.pk, signal.pk): Calls(1, Decimal(1))}, now.date())
    project.delete()
    connection.check_constraints()
    assert not Budget.objects.exists()
