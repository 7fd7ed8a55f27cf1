"""What operators see of models and budgets in the admin."""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.db.models import Model
from django.test import Client

from catalyst.core.models import Project, User
from catalyst.llms.models import Budget, JudgeHealth


@pytest.fixture
def operator(db: None, client_as: Callable[[User], Client]) -> Client:
    return client_as(User.objects.create_superuser("operator"))


@pytest.fixture(params=["budget", "judgehealth"])
def row(request: pytest.FixtureRequest, project: Project, now: datetime) -> Model:
    if request.param == "budget":
        return Budget.objects.create(project=project, day=now.date())
    return JudgeHealth.objects.create(url="http://judge", model="gpt", failures=2, error="It is overloaded.")


def test_it_shows_lists_and_rows_and_changes_none(operator: Client, row: Model) -> None:
    listed = f"/admin/llms/{row._meta.model_name}/"
    assert str(row) in operator.get(f"{listed}{row.pk}/change/").content.decode()
    assert operator.get(listed).status_code == 200
    assert operator.get(f"{listed}add/").status_code == 403
    assert operator.post(f"{listed}{row.pk}/change/", {"failures": 0, "calls": 0}).status_code == 403
