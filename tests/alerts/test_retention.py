"""Events are kept as long as labels."""

from datetime import datetime, timedelta

import pytest
from pytest_django import Settings

from alerts import retention
from alerts.models import AlertEvent
from catalyst.core.models import Project
from tests.factories import make_agent, make_alert, make_event, make_signal

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def test_it_deletes_old_events(
    project: Project, now: datetime, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.KEEP_LABELS_DAYS = 30
    monkeypatch.setattr(retention, "EVENTS", 2)
    alert = make_alert(make_signal(make_agent(project)), now=now - 60 * DAY)
    for ago in (50, 40, 35, 31, 30, 1):
        make_event(alert, now - ago * DAY)
    assert retention.delete_expired_events(now, batches=1) == 2
    assert retention.delete_expired_events(now) == 2
    assert AlertEvent.objects.count() == 2
    assert retention.delete_expired_events(now) == 0
