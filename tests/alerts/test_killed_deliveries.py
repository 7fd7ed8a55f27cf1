"""Real workers, killed at every stage of a delivery: no message is lost, and one at most comes twice, with its key."""

import signal as signals_of_the_system
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import psycopg
import pytest
from django.utils import timezone

from alerts import delivery
from alerts.models import Channel, Delivery
from catalyst.core.models import Project
from catalyst.notifications import notify
from tests.alerts.service import Answer, Service
from tests.factories import WEBHOOK, make_channel, make_message
from tests.processes import database_url, eventually, running

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

WORK = "from django.utils import timezone; from alerts import delivery; delivery.work(timezone.now)"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ILIKE %s"
MESSAGES = 5


@pytest.fixture
def now() -> datetime:
    """Workers ask the real clock."""
    return timezone.now()


@pytest.fixture
def channel(project: Project, service: Service, now: datetime) -> Channel:
    return make_channel(project, secrets=WEBHOOK | {"url": f"{service.url}/in"}, now=now)


@contextmanager
def worker() -> Iterator[None]:
    """A worker in a process of its own, which is killed at the end."""
    with running("shell", "-c", WORK, CATALYST_ALLOWED_PRIVATE_TARGETS="127.0.0.0/8") as process:
        yield
        assert process.poll() is None
        process.send_signal(signals_of_the_system.SIGKILL)
        assert process.wait(10) == -signals_of_the_system.SIGKILL


def tell(channel: Channel, now: datetime) -> None:
    for number in range(MESSAGES):
        key = f"event-{number}"
        notify(channel.project_id, "alert.fired", key, make_message(group=key), [channel.pk], now=now)


def keys(service: Service) -> list[str]:
    return [asked.headers["idempotency-key"] for asked in service.asked]


def finish(service: Service) -> None:
    """Have the rest sent once the leases have run out; then nothing may be missing."""
    service.script = lambda _: Answer("ok")
    delivery.work(lambda: timezone.now() + delivery.LEASE)
    assert set(Delivery.objects.values_list("state", flat=True)) == {"sent"}
    assert set(keys(service)) == {f"event-{number}" for number in range(MESSAGES)}


def test_a_worker_killed_between_sending_and_recording_sends_one_message_twice(
    channel: Channel, service: Service, now: datetime
) -> None:
    tell(channel, now)
    with psycopg.connect(database_url()) as held, psycopg.connect(database_url(), autocommit=True) as watching:
        # Whoever records locks the channel first.
        held.execute("SELECT 1 FROM alerts_channel FOR UPDATE")
        with worker():
            eventually(lambda: len(service.asked) == 1)
            eventually(lambda: watching.execute(WAITING, ["%alerts_channel%"]).fetchone() != (0,))
        held.rollback()
    assert not Delivery.objects.filter(state="sent").exists()
    finish(service)
    assert sorted(keys(service)) == sorted([*(f"event-{number}" for number in range(MESSAGES)), "event-0"])


def test_a_worker_killed_while_it_sends_loses_nothing(channel: Channel, service: Service, now: datetime) -> None:
    service.script = lambda _: Answer(hangs=True)
    tell(channel, now)
    with worker():
        eventually(lambda: len(service.asked) == 1)
    assert Delivery.objects.filter(attempts=1).count() == 1
    finish(service)
    assert len(service.asked) == MESSAGES + 1
