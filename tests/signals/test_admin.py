"""What operators see and do of signals in the admin."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.test import Client

from catalyst.core.models import Project, User
from signals.judging import worker as judging
from signals.models import Label, Signal
from tests.factories import make_agent, make_labels, make_signal
from tests.judge_server import JudgeServer

MODELS = ("signal", "signalversion", "signalrun", "label")


@pytest.fixture
def operator(db: None, client_as: Callable[[User], Client]) -> Client:
    return client_as(User.objects.create_superuser("operator"))


@pytest.fixture
def signal(project: Project, now: datetime, judge: JudgeServer) -> Signal:
    signal = make_signal(make_agent(project), active_since=now)
    make_labels(signal, project, 2, now=now)
    judging.run(lambda: now + timedelta(hours=3))
    return signal


@pytest.mark.parametrize("model", MODELS)
def test_it_shows_lists_and_rows(operator: Client, signal: Signal, model: str) -> None:
    assert operator.get(f"/admin/signals/{model}/", {"q": "a"}).status_code == 200
    row = {"signal": signal, "signalversion": signal.current_version, "label": Label.objects.first()}
    if found := row.get(model):
        assert operator.get(f"/admin/signals/{model}/{found.pk}/change/").status_code == 200


def test_it_stops_a_signal(operator: Client, signal: Signal) -> None:
    operator.post("/admin/signals/signal/", {"action": "disable", "_selected_action": [signal.pk]})
    signal.refresh_from_db()
    assert signal.state == "disabled"


@pytest.mark.parametrize("model", ["signal", "label"])
def test_it_retries_failed_labels(operator: Client, signal: Signal, model: str) -> None:
    Label.objects.update(status="failed", attempts=5)
    selected = signal.pk if model == "signal" else Label.objects.values_list("pk", flat=True)
    action = "retry_failed" if model == "signal" else "retry"
    operator.post(f"/admin/signals/{model}/", {"action": action, "_selected_action": selected})
    assert set(Label.objects.values_list("status", "attempts")) == {("queued", 0)}


def test_it_renames_a_signal_and_changes_nothing_else(operator: Client, signal: Signal) -> None:
    inline = {"versions-TOTAL_FORMS": 0, "versions-INITIAL_FORMS": 0}
    operator.post(f"/admin/signals/signal/{signal.pk}/change/", {"name": "New", "scope": "span", **inline})
    signal.refresh_from_db()
    assert (signal.name, signal.scope, signal.state) == ("New", "trace", "active")


@pytest.mark.parametrize("model", ["signalversion", "label"])
def test_it_changes_no_history(operator: Client, signal: Signal, model: str) -> None:
    assert operator.get(f"/admin/signals/{model}/add/").status_code == 403
    row = {"signalversion": signal.current_version, "label": Label.objects.first()}[model]
    assert row is not None
    assert operator.post(f"/admin/signals/{model}/{row.pk}/change/", {"prompt": "Else"}).status_code == 403
