"""Model connections: who may reach what, and what becomes of their secrets."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from catalyst.core.actor import SYSTEM, Actor
from catalyst.core.models import AuditEntry, Project, User
from catalyst.core.operation_context import Context, for_system
from catalyst.env import env
from catalyst.ip_ranges import AllowedTargets
from catalyst.llms import connections
from catalyst.llms.connections import Secrets, Settings
from catalyst.llms.endpoints import ConnectedModel
from catalyst.llms.models import JudgeHealth, ModelConnection
from catalyst.operations import InvalidInput, find
from tests.factories import make_connection
from tests.judge_server import JudgeServer, error, refusing_schemas, says
from tests.rows import stored_rows

pytestmark = pytest.mark.django_db

KEY, HEADER = "sk-very-secret-1234", "tenant-token-5678"


@pytest.fixture
def caller(project: Project, now: datetime) -> Context:
    return for_system(project, now)


@pytest.fixture
def connection(project: Project, now: datetime) -> ModelConnection:
    return make_connection(project, key=KEY, headers={"X-Token": HEADER}, now=now)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[JudgeServer]:
    """A scripted judge that the operator opened."""
    with JudgeServer(lambda _: says("yes")) as server:
        opened = AllowedTargets.parse([server.url.removeprefix("http://").removesuffix("/v1")])
        monkeypatch.setattr(env, "allowed_private_targets", opened)
        yield server


def edited(connection: ModelConnection, now: datetime, secrets: Secrets | None = None, **changes: Any) -> bool:
    values = {name: getattr(connection, name) for name in Settings.__slots__} | changes
    return connections.edit(connection, Settings(**values), secrets or Secrets(), by=SYSTEM, now=now)


def secrets_of(connection: ModelConnection) -> tuple[str, dict[str, str]]:
    connection.refresh_from_db()
    return connection.key.reveal(), connection.reveal_headers()


def errors_of(project: Project, now: datetime, **about: Any) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as caught:
        make_connection(project, now=now, **about)
    return caught.value.message_dict


def test_its_secrets_are_stored_encrypted_and_in_no_result(connection: ModelConnection, caller: Context) -> None:
    assert secrets_of(connection) == (KEY, {"X-Token": HEADER})
    assert not [row for row in stored_rows() if KEY in row or HEADER in row]
    for name, arguments in (
        ("models.list", {}),
        ("models.edit", {"connection": connection.pk, "concurrency": 3}),
        ("models.replace_key", {"connection": connection.pk, "key": f"{KEY}-2"}),
        ("audit.list", {}),
    ):
        operation = find(name)
        shown = operation.dump(operation.call(caller, arguments)).decode()
        assert KEY not in shown
        assert HEADER not in shown


@pytest.mark.parametrize(
    ("url", "is_cleared"),
    [
        ("https://models.invalid/v2", False),
        ("https://models.invalid:443/v1", False),
        ("http://models.invalid/v1", True),
        ("https://models.invalid:8443/v1", True),
        ("https://other.invalid/v1", True),
    ],
)
def test_another_scheme_host_or_port_clears_the_secrets(
    connection: ModelConnection, caller: Context, url: str, is_cleared: bool
) -> None:
    changed = find("models.edit").call(caller, {"connection": connection.pk, "base_url": url})
    assert changed.secrets_cleared is is_cleared
    assert secrets_of(connection) == (("", {}) if is_cleared else (KEY, {"X-Token": HEADER}))


def test_a_new_address_keeps_only_what_is_entered_with_it(connection: ModelConnection, now: datetime) -> None:
    assert edited(connection, now, Secrets(key="sk-new"), base_url="https://other.invalid/v1")
    assert secrets_of(connection) == ("sk-new", {})
    entry = AuditEntry.objects.latest("pk")
    assert (entry.action, entry.kind) == ("changed", "model connection")
    assert entry.detail == "base url, new key, stored secrets cleared with the address"


def test_a_key_is_replaced_and_revoked(connection: ModelConnection, now: datetime) -> None:
    connections.replace_secrets(connection, Secrets(key="sk-new"), by=SYSTEM, now=now)
    assert secrets_of(connection) == ("sk-new", {"X-Token": HEADER})
    assert connections.revoke(connection, by=SYSTEM, now=now)
    assert not connections.revoke(connection, by=SYSTEM, now=now)
    assert secrets_of(connection) == ("", {})
    assert connection.revoked_at == now
    connections.replace_secrets(connection, Secrets(key="sk-newest"), by=SYSTEM, now=now)
    assert ModelConnection.objects.get().is_usable
    with pytest.raises(ValidationError):
        connections.replace_secrets(connection, Secrets(key=""), by=SYSTEM, now=now)
    actions = AuditEntry.objects.order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["created", "replaced the key of", "revoked the key of", "replaced the key of"]


def test_the_audit_log_names_the_person(project: Project, alice: User, now: datetime) -> None:
    settings = Settings("Team", "https://models.invalid/v1", "gpt-4o")
    row = connections.create(project, settings, Secrets(), by=Actor(alice), now=now)
    assert (row.created_by, row.created_by_name) == (alice, "alice")
    assert AuditEntry.objects.get().actor_name == "alice"


def test_what_changes_ends_its_pause(connection: ModelConnection, now: datetime) -> None:
    paused = now + timedelta(minutes=1)
    JudgeHealth.objects.create(url="", connection=connection, model="gpt-4o-mini", failures=3, paused_until=paused)
    edited(connection, now)
    assert JudgeHealth.objects.count() == 1
    edited(connection, now, concurrency=2)
    assert JudgeHealth.objects.count() == 0


@pytest.mark.parametrize(
    ("field", "about"),
    [
        ("name", {"name": " "}),
        ("preset", {"preset": "nonsense"}),
        ("base_url", {"url": "models.invalid"}),
        ("base_url", {"url": "https://user:password@models.invalid/v1"}),
        ("base_url", {"url": "https://models.invalid/v1?key=secret"}),
        ("base_url", {"url": "https://models.invalid/v1#part"}),
        ("base_url", {"url": "https://models.invalid/v1/chat/completions"}),
        ("base_url", {"url": "http://127.0.0.1:11434/v1"}),
        ("base_url", {"url": "http://10.0.0.5/v1"}),
        ("base_url", {"url": "http://169.254.169.254/latest"}),
        ("base_url", {"url": "http://metadata.google.internal/v1"}),
        ("default_model", {"model": " "}),
        ("allowed_models", {"allowed_models": ["x" * 201]}),
        ("prices", {"prices": {"unknown": ["1", "2"]}}),
        ("prices", {"prices": {"gpt-4o-mini": ["1", "free"]}}),
        ("prices", {"prices": {"gpt-4o-mini": ["-1", "2"]}}),
        ("prices", {"prices": {"gpt-4o-mini": ["NaN", "2"]}}),
        ("concurrency", {"concurrency": 0}),
        ("requests_per_minute", {"requests_per_minute": 0}),
        ("key", {"key": "sk-\u2026"}),
        ("headers", {"headers": {"Host": "elsewhere"}}),
        ("headers", {"headers": {"Bad name": "x"}}),
        ("headers", {"headers": {"X-Token": "two\nlines"}}),
    ],
)
def test_it_refuses_what_can_not_work(project: Project, now: datetime, field: str, about: dict[str, Any]) -> None:
    assert list(errors_of(project, now, **about)) == [field]
    assert not ModelConnection.objects.exists()


def test_a_name_is_unique_until_its_connection_is_deleted(
    connection: ModelConnection, project: Project, now: datetime
) -> None:
    assert list(errors_of(project, now, name="TEAM")) == ["name"]
    connections.delete(connection, stops_users=False, by=SYSTEM, now=now)
    assert make_connection(project, "Team", now=now).pk != connection.pk


def test_a_deleted_connection_keeps_no_secret(connection: ModelConnection, caller: Context, now: datetime) -> None:
    find("models.delete").call(caller, {"connection": connection.pk})
    assert secrets_of(connection) == ("", {})
    assert find("models.list").call(caller, {}).connections == []
    with pytest.raises(ValidationError):
        connections.revoke(connection, by=SYSTEM, now=now)


def test_an_entered_price_wins_over_the_list(project: Project, now: datetime) -> None:
    prices = {"gpt-4o-mini": ["1.50", "6"]}
    connection = make_connection(project, prices=prices, allowed_models=["gpt-4o", "own"], now=now)
    assert connection.prices == {"gpt-4o-mini": ["1.5", "6"]}
    price = [
        ConnectedModel(name, connection).price(1_000_000, 100_000, None, now) for name in connection.allowed_models
    ]
    assert price == [Decimal("2.1"), Decimal("3.5"), None]


def test_a_model_on_own_hardware_has_no_hosted_price(project: Project, now: datetime) -> None:
    connection = make_connection(project, preset="ollama", now=now)
    assert ConnectedModel("gpt-4o-mini", connection).price(1_000, 10, None, now) is None


def test_the_connection_of_the_environment_is_listed_and_can_not_be_changed(
    caller: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "judge_url", "https://user:hidden@judge.invalid/v1?key=hidden")
    monkeypatch.setattr(env, "judge_api_key", "hidden")
    monkeypatch.setattr(env, "judge_model", "gpt-4o")
    monkeypatch.setattr(env, "judge_models", ["gpt-4o-mini"])
    (record,) = find("models.list").call(caller, {}).connections
    assert (record.id, record.name, record.base_url) == (None, "Environment", "https://judge.invalid/v1")
    assert record.models == ["gpt-4o", "gpt-4o-mini"]
    assert "hidden" not in repr(record)


def test_a_test_makes_a_real_call(project: Project, caller: Context, server: JudgeServer, now: datetime) -> None:
    connection = make_connection(project, url=server.url, key=KEY, headers={"X-Token": HEADER}, now=now)
    result = find("models.test").call(caller, {"connection": connection.pk})
    assert result.answered
    assert result.latency_ms is not None
    assert (result.supports_schema, result.follows_schema, result.supports_temperature) == (True, True, True)
    assert (result.answering_model, result.is_priced, result.reports_tokens) == ("scripted-judge-1", True, True)
    (asked,) = server.asked
    assert (asked.headers["authorization"], asked.headers["x-token"]) == (f"Bearer {KEY}", HEADER)
    assert asked.payload["model"] == "gpt-4o-mini"


def test_a_test_says_what_the_endpoint_lacks(
    project: Project, caller: Context, server: JudgeServer, now: datetime
) -> None:
    server.script = refusing_schemas(lambda _: says("yes"))
    connection = make_connection(project, url=server.url, model="my-own", now=now)
    result = find("models.test").call(caller, {"connection": connection.pk})
    assert (result.answered, result.supports_schema, result.is_priced) == (True, False, False)


def test_a_failed_test_shows_no_secret(project: Project, caller: Context, server: JudgeServer, now: datetime) -> None:
    server.script = lambda asked: error(
        404, f"No model for {asked.headers['authorization']} {asked.headers['x-token']}"
    )
    connection = make_connection(project, url=server.url, key=KEY, headers={"X-Token": HEADER}, now=now)
    result = find("models.test").call(caller, {"connection": connection.pk})
    assert not result.answered
    assert "does not know this model" in result.error
    assert KEY not in result.error
    assert HEADER not in result.error


def test_a_test_asks_nothing_without_a_key_that_was_revoked(
    project: Project, caller: Context, server: JudgeServer, now: datetime
) -> None:
    connection = make_connection(project, url=server.url, now=now)
    connections.revoke(connection, by=SYSTEM, now=now)
    result = find("models.test").call(caller, {"connection": connection.pk})
    assert result.error == "The key of this connection was revoked. Enter a new one first."
    assert server.asked == []


def test_tests_are_limited(project: Project, caller: Context, server: JudgeServer, now: datetime) -> None:
    connection = make_connection(project, url=server.url, now=now)
    results = [find("models.test").call(caller, {"connection": connection.pk}) for _ in range(21)]
    assert [result.answered for result in results] == [True] * 20 + [False]
    assert len(server.asked) == 20


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1.nip.invalid"])
def test_a_name_that_leads_to_a_private_address_is_refused(
    project: Project, caller: Context, server: JudgeServer, now: datetime, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The look-up and the connection are one step, so the name is checked at each call."""
    monkeypatch.setattr(env, "allowed_private_targets", AllowedTargets())
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("127.0.0.1", 80))])
    connection = make_connection(project, url=f"{server.url.replace('127.0.0.1', name)}", now=now)
    result = find("models.test").call(caller, {"connection": connection.pk})
    assert result.error.startswith(f"{name} leads to an address that is not public.")
    assert "127.0.0.1 " not in result.error
    assert server.asked == []


def test_a_redirect_to_a_private_address_is_not_followed(
    project: Project, caller: Context, server: JudgeServer, now: datetime
) -> None:
    answer = error(307)
    answer.headers["Location"] = "http://169.254.169.254/latest"
    server.script = lambda _: answer
    connection = make_connection(project, url=server.url, now=now)
    result = find("models.test").call(caller, {"connection": connection.pk})
    assert "which Catalyst does not follow" in result.error
    assert len(server.asked) == 1


def test_closing_an_address_stops_its_connection(
    project: Project, caller: Context, server: JudgeServer, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = make_connection(project, url=server.url, now=now)
    monkeypatch.setattr(env, "allowed_private_targets", AllowedTargets())
    result = find("models.test").call(caller, {"connection": connection.pk})
    assert "is an address that is not public" in result.error
    assert "CATALYST_ALLOWED_PRIVATE_TARGETS" in result.error
    assert server.asked == []


def test_the_command_names_the_wrong_field(caller: Context) -> None:
    with pytest.raises(InvalidInput) as caught:
        find("models.create").call(caller, {"provider": "ollama", "name": "Own", "prices": {"llama3.1:8b": "0"}})
    assert list(caught.value.errors) == ["prices"]
    with pytest.raises(InvalidInput) as caught:
        find("models.create").call(caller, {"provider": "ollama", "name": "Own"})
    assert list(caught.value.errors) == ["base_url"]
    assert "127.0.0.1 is an address that is not public" in caught.value.errors["base_url"]
