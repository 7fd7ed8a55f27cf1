"""Every process notes that it lives and what went wrong in it last; one that stops in good order leaves no note."""

import json
import logging
import os
import signal
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from catalyst import __version__
from catalyst.core.models import ApiKey, KeyHour, Project
from catalyst.ops.heartbeat import LastError
from catalyst.ops.models import Heartbeat
from tests.ops.sample_tasks import fail
from tests.processes import eventually, free_port, running

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def names() -> set[str]:
    return set(Heartbeat.objects.values_list("name", flat=True))


def beat(pid: int, seen_at: datetime, name: str = "web", host: str = "one") -> None:
    times = {"started_at": NOW, "seen_at": seen_at}
    Heartbeat.objects.beat(Heartbeat(name=name, host=host, pid=pid, version="1", **times))


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_it_notes_each_process_while_it_runs() -> None:
    with running("worker", "default") as worker, running("clock") as clock:
        eventually(lambda: names() == {"worker-default", "clock"})
        found = Heartbeat.objects.get(name="clock")
        assert (found.pid, found.version, found.error) == (clock.pid, __version__, "")
        fail.enqueue()
        eventually(lambda: Heartbeat.objects.get(name="worker-default").error != "")
        for process in (worker, clock):
            process.send_signal(signal.SIGTERM)
        eventually(lambda: not names())


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_it_writes_what_keys_were_used_for_before_the_web_process_stops(project: Project) -> None:
    port, key = free_port(), ApiKey.issue(project=project, name="sdk", scopes=["ingest"])[1]
    with running("web", CATALYST_PORT=str(port)) as web:
        eventually(lambda: names() == {"web"})
        url, body = f"http://127.0.0.1:{port}/v1/traces", json.dumps({"resourceSpans": []})
        headers = {"x-api-key": key, "Content-Type": "application/json"}
        with httpx.Client(transport=httpx.HTTPTransport(retries=5)) as client:
            assert client.post(url, content=body, headers=headers).status_code == 200
        web.send_signal(signal.SIGTERM)
        assert web.wait(30) == 0
        assert list(KeyHour.objects.values_list("what", "count")) == [("accepted", 1)]
        assert not names()


def test_it_remembers_the_last_error_of_a_forked_process() -> None:
    last = LastError()
    assert last.read() == ("", None)
    child = os.fork()
    if not child:
        try:
            raise ValueError("no such thing\x00")
        except ValueError as error:
            info = type(error), error, None
            last.handle(logging.LogRecord("traces", logging.ERROR, "", 1, "Span %s\nand more", ("7",), info))
        os._exit(0)
    os.waitpid(child, 0)
    text, at = last.read()
    assert text == "traces: Span 7 (ValueError: no such thing)"
    assert at is not None


@pytest.mark.django_db
def test_it_knows_a_process_that_was_started_again_as_one() -> None:
    beat(1, NOW - timedelta(minutes=5))
    beat(2, NOW)
    beat(2, NOW + timedelta(seconds=5))
    beat(3, NOW - timedelta(minutes=9), host="two")
    assert [(each.host, each.pid) for each in Heartbeat.objects.newest()] == [("one", 2), ("two", 3)]
    Heartbeat.objects.delete_expired(NOW + timedelta(days=1))
    assert [each.pid for each in Heartbeat.objects.all()] == [2]
