"""The admin shows operators every model that is registered, and nobody else anything."""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client

from catalyst.core.models import ApiKey, Project, User
from tests.traces.sent import sent_span
from traces.ingest import pipeline

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)


@pytest.fixture
def operator(db: None) -> User:
    return User.objects.create_superuser("operator")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_it_lists_every_model(
    operator: User, client_as: Callable[[User], Client], model: type[Model], project: Project, now: datetime
) -> None:
    pipeline.store(project.pk, [sent_span(1, start=now, agent__id="a", session__id="s")], now)
    url = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    client = client_as(operator)
    assert client.get(url).status_code == 200
    assert client.get(url, {"q": "00000000-0000-0000-0000-000000000001"}).status_code == 200
    row = model._default_manager.first()
    if row is not None:
        assert client.get(f"{url}{row.pk}/change/").status_code == 200


@pytest.mark.django_db
def test_it_is_closed_to_members(alice: User, client_as: Callable[[User], Client]) -> None:
    assert client_as(alice).get("/admin/").status_code == 302


def test_it_revokes_keys(operator: User, project: Project, client_as: Callable[[User], Client]) -> None:
    key, _ = ApiKey.issue(project=project, name="sdk", scopes=["ingest"])
    action = {"action": "revoke", "_selected_action": [key.pk]}
    client_as(operator).post("/admin/core/apikey/", action)
    key.refresh_from_db()
    assert key.revoked_at is not None
