"""`manage.py halo`."""

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.utils import timezone

from catalyst.core.models import Project
from halo.models import Run
from halo.runs import worker
from tests.factories import AGENT, make_agent, make_traces
from tests.traces.sent import sent_span
from traces.ingest import pipeline

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

ASKED = ("--agent", AGENT, "--range", "1d")


def run(*given: object) -> tuple[str, str]:
    """What it prints, and what it tells."""
    out, told = io.StringIO(), io.StringIO()
    call_command("halo", *map(str, given), stdout=out, stderr=told)
    return out.getvalue(), told.getvalue()


def record(*given: object) -> Any:
    return json.loads(run(*given, "--json")[0])


@contextmanager
def working() -> Iterator[None]:
    """A worker, as `up` has one."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(0.05):
            worker.work(timezone.now)
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def post_failures(project: Project) -> None:
    start = timezone.now() - timedelta(minutes=5)
    spans = [
        sent_span(16 * number, trace=number, start=start, status="error", agent__name=AGENT) for number in range(1, 31)
    ]
    for span in spans:
        span.status_message = "It is closed"
    pipeline.store(project.pk, spans, timezone.now())


def test_run_waits_for_the_report_and_prints_it(project: Project) -> None:
    post_failures(project)
    with working():
        out, told = run("run", *ASKED, "--wait", "--json")
    report = json.loads(out)
    assert (report["status"], report["engine"]) == ("completed", "rules")
    finding = report["findings"][0]
    assert finding | {"severity": "critical", "category": "reliability", "trace_count": 30} == finding
    assert {"trace_id", "span_id", "verified"} <= finding["citations"][0].keys()
    assert all(citation["verified"] for citation in finding["citations"])
    assert told == "Reads 30 of 30 traces\n"


def test_run_fails_if_there_is_no_report(project: Project) -> None:
    make_agent(project)
    with working(), pytest.raises(CommandError, match="no_traces: support-bot has no traces in this window"):
        run("run", *ASKED, "--wait")


def test_run_returns_at_once_unless_it_waits(project: Project) -> None:
    make_agent(project)
    assert record("run", *ASKED)["status"] == "pending_export"
    assert Run.objects.count() == 1


def test_a_window_that_is_too_long_is_shortened_and_told(project: Project) -> None:
    make_agent(project)
    made = record("run", "--agent", AGENT, "--range", "90d")
    (note,) = made["notes"]
    assert note.startswith("The window was longer than 30 days")
    length = Run.objects.get().window_end - Run.objects.get().window_start
    assert length == timedelta(days=30)


def test_wrong_arguments_are_named(project: Project) -> None:
    make_agent(project)
    with pytest.raises(CommandError, match="--max-turns: Enter a number from 3 to 100"):
        run("run", *ASKED, "--max-turns", 1)
    with pytest.raises(CommandError, match="has no agent nobody"):
        run("run", "--agent", "nobody")


def test_export_prints_what_the_engine_reads(project: Project) -> None:
    make_traces(project, [1, 2], now=timezone.now())
    out, told = run("export", *ASKED)
    spans = [json.loads(line) for line in out.splitlines()]
    assert {span["trace_id"] for span in spans} == {f"{number:032x}" for number in (1, 2)}
    assert all(span["status"]["code"].startswith("STATUS_CODE_") for span in spans)
    assert told == "4 spans of 2 traces\n"


def test_a_cancelled_run_is_followed_no_more(project: Project) -> None:
    make_agent(project)
    made = record("run", *ASKED)
    assert record("cancel", made["id"])["status"] == "cancelled"
    assert record("events", made["id"])["items"] == []
    assert [each["id"] for each in record("list", "--status", "cancelled")["items"]] == [made["id"]]
