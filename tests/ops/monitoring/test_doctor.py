"""What is wrong is found, said in words, and comes with what to do; the command and the page say the same."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.db import OperationalError, connection
from django.test import Client

from catalyst import __version__, registry
from catalyst.core.key_use import UsageCounter
from catalyst.core.models import ApiKey, Project, User
from catalyst.health import Check
from catalyst.llms.amounts import Account, Calls
from catalyst.llms.models import Budget, JudgeHealth
from catalyst.ops.models import Heartbeat, PeriodicRun
from catalyst.ops.monitoring import doctor, snapshot
from catalyst.registry import PeriodicTask
from signals.definitions.templates import TEMPLATES
from signals.models import Label
from tests.factories import make_agent, make_signal, make_trace
from tests.page import Page
from traces.models import Unsettled
from traces.store import partitions

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PROCESSES = ("web", "worker-default", "worker-judge", "worker-long", "clock")
pytestmark = [pytest.mark.slow, pytest.mark.django_db]


def beat(name: str, ago: timedelta = timedelta(), version: str = __version__, **about: object) -> None:
    times = {"started_at": NOW - timedelta(days=1), "seen_at": NOW - ago}
    Heartbeat.objects.beat(Heartbeat(name=name, host="one", pid=1, version=version, **times, **about))


@pytest.fixture
def healthy() -> None:
    """Everything as it is while Catalyst runs and nothing is wrong."""
    partitions.ensure(NOW)
    PeriodicRun.objects.register([work.name for work in registry.entries(PeriodicTask)], NOW)
    PeriodicRun.objects.update(finished_at=NOW)
    for name in PROCESSES:
        beat(name)


def examined() -> list[Check]:
    return doctor.examine(partial(snapshot.collect, NOW))


def troubles() -> dict[str, Check]:
    """What is not fine, by part and name. The disk of the machine that runs the tests is not looked at."""
    return {f"{each.part} {each.name}": each for each in examined() if each.state != "ok" and each.part != "Disk"}


def assert_only_trouble(name: str, state: str, *words: str) -> None:
    found = troubles()
    assert list(found) == [name]
    assert found[name].state == state
    for word in words:
        assert word in found[name].text
    assert found[name].advice


def test_it_finds_nothing_wrong_with_a_healthy_instance(healthy: None) -> None:
    assert troubles() == {}
    assert all(not check.advice for check in examined() if check.state == "ok")


def test_it_finds_processes_that_are_missing_silent_old_or_in_trouble(healthy: None) -> None:
    Heartbeat.objects.filter(name="clock").delete()
    beat("web", ago=MINUTE)
    beat("worker-default", version="0.0.9")
    beat("worker-judge", error="signals: out of luck", error_at=NOW - MINUTE)
    found = troubles()
    states = {name: check.state for name, check in found.items()}
    assert states == {
        "Processes clock": "bad",
        "Processes web": "bad",
        "Processes worker-default": "warn",
        "Processes worker-judge": "warn",
    }
    assert "out of luck" in found["Processes worker-judge"].text
    assert "manage.py worker" not in found["Processes web"].advice


def test_it_finds_periodic_work_that_stopped_or_failed(healthy: None) -> None:
    PeriodicRun.objects.filter(kind="settle").update(finished_at=NOW - timedelta(hours=1))
    PeriodicRun.objects.filter(kind="minute").update(last_error="ValueError: no such luck")
    found = troubles()
    assert {name: check.state for name, check in found.items()} == {
        "Work finding what to judge": "bad",
        "Work housekeeping": "warn",
    }
    assert found["Work finding what to judge"].advice.startswith("Signals label nothing new.")
    assert "no such luck" in found["Work housekeeping"].text
    assert "the disk fills" not in found["Work housekeeping"].advice


def test_it_says_why_nothing_is_deleted_after_a_jump_of_the_clock(healthy: None) -> None:
    PeriodicRun.objects.filter(kind="minute").update(resumed_at=NOW - timedelta(minutes=59))
    assert_only_trouble("Work deleting what expired", "warn", "waits until")
    PeriodicRun.objects.filter(kind="minute").update(resumed_at=NOW - timedelta(hours=1))
    assert troubles() == {}


def test_it_finds_a_settle_queue_that_nobody_empties(healthy: None, project: Project, other_project: Project) -> None:
    Unsettled.objects.create(project=project, scope="trace", target_id=1, due_at=NOW - 5 * MINUTE, since=NOW)
    Unsettled.objects.create(project=other_project, scope="trace", target_id=2, due_at=NOW + MINUTE, since=NOW)
    assert_only_trouble(
        "Queues new traffic", "warn", "1 spans, traces or sessions are ready for signals, 2 are queued in all", "5m 00s"
    )
    Unsettled.objects.update(due_at=NOW - timedelta(hours=1))
    assert_only_trouble("Queues new traffic", "bad")


def test_it_finds_labels_that_wait_and_judges_that_fail(healthy: None, project: Project) -> None:
    signal = make_signal(make_agent(project), active_since=NOW - timedelta(days=1))
    version = signal.current_version
    assert version
    about = {
        "signal": signal,
        "version": version,
        "project": project,
        "scope": "trace",
        "target_time": NOW,
        "wanted_revision": 1,
    }
    trace = make_trace(project, 1, now=NOW)
    for status in ("queued", "failed"):
        Label.objects.create(
            **about,
            target_key=status,
            trace_id=trace.trace_id,
            status=status,
            not_before=NOW - 10 * MINUTE,
            error="no such key",
        )
    Unsettled.objects.all().delete()
    JudgeHealth.objects.create(url="", model="gpt", failures=3, error="connection refused")
    found = troubles()
    assert {name: check.state for name, check in found.items()} == {
        "Queues judging": "warn",
        "Queues labels": "warn",
        "Judge gpt": "warn",
        "Judge active signals": "warn",
    }
    assert "connection refused" in found["Judge gpt"].text
    assert "1 of the last 24 hours failed, most of them because: no such key" in found["Queues labels"].text


def test_it_finds_active_signals_without_a_judge(healthy: None, project: Project) -> None:
    agent = make_agent(project)
    make_signal(agent, name="Draft")
    (judged,) = [each for each in examined() if each.name == "active signals"]
    assert (judged.part, judged.state) == ("Judge", "ok")
    for number in range(4):
        make_signal(agent, name=f"Own {number}", active_since=NOW)
    words = "4 have no judge that answers: Own 0 of Default, Own 1 of Default, Own 2 of Default and 1 more"
    assert_only_trouble("Judge active signals", "warn", words)


def test_it_finds_signals_that_a_cap_stops(healthy: None, project: Project) -> None:
    offline = next(each for each in TEMPLATES.values() if each.type == "binary")
    signal = make_signal(make_agent(project), prompt=offline.prompt, active_since=NOW - timedelta(days=1))
    Budget.objects.charge({Account(project.pk, signal.pk): Calls(2, Decimal(2))}, NOW.date())
    assert troubles() == {}
    (told,) = [each.text for each in examined() if each.name == "project Default" and each.part == "Signals"]
    assert told == "judging cost $2.00 and 2 judge calls today (UTC)"
    Budget.objects.filter(subject_id=signal.pk).update(daily_calls=1)
    assert_only_trouble("Signals project Default", "warn", "1 active signal judges no more")
    assert troubles()["Signals project Default"].text.startswith("judging cost $2.00 and 2 judge calls today")
    Budget.objects.filter(subject_id=None).update(daily_calls=1)
    assert_only_trouble("Signals project Default", "warn", "judge calls today, of at most 1 judge call a day (UTC)")


def test_it_finds_days_that_are_missing(healthy: None) -> None:
    for day in (21, 22, 23):
        for table in ("traces_span", "traces_payload"):
            with connection.cursor() as cursor:
                cursor.execute(f"DROP TABLE {table}_202611{day}")
    assert_only_trouble("Spans tables of days", "warn", "only 0 ahead")
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE traces_payload_20261120")
    assert_only_trouble("Spans tables of days", "bad", "today's is missing")


def test_it_tells_of_keys_whose_spans_are_not_stored(healthy: None, project: Project) -> None:
    key, _ = ApiKey.issue(project=project, name="sdk", scopes=["ingest"])
    counter = UsageCounter()
    counter.count(key.pk, {"accepted": 3, "new": 10, "replaced": 1, "bad_id": 2, "refused_413": 1, "late": 4}, NOW)
    counter.count(None, {"refused_401": 7}, NOW)
    counter.flush()
    assert_only_trouble(
        f"Keys in 24 hours Default: {key}",
        "warn",
        "13 spans received, 11 stored, 2 rejected, 4 late, 1 requests refused",
    )
    assert "2 spans with a wrong id" in troubles()[f"Keys in 24 hours Default: {key}"].advice
    assert any(check.name == "no valid key" and "7 requests refused" in check.text for check in examined())


def test_it_estimates_the_disk_of_each_project(healthy: None, project: Project) -> None:
    make_trace(project, 1, now=NOW)
    found = {check.name: check for check in examined() if check.part == "Disk"}
    assert found["project Default"].state == "ok"
    assert "spans" in found["project Default"].text


def test_it_says_that_the_database_is_the_trouble() -> None:
    def refuse(*args: object) -> None:
        raise OperationalError("the server is on fire")

    with connection.execute_wrapper(lambda *_: refuse()):
        found = [doctor.examine(partial(snapshot.collect, NOW)), doctor.readiness(NOW)]
    assert [(checks[0].state, "on fire" in checks[0].text) for checks in found] == [("bad", True)] * 2
    assert [[check.part for check in checks[1:]] for checks in found] == [["Disk"], []]


def test_it_waits_for_no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "STATEMENT_TIMEOUT", "10ms")

    def slowly(execute: Callable[..., object], statement: str, *about: Any) -> object:
        return execute(statement.replace("FROM pg_stat_activity", "FROM pg_stat_activity, pg_sleep(10)"), *about)

    with connection.execute_wrapper(slowly):
        (found, *_) = examined()
    assert (found.state, "statement timeout" in found.text) == ("bad", True)


def test_it_exits_with_how_bad_it_is(healthy: None, capsys: pytest.CaptureFixture[str]) -> None:
    beat("worker-default", version="0.0.9")
    with time_machine.travel(NOW, tick=False), pytest.raises(SystemExit) as exit_:
        call_command("doctor")
    assert exit_.value.code == 1
    said = capsys.readouterr().out
    assert "WARN  Processes, worker-default" in said
    assert said.splitlines()[-1].startswith("To look at: ")
    assert "Processes, worker-default" in said.splitlines()[-1]
    Heartbeat.objects.all().delete()
    with time_machine.travel(NOW, tick=False), pytest.raises(SystemExit) as exit_:
        call_command("doctor", "--json")
    assert exit_.value.code == 2
    checks = json.loads(capsys.readouterr().out)
    assert {check["name"] for check in checks if check["state"] == "bad"} == set(PROCESSES)


def test_it_shows_operators_a_page(
    healthy: None, project: Project, client_as: Callable[[User], Client], alice: User
) -> None:
    key, _ = ApiKey.issue(project=project, name="<b>sdk</b>", scopes=["ingest"])
    counter = UsageCounter()
    counter.count(key.pk, {"new": 1234, "refused_429": 5}, NOW)
    counter.flush()
    beat("web", error="<script>", error_at=NOW)
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    with time_machine.travel(NOW, tick=False):
        page = client_as(alice).get("/operator/")
        part = client_as(alice).get("/operator/", headers={"HX-Request": "true"})
    shown, state = Page(page.text), Page(part.text)
    assert "it logged: <script>. More is in logs/web.log in CATALYST_DATA." in shown.text
    assert "1,234" in shown.text
    assert "5 faster than the key may send (429)" in shown.text
    assert shown.link("Operator") == "/operator/"
    assert (shown.is_whole, state.is_whole) == (True, False)
    assert state.headings == shown.part("state").headings


def test_its_page_tells_operators_that_the_database_gives_no_answer(
    healthy: None, client_as: Callable[[User], Client], alice: User
) -> None:
    def refuse(execute: Callable[..., object], statement: str, *about: Any) -> object:
        if "FROM pg_stat_activity" in statement:
            raise OperationalError("the server is on fire")
        return execute(statement, *about)

    User.objects.filter(pk=alice.pk).update(is_staff=True)
    client = client_as(alice)
    with connection.execute_wrapper(refuse):
        page = client.get("/operator/")
    assert page.status_code == 200
    assert "none: the server is on fire" in page.text
    assert "data folder" in page.text
    assert "No request with traces came" not in page.text
