"""The demo's alerts fired on its bad deploy."""

from datetime import datetime, timedelta

import pytest

from alerts import demo
from alerts.choices import Window
from alerts.models import Alert, AlertEvent, AlertState
from alerts.rules import EventKind
from catalyst.core.models import Project, User
from catalyst.ops.demo import loader, timeline
from catalyst.timerange import HOUR, MINUTE
from signals.judging import worker
from signals.models import Label, SettledMinute, Signal
from tests.factories import settle_all

pytestmark = [pytest.mark.slow, pytest.mark.django_db]
SCALE = 0.5


@pytest.fixture
def week(alice: User, now: datetime) -> Project:
    """The support agent's week, as the offline judge labels it."""
    project = loader.make(alice, now)
    loader.fill(project, now, SCALE)
    Signal.objects.exclude(agent__identity=demo.SUPPORT).delete()
    Signal.objects.filter(template="sentiment").delete()
    settle_all(now)
    return project


def test_they_fired_on_the_bad_deploy_and_nowhere_else(week: Project, now: datetime) -> None:
    demo.go_on(week.pk, now + MINUTE)
    assert not Alert.objects.exists()
    worker.run(lambda: now + 3 * HOUR)
    labels = Label.objects.count()
    demo.go_on(week.pk, now + MINUTE)
    assert Alert.objects.count() == 3
    fired = AlertEvent.objects.filter(kind=EventKind.FIRED)
    first, last = timeline.bad_deploy(now)
    assert "Users get frustrated" in {event.alert.name for event in fired}
    assert all(first < event.window_end < last + Window.SIX_HOURS.length for event in fired)
    assert set(AlertState.objects.values_list("evaluated_until", flat=True)) == {now + MINUTE}
    # The sums tell of every label once, at the time at which it would have settled.
    minutes = SettledMinute.objects.filter(minute__lt=now - HOUR)
    assert sum(minutes.values_list("count", flat=True)) == Label.objects.filter(settled_at__lt=now - HOUR).count()
    assert sum(SettledMinute.objects.values_list("count", flat=True)) == labels
    demo.go_on(week.pk, now + timedelta(minutes=2))
    assert Alert.objects.count() == 3
    demo.erase(week.pk)
    assert not AlertEvent.objects.exists()
