"""Signals that a model connection of their project judges."""

import threading
import time as clocks
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db.models import RestrictedError
from django.utils import timezone

from catalyst import timerange
from catalyst.core.actor import SYSTEM
from catalyst.core.models import Project
from catalyst.env import env
from catalyst.ip_ranges import AllowedTargets
from catalyst.llms import connections
from catalyst.llms.amounts import Cap
from catalyst.llms.connections import Secrets, Settings
from catalyst.llms.models import JudgeHealth, ModelConnection
from signals import operations
from signals.definitions.definition import Definition
from signals.judging.worker import READ_AHEAD, run
from signals.models import Exchange, Label, Signal, Verdict
from signals.results import summaries
from tests.factories import make_agent, make_connection, make_labels, make_signal
from tests.judge_server import Answer, Asked, JudgeServer, error, says
from tests.rows import stored_rows

pytestmark = pytest.mark.slow

KEY, HEADER = "sk-very-secret-1234", "tenant-token-5678"


@pytest.fixture
def server() -> Iterator[JudgeServer]:
    """The model of a connection. It answers no."""
    with JudgeServer(lambda _: says("no", "By the connection.")) as server:
        yield server


@pytest.fixture(autouse=True)
def _opened(monkeypatch: pytest.MonkeyPatch, server: JudgeServer) -> None:
    monkeypatch.setattr(env, "allowed_private_targets", AllowedTargets.parse(["127.0.0.0/8"]))


@pytest.fixture
def connection(project: Project, server: JudgeServer, now: datetime) -> ModelConnection:
    return make_connection(project, url=server.url, key=KEY, headers={"X-Token": HEADER}, now=now)


@pytest.fixture
def signal(connection: ModelConnection, project: Project, now: datetime) -> Signal:
    return make_signal(make_agent(project), connection=connection.name, active_since=now)


def settings_of(connection: ModelConnection, **changes: object) -> Settings:
    values = {name: getattr(connection, name) for name in Settings.__slots__}
    return Settings(**{**values, **changes})


def change(connection: ModelConnection, secrets: Secrets | None = None, **changes: object) -> None:
    settings = settings_of(connection, **changes)
    connections.edit(connection, settings, secrets or Secrets(), by=SYSTEM, now=timezone.now())


def once(action: Callable[[], object], server: JudgeServer, after: int) -> Callable[[], bool]:
    """An `until` of the worker that acts once this many calls have been made."""
    done: list[object] = []

    def until() -> bool:
        if not done and len(server.asked) >= after:
            done.append(action())
        return False

    return until


def states(signal: Signal) -> list[tuple[str, str]]:
    return list(Label.objects.filter(signal=signal).order_by("pk").values_list("status", "value"))


def test_the_connection_of_its_version_judges(
    judge: JudgeServer, server: JudgeServer, signal: Signal, project: Project, now: datetime
) -> None:
    """The instance's endpoint judges the signals that name no connection, at the same time."""
    others = make_signal(make_agent(project), name="Other", active_since=now)
    make_labels(others, project, 2, now=now)
    assert run() == 4
    assert states(signal) == [("done", "no")] * 2
    assert states(others) == [("done", "yes")] * 2
    assert (len(judge.asked), len(server.asked)) == (2, 2)
    headers = server.asked[0].headers
    assert (headers["authorization"], headers["x-token"]) == (f"Bearer {KEY}", HEADER)
    assert "x-token" not in judge.asked[0].headers
    assert server.asked[0].payload["model"] == "gpt-4o-mini"
    assert set(JudgeHealth.objects.values_list("connection", "model")) == {
        (None, "judge-1"),
        (ModelConnection.objects.get().pk, "gpt-4o-mini"),
    }


def test_no_stored_row_holds_its_secrets(signal: Signal, server: JudgeServer, project: Project, now: datetime) -> None:
    def echo(asked: Asked) -> Answer:
        return says("no", f"I was sent {asked.headers['authorization']} and {asked.headers['x-token']}.")

    def refuse(asked: Asked) -> Answer:
        return error(400, f"{asked.headers['authorization']} and {asked.headers['x-token']} are wrong")

    server.script = lambda asked: echo(asked) if len(server.asked) == 1 else refuse(asked)
    make_labels(signal, project, 2, now=now)
    run()
    assert Exchange.objects.count() == 2
    assert {status for status, _ in states(signal)} == {"done", "failed"}
    assert [row for row in stored_rows() if KEY in row or HEADER in row] == []


def test_its_own_price_counts(connection: ModelConnection, signal: Signal, project: Project, now: datetime) -> None:
    change(connection, prices={"gpt-4o-mini": ["10", "100"]})
    make_labels(signal, project, 1, now=now)
    run()
    assert Verdict.objects.get().cost == Decimal("0.0024")


def test_a_cap_holds_for_its_model(
    connection: ModelConnection, signal: Signal, server: JudgeServer, project: Project, now: datetime
) -> None:
    change(connection, default_model="own", allowed_models=["own", "gpt-4o-mini"])
    operations.cap_signal(signal, Cap(usd=Decimal(5)), now)
    own = Definition("binary", "Is it?", 100, connection=connection.name, judge_model="own")
    operations.publish_version(signal, own)
    make_labels(signal, project, 1, now=now)
    assert run() == 0
    assert server.asked == []
    change(connection, prices={"own": ["0.10", "0.10"]})
    assert run() == 1


def test_an_outage_pauses_it_alone(
    judge: JudgeServer, server: JudgeServer, signal: Signal, project: Project, now: datetime
) -> None:
    server.script = lambda _: error(401, "Wrong key.")
    others = make_signal(make_agent(project), name="Other", active_since=now)
    make_labels(others, project, 1, now=now)
    run()
    assert states(signal) == [("queued", "")]
    assert states(others) == [("done", "yes")]
    signal.refresh_from_db()
    at = timezone.now()
    (listed,) = summaries.listed([signal], timerange.named(timerange.DEFAULT, at), at)
    assert listed.judge_unavailable is not None
    assert listed.judge_unavailable.text.startswith("gpt-4o-mini (Team) does not answer:")


def test_a_new_key_resumes_it_at_once(
    connection: ModelConnection, signal: Signal, server: JudgeServer, project: Project, now: datetime
) -> None:
    server.script = lambda asked: says("yes") if "sk-new" in asked.headers["authorization"] else error(401, "Wrong.")
    make_labels(signal, project, 1, now=now)
    run()
    waiting = Label.objects.get()
    assert waiting.not_before > timezone.now()
    connections.replace_secrets(connection, Secrets(key="sk-new"), by=SYSTEM, now=timezone.now())
    run()
    assert states(signal) == [("done", "yes")]


def test_a_revoked_key_stops_calls_until_there_is_a_new_one(
    connection: ModelConnection, signal: Signal, server: JudgeServer, project: Project, now: datetime
) -> None:
    make_labels(signal, project, 2, now=now)
    connections.revoke(connection, by=SYSTEM, now=timezone.now())
    assert run() == 0
    assert states(signal) == [("queued", "")] * 2
    connections.replace_secrets(connection, Secrets(key="sk-new"), by=SYSTEM, now=timezone.now())
    assert run() == 2
    assert {asked.headers["authorization"] for asked in server.asked} == {"Bearer sk-new"}


def test_a_deleted_connection_says_what_it_stops(
    connection: ModelConnection, signal: Signal, server: JudgeServer, project: Project, now: datetime
) -> None:
    make_labels(signal, project, 1, now=now)
    with pytest.raises(ValidationError) as caught:
        connections.delete(connection, stops_users=False, by=SYSTEM, now=now)
    assert "Without it these stop: Refund wanted." in caught.value.messages[0]
    connections.delete(connection, stops_users=True, by=SYSTEM, now=now)
    run()
    assert server.asked == []
    label = Label.objects.get()
    assert label.status == "failed"
    assert label.error == "The model connection Team was deleted. Choose another model for the signal."
    with pytest.raises(RestrictedError):
        ModelConnection.objects.all().delete()
    with pytest.raises(ValidationError) as refused:
        operations.publish_version(signal, Definition("binary", "Else?", 100, connection="Team"))
    assert "There is no model connection Team." in refused.value.messages[0]
    operations.publish_version(signal, Definition("binary", "Else?", 100))
    assert signal.versions.get(number=1).definition.connection == "Team"


def test_a_private_address_is_refused_in_clear_words(
    signal: Signal, server: JudgeServer, project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "allowed_private_targets", AllowedTargets())
    make_labels(signal, project, 1, now=now)
    run()
    label = Label.objects.get()
    assert (label.status, server.asked) == ("failed", [])
    assert label.error.startswith("127.0.0.1 is an address that is not public.")


def test_claimed_labels_use_a_new_address_within_seconds(
    connection: ModelConnection, signal: Signal, server: JudgeServer, project: Project, now: datetime
) -> None:
    """One call at a time: the labels that are claimed before the change are asked after it."""
    change(connection, concurrency=1)
    make_labels(signal, project, 12, now=now)
    times: list[float] = []
    with JudgeServer(lambda _: says("yes")) as other:
        server.script = lambda _: Answer(says("no").body, delay=0.7)

        def timed(_: Asked) -> Answer:
            times.append(clocks.monotonic())
            return says("yes")

        other.script = timed

        def move() -> None:
            times.append(clocks.monotonic())
            change(connection, Secrets(key="sk-other"), base_url=other.url)

        assert run(until=once(move, server, after=2)) == 12
        assert {asked.headers["authorization"] for asked in other.asked} == {"Bearer sk-other"}
    assert {asked.headers["authorization"] for asked in server.asked} == {f"Bearer {KEY}"}
    assert times[1] - times[0] < 5
    assert len(server.asked) < 8


def test_a_key_revoked_during_a_run_is_not_used_again(
    connection: ModelConnection, signal: Signal, server: JudgeServer, project: Project, now: datetime
) -> None:
    change(connection, concurrency=1)
    make_labels(signal, project, 12, now=now)
    server.script = lambda _: Answer(says("no").body, delay=0.7)
    run(until=once(lambda: connections.revoke(connection, by=SYSTEM, now=timezone.now()), server, after=2))
    assert len(server.asked) < 8
    assert {status for status, _ in states(signal)} == {"done", "queued"}


def test_its_calls_at_once_are_limited(
    connection: ModelConnection, signal: Signal, server: JudgeServer, project: Project, now: datetime
) -> None:
    change(connection, concurrency=3)
    server.script = lambda _: Answer(says("no").body, delay=0.05)
    make_labels(signal, project, 20, now=now)
    assert run() == 20
    assert server.most_at_once == 3


def test_its_requests_per_minute_are_limited(
    connection: ModelConnection, signal: Signal, server: JudgeServer, project: Project, now: datetime
) -> None:
    change(connection, requests_per_minute=240)
    make_labels(signal, project, 12, now=now)
    started = clocks.monotonic()
    assert run() == 12
    assert clocks.monotonic() - started > 7 / 4


def test_a_slow_connection_holds_back_no_other_signal(
    connection: ModelConnection,
    judge: JudgeServer,
    signal: Signal,
    server: JudgeServer,
    project: Project,
    now: datetime,
) -> None:
    change(connection, concurrency=1)
    others = make_signal(make_agent(project), name="Other", active_since=now)
    make_labels(signal, project, env.judge_concurrency * READ_AHEAD, now=now)
    Label.objects.filter(signal=signal).update(not_before=now)
    released = threading.Event()
    server.script = lambda _: (released.wait(5), says("no"))[1]

    def until() -> bool:
        if Label.objects.filter(signal=others, status="done").count() >= 5:
            released.set()
        return released.is_set()

    run(until=until)
    assert released.is_set()
    assert len(server.asked) <= READ_AHEAD


def test_a_version_remembers_connection_and_model(
    connection: ModelConnection, signal: Signal, project: Project, now: datetime
) -> None:
    first = signal.current_version
    assert first is not None
    assert (first.connection, first.judge_model) == (connection, "gpt-4o-mini")
    change(connection, default_model="gpt-4o", allowed_models=["gpt-4o"])
    operations.publish_version(signal, Definition("binary", "Else?", 100, connection="Team"))
    second = signal.versions.get(number=2)
    assert (second.connection, second.judge_model) == (connection, "gpt-4o")
    with pytest.raises(ValidationError) as caught:
        operations.publish_version(
            signal, Definition("binary", "Else?", 100, connection="Team", judge_model="gpt-4o-mini")
        )
    assert caught.value.message_dict == {"judge_model": ["The connection Team does not allow the model gpt-4o-mini."]}


def test_a_project_is_deleted_with_its_connections(signal: Signal, project: Project) -> None:
    operations.publish_version(signal, Definition("binary", "Else?", 100, connection="Team"))
    project.delete()
    assert not ModelConnection.objects.exists()


def test_a_connection_of_another_project_can_not_be_named(connection: ModelConnection, other_project: Project) -> None:
    with pytest.raises(ValidationError) as caught:
        make_signal(make_agent(other_project), connection=connection.name)
    assert list(caught.value.message_dict) == ["connection"]
