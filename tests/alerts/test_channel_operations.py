"""Channels: who may send where, and what becomes of their secrets."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from django.core.management import call_command

from alerts import channel_settings, delivery
from alerts.models import Channel, Delivery
from catalyst import registry
from catalyst.core.actor import SYSTEM
from catalyst.core.models import AuditEntry, Project
from catalyst.core.operation_context import Context, for_system
from catalyst.env import env
from catalyst.notifications import notify
from catalyst.operations import InvalidInput, NotFound, find
from catalyst.registry import ChannelUse
from tests.alerts.service import Answer, Service, slack
from tests.factories import WEBHOOK, make_channel, make_message
from tests.rows import stored_rows

pytestmark = pytest.mark.django_db

HEADER = "X-Token: tenant-token-5678"


@pytest.fixture
def caller(project: Project, now: datetime) -> Context:
    return for_system(project, now)


@pytest.fixture
def channel(project: Project, now: datetime) -> Channel:
    return make_channel(project, secrets=WEBHOOK | {"headers": HEADER}, now=now)


def secrets_of(channel: Channel) -> dict[str, str]:
    channel.refresh_from_db()
    return channel.reveal_secrets()


def call(verb: str, caller: Context, **arguments: Any) -> Any:
    return find(f"channels.{verb}").call(caller, arguments)


def errors_of(caller: Context, verb: str = "create", **arguments: Any) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        call(verb, caller, **arguments)
    return caught.value.errors


@pytest.fixture
def used(channel: Channel) -> Iterator[None]:
    """Something sends to the channel."""
    use = ChannelUse(
        name="schedules", order=99, users=lambda ids: {pk: [("Weekly report", "/somewhere/")] for pk in ids}
    )
    registry.register(use)
    yield
    registry.unregister(use)


def test_secrets_are_stored_encrypted_and_in_no_result(channel: Channel, caller: Context) -> None:
    assert secrets_of(channel) == WEBHOOK | {"headers": HEADER}
    hidden = ("hidden-1234", "tenant-token", WEBHOOK["signing_secret"])
    assert not [row for row in stored_rows() for word in hidden if word in row]
    for name, arguments in (
        ("channels.list", {}),
        ("channels.show", {"channel": channel.pk}),
        ("channels.edit", {"channel": channel.pk, "name": "Renamed"}),
        ("channels.deliveries", {"channel": channel.pk}),
        ("audit.list", {}),
    ):
        operation = find(name)
        shown = operation.dump(operation.call(caller, arguments)).decode()
        assert not [word for word in hidden if word in shown], name
    record = call("show", caller, channel=channel.pk)
    assert record.secrets == ["headers", "signing_secret", "url"]
    assert record.address == "https://hooks.invalid/…"


@pytest.mark.parametrize(
    ("url", "moves"),
    [
        ("https://hooks.invalid/other", False),
        ("https://hooks.invalid:443/in", False),
        ("http://hooks.invalid/in", True),
        ("https://hooks.invalid:8443/in", True),
        ("https://other.invalid/in", True),
    ],
)
def test_another_scheme_host_or_port_clears_what_would_go_along(
    channel: Channel, caller: Context, url: str, moves: bool
) -> None:
    if moves:
        errors = errors_of(caller, "edit", channel=channel.pk, secrets={"url": url})
        assert list(errors) == ["signing_secret"]
        assert "The address goes elsewhere now." in errors["signing_secret"]
        assert secrets_of(channel) == WEBHOOK | {"headers": HEADER}
    new = {"url": url, "signing_secret": WEBHOOK["signing_secret"]}
    changed = call("edit", caller, channel=channel.pk, secrets=new)
    assert changed.secrets_cleared == (["Headers"] if moves else [])
    assert secrets_of(channel) == (new if moves else new | {"headers": HEADER})
    entry = AuditEntry.objects.latest("pk")
    assert ("stored secrets cleared with the address" in entry.detail) is moves


def test_a_token_does_not_follow_an_address_that_is_no_secret(project: Project, caller: Context, now: datetime) -> None:
    bot = make_channel(project, kind="slack_bot", settings={"channel": "C1"}, secrets={"token": "xoxb-1"}, now=now)
    moved = {"api_url": "https://evil.example/api"}
    assert list(errors_of(caller, "edit", channel=bot.pk, settings=moved)) == ["token"]
    assert secrets_of(bot) == {"token": "xoxb-1"}
    call("edit", caller, channel=bot.pk, settings={"channel": "C2"})
    bot.refresh_from_db()
    assert (bot.settings["channel"], bot.reveal_secrets()) == ("C2", {"token": "xoxb-1"})
    assert bot.address == "C2 at https://slack.com"


def test_what_is_not_given_stays_and_an_empty_secret_is_deleted(channel: Channel, caller: Context) -> None:
    call("edit", caller, channel=channel.pk, name="Renamed")
    assert secrets_of(channel) == WEBHOOK | {"headers": HEADER}
    call("edit", caller, channel=channel.pk, secrets={"headers": ""})
    assert secrets_of(channel) == WEBHOOK
    assert list(errors_of(caller, "edit", channel=channel.pk, secrets={"url": ""})) == ["url"]


def test_every_change_is_in_the_audit_log(channel: Channel, caller: Context) -> None:
    call("edit", caller, channel=channel.pk, name="Renamed")
    call("edit", caller, channel=channel.pk, name="Renamed")
    for name in ("disable", "disable", "enable", "enable", "delete"):
        call(name, caller, channel=channel.pk)
    entries = AuditEntry.objects.order_by("pk").values_list("action", "kind", "target_name")
    actions = ["created", "changed", "disabled", "enabled", "deleted"]
    assert [action for action, _, _ in entries] == actions
    assert {kind for _, kind, _ in entries} == {"channel"}


def test_it_opts_in_to_messages_about_judges(channel: Channel, caller: Context) -> None:
    assert not call("show", caller, channel=channel.pk).judge_outages
    assert call("edit", caller, channel=channel.pk, judge_outages=True).channel.judge_outages
    call("edit", caller, channel=channel.pk, name="Renamed")
    assert call("show", caller, channel=channel.pk).judge_outages, "what is not given stays"
    call_command("channels", "edit", str(channel.pk), "--no-judge-outages")
    assert not call("show", caller, channel=channel.pk).judge_outages
    details = list(AuditEntry.objects.order_by("pk").values_list("detail", flat=True))[1:]
    assert details == ["judge outages on", "name", "judge outages off"]


@pytest.mark.parametrize(
    ("field", "about"),
    [
        ("kind", {"kind": "pigeon"}),
        ("kind", {"kind": "apprise", "secrets": {"url": "discord://a/b"}}),
        ("kind", {"settings": {"color": "red"}}),
        ("kind", {"secrets": WEBHOOK | {"password": "x"}}),
        ("name", {"name": " "}),
        ("name", {"name": "x" * 101}),
        ("name", {"name": "On\u202ecall"}),
        ("url", {"secrets": WEBHOOK | {"url": "http://127.0.0.1/in"}}),
        ("url", {"secrets": WEBHOOK | {"url": "http://169.254.169.254/latest"}}),
        ("url", {"secrets": WEBHOOK | {"url": "http://metadata.google.internal/"}}),
        ("url", {"secrets": WEBHOOK | {"url": "x" * 1_001}}),
        ("channel", {"kind": "slack_bot", "settings": {"channel": "a b"}, "secrets": {"token": "xoxb-1"}}),
        ("token", {"kind": "slack_bot", "settings": {"channel": "C1"}, "secrets": {"token": "xoxb 1"}}),
        ("addresses", {"kind": "email", "settings": {"addresses": "ada"}, "secrets": {}}),
    ],
)
def test_it_refuses_what_can_not_work(caller: Context, field: str, about: dict[str, Any]) -> None:
    values: dict[str, Any] = {"kind": "webhook", "name": "On call", "secrets": WEBHOOK} | about
    assert list(errors_of(caller, **values)) == [field]
    assert not Channel.objects.exists()


def test_a_name_is_unique_until_its_channel_is_deleted(channel: Channel, caller: Context) -> None:
    values: dict[str, Any] = {"kind": "webhook", "name": "ON CALL", "secrets": WEBHOOK}
    assert list(errors_of(caller, **values)) == ["name"]
    call("delete", caller, channel=channel.pk)
    assert call("create", caller, **values).name == "ON CALL"


def test_a_project_has_few_channels(project: Project, caller: Context, now: datetime) -> None:
    for number in range(channel_settings.MAX_CHANNELS):
        make_channel(project, f"Channel {number}", now=now)
    assert "at most 50" in errors_of(caller, kind="webhook", name="One more", secrets=WEBHOOK)[""]


@pytest.mark.usefixtures("used")
def test_deleting_names_what_sends_to_it(channel: Channel, caller: Context, now: datetime) -> None:
    notify(channel.project_id, "alert.fired", "key", make_message(), [channel.pk], now=now)
    assert call("show", caller, channel=channel.pk).used_by == ["Weekly report"]
    assert "These send to it: Weekly report." in errors_of(caller, "delete", channel=channel.pk)[""]
    assert call("delete", caller, channel=channel.pk, stop_users=True).stopped == ["Weekly report"]
    assert secrets_of(channel) == {}
    assert Delivery.objects.get().error == "The channel was deleted."
    with pytest.raises(NotFound):
        call("show", caller, channel=channel.pk)


def test_a_test_shows_the_real_answer(project: Project, service: Service, caller: Context, now: datetime) -> None:
    channel = make_channel(project, secrets=WEBHOOK | {"url": f"{service.url}/in?token=hidden-1234"}, now=now)
    service.script = lambda _: Answer("thank you", 202)
    result = call("test", caller, channel=channel.pk)
    assert (result.delivered, result.answer) == (True, "202 thank you")
    assert service.asked[0].json["kind"] == "channel.test"
    service.script = lambda asked: Answer(f"bad {asked.path}", 403)
    result = call("test", caller, channel=channel.pk)
    assert not result.delivered
    assert result.answer.startswith("127.0.0.1 answered 403: bad /in?")
    assert "hidden" not in result.answer
    channel.refresh_from_db()
    assert channel.is_usable, "a test disables nothing"
    assert not Delivery.objects.exists()


def test_tests_are_limited(project: Project, service: Service, caller: Context, now: datetime) -> None:
    channel = make_channel(project, secrets=WEBHOOK | {"url": f"{service.url}/in"}, now=now)
    results = [call("test", caller, channel=channel.pk) for _ in range(21)]
    assert [result.delivered for result in results] == [True] * 20 + [False]
    assert results[-1].answer == delivery.TOO_MANY_TESTS
    assert len(service.asked) == 20


def test_the_channels_of_slack_are_listed(project: Project, service: Service, caller: Context, now: datetime) -> None:
    service.script = slack
    settings = {"api_url": f"{service.url}/api", "channel": "C0ALERTS"}
    bot = make_channel(project, kind="slack_bot", settings=settings, secrets={"token": "xoxb-good"}, now=now)
    found = call("choices", caller, channel=bot.pk).choices
    assert [(choice.id, choice.name) for choice in found] == [("C0ALERTS", "#alerts"), ("C0OTHER", "#other")]
    call("edit", caller, channel=bot.pk, secrets={"token": "xoxb-bad"})
    with pytest.raises(NotFound, match="invalid_auth"):
        call("choices", caller, channel=bot.pk)


def test_deliveries_are_listed_by_page(channel: Channel, caller: Context, now: datetime) -> None:
    for number in range(5):
        notify(channel.project_id, "alert.fired", f"key-{number}", make_message(), [channel.pk], now=now)
    page = call("deliveries", caller, channel=channel.pk, limit=3)
    assert [each.key for each in page.items] == ["key-4", "key-3", "key-2"]
    rest = call("deliveries", caller, channel=channel.pk, limit=3, after=page.next)
    assert [each.key for each in rest.items] == ["key-1", "key-0"]
    assert rest.next is None
    assert page.items[0].title == "Refunds fired"


def test_apprise_can_be_enabled_only_where_the_operator_allows_it(
    project: Project, caller: Context, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "apprise", True)
    secrets = {"url": "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js"}
    channel = make_channel(project, kind="apprise", secrets=secrets, now=now)
    assert channel.address == "Discord"
    monkeypatch.setattr(env, "apprise", False)
    notify(project.pk, "alert.fired", "key", make_message(), [channel.pk], now=now)
    delivery.work(lambda: now)
    channel.refresh_from_db()
    assert "CATALYST_APPRISE" in channel.disabled_reason
    assert "CATALYST_APPRISE" in errors_of(caller, "enable", channel=channel.pk)[""]
    monkeypatch.setattr(env, "apprise", True)
    assert call("enable", caller, channel=channel.pk).enabled


def test_the_command_does_what_the_pages_do(
    project: Project, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    given = tmp_path / "channel.json"
    given.write_text(json.dumps({"secrets": WEBHOOK}))
    create = ["create", "--kind", "webhook", "--name", "On call", "--input", str(given), "--json"]
    call_command("channels", *create)
    made = json.loads(capsys.readouterr().out)
    call_command("channels", "disable", made["id"])
    assert "Disabled by Catalyst." in capsys.readouterr().out
    call_command("channels", "list", "--json")
    assert [each["enabled"] for each in json.loads(capsys.readouterr().out)["channels"]] == [False]
    channel_settings.delete(Channel.objects.get(), stops_users=False, by=SYSTEM, now=project.created_at)


@pytest.mark.django_db(transaction=True)
def test_a_channel_is_enabled_in_a_transaction_of_its_own(channel: Channel, caller: Context) -> None:
    """Pages and commands begin none."""
    call("disable", caller, channel=channel.pk)
    assert call("enable", caller, channel=channel.pk).enabled
