"""Deliveries: each channel gets an event once, failures are tried again or end, and projects take turns."""

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from alerts import channel_settings, delivery, recipients, retention
from alerts.channels import kind as kinds
from alerts.models import Channel, Delivery, Recipient
from catalyst.core.actor import SYSTEM
from catalyst.core.models import AuditEntry, Project
from catalyst.env import env
from catalyst.ip_ranges import AllowedTargets
from catalyst.notifications import Severity, notify
from tests.alerts.mail_server import MailServer
from tests.alerts.service import Answer, Asked, Service, slack
from tests.factories import WEBHOOK, make_channel, make_message

pytestmark = pytest.mark.django_db

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


@pytest.fixture
def channel(project: Project, service: Service, now: datetime) -> Channel:
    return to(project, service, now)


def to(project: Project, service: Service, now: datetime, name: str = "On call", path: str = "/in") -> Channel:
    return make_channel(project, name, secrets=WEBHOOK | {"url": f"{service.url}{path}"}, now=now)


def tell(channels: Sequence[Channel], now: datetime, key: str = "event-1", **about: Any) -> None:
    notify(channels[0].project_id, "alert.fired", key, make_message(**about), [each.pk for each in channels], now=now)


def work(now: datetime) -> int:
    return delivery.work(lambda: now)


def states() -> list[str]:
    return list(Delivery.objects.order_by("pk").values_list("state", flat=True))


def only() -> Delivery:
    return Delivery.objects.get()


def test_a_channel_gets_an_event_once(channel: Channel, service: Service, now: datetime) -> None:
    for _ in range(2):
        tell([channel, channel], now)
    assert delivery.has_work(now)
    assert work(now) == 1
    tell([channel], now)
    assert work(now) == 0
    assert len(service.asked) == 1
    sent = only()
    assert (sent.state, sent.attempts, sent.ended_at, sent.answer) == ("sent", 1, now, "200 ok")
    channel.refresh_from_db()
    assert channel.last_sent_at == now
    assert not delivery.has_work(now + HOUR)


def test_it_is_queued_in_the_transaction_of_the_event(channel: Channel, now: datetime) -> None:
    with transaction.atomic():
        tell([channel], now)
        transaction.set_rollback(True)
    assert not Delivery.objects.exists()


def test_channels_of_others_and_deleted_ones_are_passed_over(
    channel: Channel, other_project: Project, service: Service, now: datetime
) -> None:
    foreign, deleted = to(other_project, service, now), to(channel.project, service, now, "Gone")
    channel_settings.delete(deleted, stops_users=True, by=SYSTEM, now=now)
    tell([channel, foreign, deleted], now)
    assert [row.channel_id for row in Delivery.objects.all()] == [channel.pk]


def test_a_disabled_channel_keeps_a_record(channel: Channel, service: Service, now: datetime) -> None:
    tell([channel], now, "before")
    channel_settings.disable(channel, by=SYSTEM, now=now)
    tell([channel], now, "after")
    assert work(now) == 0
    assert states() == ["dropped", "dropped"]
    assert all("Disabled by Catalyst." in row.error for row in Delivery.objects.all())
    channel_settings.enable(channel, by=SYSTEM, now=now)
    tell([channel], now, "after")
    assert work(now) == 0
    tell([channel], now, "later")
    assert work(now) == 1
    assert not service.asked[1:]


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_a_temporary_failure_is_tried_again(channel: Channel, service: Service, now: datetime, status: int) -> None:
    service.script = lambda _: Answer("busy", status)
    tell([channel], now)
    work(now)
    waiting = only()
    assert (waiting.state, waiting.attempts) == ("queued", 1)
    assert waiting.error == f"127.0.0.1 answered {status}: busy"
    assert 30 * SECOND <= waiting.due_at - now <= 36 * SECOND
    channel.refresh_from_db()
    assert (channel.disabled_at, channel.last_failed_at, channel.last_error) == (None, now, waiting.error)
    assert work(waiting.due_at - SECOND) == 0
    service.script = lambda _: Answer("ok")
    assert work(waiting.due_at) == 1
    assert states() == ["sent"]
    assert {asked.headers["idempotency-key"] for asked in service.asked} == {"event-1"}


def test_the_time_to_come_back_is_honored(channel: Channel, service: Service, now: datetime) -> None:
    service.script = lambda _: Answer("", 429, {"Retry-After": "600"})
    tell([channel], now, "a")
    tell([channel], now, "b", group="other")
    work(now)
    assert len(service.asked) == 1, "the service would refuse the second one, too"
    assert {row.due_at for row in Delivery.objects.all()} == {now + 600 * SECOND}


def test_pauses_grow_and_end(channel: Channel, service: Service, now: datetime) -> None:
    service.script = lambda _: Answer("", 500)
    tell([channel], now)
    moment, pauses = now, []
    while only().state == "queued":
        work(moment)
        pauses.append(only().due_at - moment)
        moment = only().due_at
    assert pauses[:7] == sorted(pauses[:7])
    assert max(pauses) <= 1.2 * HOUR
    assert (only().state, only().error) == ("failed", "127.0.0.1 answered 500.")
    assert moment - now <= delivery.MAX_AGE + 2 * HOUR
    assert len(service.asked) == only().attempts <= delivery.MAX_ATTEMPTS
    channel.refresh_from_db()
    assert channel.is_usable, "what may work later disables nothing"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer("gone", 404), "127.0.0.1 answered 404: gone"),
        (Answer("", 302, {"Location": "http://169.254.169.254/"}), "does not follow"),
    ],
)
def test_a_refusal_for_good_disables_the_channel(
    channel: Channel, service: Service, now: datetime, answer: Answer, said: str
) -> None:
    service.script = lambda _: answer
    tell([channel], now, "a")
    tell([channel], now, "b", group="other")
    work(now)
    channel.refresh_from_db()
    assert channel.disabled_at == now
    assert said in channel.disabled_reason
    assert states() == ["failed", "dropped"]
    assert len(service.asked) == 1
    entry = AuditEntry.objects.latest("pk")
    assert (entry.action, entry.actor_name, said in entry.detail) == ("disabled", "Catalyst", True)


def test_a_blocked_target_disables_the_channel_without_a_connection(
    channel: Channel, service: Service, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "allowed_private_targets", AllowedTargets())
    tell([channel], now)
    work(now)
    channel.refresh_from_db()
    assert "127.0.0.1 is an address that is not public" in channel.disabled_reason
    assert service.asked == []


def test_a_wrong_token_disables_a_bot(project: Project, service: Service, now: datetime) -> None:
    service.script = slack
    settings = {"api_url": f"{service.url}/api", "channel": "C0ALERTS"}
    bot = make_channel(project, kind="slack_bot", settings=settings, secrets={"token": "xoxb-bad"}, now=now)
    tell([bot], now)
    work(now)
    bot.refresh_from_db()
    assert bot.disabled_reason == "Slack answered invalid_auth. Enter a valid bot token."


def test_a_refused_message_fails_alone(channel: Channel, service: Service, now: datetime) -> None:
    service.script = lambda asked: Answer("no", 400 if asked.json["key"] == "a" else 200)
    tell([channel], now, "a")
    tell([channel], now, "b")
    work(now)
    assert states() == ["failed", "sent"]
    channel.refresh_from_db()
    assert channel.is_usable


def test_a_channel_that_was_changed_meanwhile_stays_enabled(channel: Channel, service: Service, now: datetime) -> None:
    tell([channel], now)
    (claimed,) = delivery.claim(1, now)
    Channel.objects.filter(pk=channel.pk).update(updated_at=now + SECOND)
    assert not channel_settings.disable_unchanged(claimed.channel, "No.", now=now)
    channel.refresh_from_db()
    assert channel.is_usable


def test_a_hanging_service_is_given_up(
    channel: Channel, service: Service, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kinds, "TIMEOUT_SECONDS", 0.3)
    service.script = lambda _: Answer(hangs=True)
    tell([channel], now)
    work(now)
    assert only().state == "queued"
    assert "did not finish its answer" in only().error


def test_messages_of_one_group_keep_their_order(channel: Channel, service: Service, now: datetime) -> None:
    service.script = lambda asked: Answer("", 500 if asked.json["key"] == "fired" else 200)
    tell([channel], now, "fired")
    tell([channel], now, "resolved", severity=Severity.RESOLVED)
    tell([channel], now, "elsewhere", group="alert-8")
    work(now)
    later = now + timedelta(minutes=2)
    Delivery.objects.filter(event_key="fired").update(due_at=later + SECOND)
    work(later)
    assert [asked.json["key"] for asked in service.asked] == ["fired", "elsewhere"]
    service.script = lambda _: Answer("ok")
    work(later + SECOND)
    assert [asked.json["key"] for asked in service.asked][2:] == ["fired", "resolved"]


def test_a_claim_holds_for_one_worker(channel: Channel, now: datetime) -> None:
    tell([channel], now)
    (claimed,) = delivery.claim(5, now)
    assert (claimed.attempts, claimed.due_at) == (1, now + delivery.LEASE)
    assert delivery.claim(5, now) == []
    (again,) = delivery.claim(5, now + delivery.LEASE)
    assert again.attempts == 2
    assert not delivery._end(claimed, "failed", now), "the first worker lost its claim"
    assert only().state == "queued"
    assert delivery._end(again, "sent", now)


def test_what_kills_its_workers_ends(channel: Channel, now: datetime) -> None:
    tell([channel], now)
    Delivery.objects.update(attempts=delivery.MAX_ATTEMPTS)
    assert work(now) == 0
    assert (only().state, only().error) == ("failed", "Every attempt ended without an answer.")


def test_a_row_that_can_not_be_read_fails_alone(channel: Channel, service: Service, now: datetime) -> None:
    tell([channel], now, "unreadable")
    Delivery.objects.update(message={"title": "Of another version"})
    tell([channel], now, "readable", group="other")
    work(now)
    assert states() == ["failed", "sent"]
    assert Delivery.objects.order_by("pk")[0].error == "Catalyst failed: ValidationError. Its log has more."


def test_secrets_that_can_not_be_decrypted_disable_the_channel(channel: Channel, now: datetime, settings: Any) -> None:
    tell([channel], now)
    settings.SECRET_KEY = "another one".ljust(50, ".")
    work(now)
    channel.refresh_from_db()
    assert channel.disabled_reason == "The secrets of the channel can't be decrypted. Enter them again."


def test_the_backlog_of_a_project_delays_no_other(
    project: Project, other_project: Project, service: Service, now: datetime
) -> None:
    """All of one project's channels hang. Another project's message goes out meanwhile."""
    arrived = threading.Event()

    def script(asked: Asked) -> Answer:
        if asked.path == "/other":
            arrived.set()
            return Answer("ok")
        assert arrived.wait(5), "the other project waits for this one"
        return Answer("ok")

    service.script = script
    busy = [to(project, service, now, f"Busy {number}") for number in range(2 * delivery.AT_ONCE)]
    for number in range(3):
        tell(busy, now, f"event-{number}")
    tell([to(other_project, service, now, path="/other")], now + SECOND)
    assert work(now + SECOND) == 3 * len(busy) + 1
    assert set(states()) == {"sent"}
    assert [asked.path for asked in service.asked].index("/other") <= delivery.AT_ONCE


def test_a_project_that_comes_later_gets_its_share_of_claims(
    project: Project, other_project: Project, service: Service, now: datetime
) -> None:
    tell([to(project, service, now, f"Busy {number}") for number in range(20)], now)
    held = delivery.claim(delivery.AT_ONCE, now)
    assert len(held) == delivery.AT_ONCE
    tell([to(other_project, service, now)], now)
    more = delivery.claim(delivery.AT_ONCE, now, held={project.pk: len(held)}, busy=[each.channel_id for each in held])
    assert [each.project_id for each in more] == [other_project.pk]


def test_no_more_is_claimed_than_there_are_threads(
    project: Project, other_project: Project, service: Service, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "MAX_THREADS", 1)
    tell([to(other_project, service, now)], now)
    tell([to(project, service, now)], now + SECOND)
    (claimed,) = delivery.claim(1, now + SECOND)
    assert claimed.project_id == other_project.pk, "it waits longest"
    held = {claimed.project_id: 1}
    assert delivery.claim(1, now + SECOND, held=held, busy=[claimed.channel_id]) == []


# Mail


@pytest.fixture
def mailed(project: Project, mail_server: MailServer, now: datetime) -> Channel:
    """A channel that mails ada and bob, who both confirmed."""
    addresses = {"addresses": "ada@example.com, bob@example.com"}
    channel = make_channel(project, kind="email", settings=addresses, now=now)
    Recipient.objects.update(confirmed_at=now, link_due_at=None)
    return channel


def test_each_address_gets_its_own_mail(mailed: Channel, mail_server: MailServer, now: datetime) -> None:
    tell([mailed], now)
    tell([mailed], now)
    assert work(now) == 2
    assert sorted(mail_server.recipients) == [["ada@example.com"], ["bob@example.com"]]
    assert len({mail["List-Unsubscribe"] for mail in mail_server.mails}) == 2


def test_only_confirmed_addresses_get_mail(project: Project, mail_server: MailServer, now: datetime) -> None:
    addresses = {"addresses": "ada@example.com, bob@example.com"}
    channel = make_channel(project, kind="email", settings=addresses, now=now)
    tell([channel], now, "nobody")
    assert work(now) == 0
    assert (only().state, only().error) == ("dropped", delivery.UNCONFIRMED)
    Recipient.objects.filter(address="ada@example.com").update(confirmed_at=now)
    tell([channel], now, "ada alone")
    work(now)
    assert mail_server.recipients == [["ada@example.com"]]


def test_who_stopped_mails_gets_none_of_those_that_wait(
    mailed: Channel, mail_server: MailServer, now: datetime
) -> None:
    tell([mailed], now)
    recipients.stop(Recipient.objects.get(address="ada@example.com"), now=now)
    work(now)
    assert mail_server.recipients == [["bob@example.com"]]
    assert sorted(states()) == ["dropped", "sent"]


def test_a_refused_address_gets_no_more_and_the_last_one_disables_the_channel(
    mailed: Channel, mail_server: MailServer, now: datetime
) -> None:
    mail_server.refuse = {"ada@example.com": "550 No such person"}
    tell([mailed], now, "a")
    work(now)
    mailed.refresh_from_db()
    assert mailed.is_usable
    assert "550 No such person" in Recipient.objects.get(address="ada@example.com").refused
    mail_server.refuse = {"bob@example.com": "550 Nor here"}
    tell([mailed], now, "b")
    work(now)
    mailed.refresh_from_db()
    assert "550 Nor here" in mailed.disabled_reason


def test_a_mail_server_that_is_away_disables_nothing(mailed: Channel, mail_server: MailServer, now: datetime) -> None:
    mail_server.stop()
    tell([mailed], now)
    work(now)
    assert states() == ["queued", "queued"]
    assert Channel.objects.get().is_usable


def test_old_messages_are_deleted(channel: Channel, now: datetime) -> None:
    tell([channel], now, "sent")
    work(now)
    Delivery.objects.update(created_at=now - timedelta(days=91))
    tell([channel], now, "new")
    assert retention.delete_expired_deliveries(now) == 1
    assert [row.event_key for row in Delivery.objects.all()] == ["new"]
