"""Slack: messages within its limits, hostile text inert, and what its answers mean."""

import json
from datetime import datetime
from typing import Any

import pytest

from alerts.channels.kind import Fault, Notice, SendError
from alerts.channels.slack import SlackBot, SlackWebhook, blocks, escape
from catalyst.notifications import Curve, Excerpt, Fact, Link, Message, Severity
from tests.alerts.service import Answer, Asked, Service, faults, slack
from tests.factories import make_message

NAUGHTY = "<!here> @channel @everyone <@U123> <https://evil.example|click> & *bold* \u202e\n> quote"
LINK = Link(text="Open", url="https://catalyst.example/?a=1&b=<2>|3")


def notice(now: datetime, **about: Any) -> Notice:
    return Notice("alert.fired", "alert-7-fired", make_message(**about), now)


def webhook(service: Service) -> dict[str, str]:
    return {"url": f"{service.url}/services/T000/B000/XXXXhidden"}


def bot(service: Service, channel: str = "C0ALERTS") -> dict[str, str]:
    return {"api_url": f"{service.url}/api", "channel": channel}


def longest() -> Message:
    """Everything as long as messages may have it, and longer than Slack takes it."""
    text = "<&>@here " * 2_000
    link = Link(text=text, url="https://catalyst.example/" + "x" * 400)
    return make_message(
        title=text,
        text=text,
        project=text,
        facts=tuple(Fact(name=text, value=text) for _ in range(60)),
        excerpts=tuple(Excerpt(label=text, reason=text, text=text, link=link) for _ in range(3)),
        curve=Curve(title=text, points=tuple(range(200))),
        links=tuple(link for _ in range(30)),
    )


@pytest.mark.parametrize("message", [longest(), make_message(), make_message(text="", facts=(), links=(), curve=None)])
def test_a_message_is_within_the_limits(message: Message) -> None:
    made = {"text": "x", "blocks": blocks(message, "k" * 400)}
    assert faults(made) == []


def test_hostile_text_notifies_nobody_and_links_nowhere() -> None:
    excerpt = Excerpt(label=NAUGHTY, reason=NAUGHTY, text=NAUGHTY, link=LINK)
    message = make_message(title=NAUGHTY, text=NAUGHTY, excerpts=(excerpt,), facts=(Fact(name="x", value=NAUGHTY),))
    sent = json.dumps(blocks(message, "key"), ensure_ascii=False)
    assert "<!" not in sent
    assert "<@" not in sent
    assert "@channel" not in sent
    assert "@everyone" not in sent
    assert "<https://evil.example" not in sent
    assert "<https://catalyst.example/?a=1&amp;b=%3C2%3E%7C3|" in sent


@pytest.mark.parametrize("limit", range(1, 12))
def test_text_is_cut_between_entities(limit: int) -> None:
    cut = escape("a<b>c&d", limit)
    assert len(cut) <= limit
    assert cut.count("&") == cut.count(";")
    assert escape("a<b", 20) == "a&lt;b"


def test_it_posts_to_an_incoming_webhook(service: Service, now: datetime) -> None:
    service.script = slack
    assert SlackWebhook().send({}, webhook(service), notice(now)) == "ok"
    (asked,) = service.asked
    assert asked.json["blocks"][0]["block_id"] == "alert-7-fired"
    assert "Refunds fired" in asked.json["text"]
    shown = json.dumps(asked.json, ensure_ascii=False)
    for part in ("42%", "480 of 512", "Asks for money back.", "Share of yes", "Open the alert", "▃▅ █"):
        assert part in shown


def test_a_bot_posts_to_the_channel_of_ones_choice(service: Service, now: datetime) -> None:
    service.script = slack
    secrets = {"token": "xoxb-good"}
    choices = SlackBot().choices(bot(service), secrets)
    assert choices == [("C0ALERTS", "#alerts"), ("C0OTHER", "#other")]
    answer = SlackBot().send(bot(service), secrets, notice(now))
    assert answer == "ok, message 1503435956.000247 in C0ALERTS"
    asked = service.asked[-1].json
    assert (asked["channel"], asked["unfurl_links"]) == ("C0ALERTS", False)
    assert asked["metadata"]["event_payload"]["key"] == "alert-7-fired"


@pytest.mark.parametrize(
    ("answer", "fault", "said"),
    [
        (Answer("no_service", 404), Fault.CHANNEL, "127.0.0.1 answered 404: no_service"),
        (Answer("invalid_token", 403), Fault.CHANNEL, "invalid_token"),
        (Answer("channel_is_archived", 410), Fault.CHANNEL, "channel_is_archived"),
        (Answer("invalid_payload", 400), Fault.MESSAGE, "invalid_payload"),
        (Answer("rollup_error", 500), Fault.NOW, "rollup_error"),
        (Answer("", 502), Fault.NOW, "127.0.0.1 answered 502."),
        (Answer("slow down", 429, {"Retry-After": "37"}), Fault.NOW, "slow down"),
        (Answer("", 302, {"Location": "http://169.254.169.254/latest"}), Fault.CHANNEL, "does not follow"),
    ],
)
def test_answers_of_a_webhook(service: Service, now: datetime, answer: Answer, fault: Fault, said: str) -> None:
    service.script = lambda _: answer
    with pytest.raises(SendError) as caught:
        SlackWebhook().send({}, webhook(service), notice(now))
    assert (caught.value.fault, caught.value.permanent) == (fault, fault != Fault.NOW)
    assert said in str(caught.value)
    assert caught.value.retry_after == (37 if answer.status == 429 else None)
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    ("token", "channel", "fault", "said"),
    [
        ("xoxb-bad", "C0ALERTS", Fault.CHANNEL, "invalid_auth"),
        ("xoxb-good", "C0NOWHERE", Fault.CHANNEL, "channel_not_found"),
    ],
)
def test_answers_of_the_api(service: Service, now: datetime, token: str, channel: str, fault: Fault, said: str) -> None:
    service.script = slack
    with pytest.raises(SendError, match=said) as caught:
        SlackBot().send(bot(service, channel), {"token": token}, notice(now))
    assert caught.value.fault == fault


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"ok": False, "error": "internal_error"}, Fault.NOW),
        ({"ok": False, "error": "ratelimited"}, Fault.NOW),
        ({"ok": False, "error": "invalid_blocks"}, Fault.MESSAGE),
        ("<html>", Fault.MESSAGE),
        ([], Fault.MESSAGE),
    ],
)
def test_other_answers_of_the_api(service: Service, now: datetime, body: object, fault: Fault) -> None:
    service.script = lambda _: Answer(body)
    with pytest.raises(SendError) as caught:
        SlackBot().send(bot(service), {"token": "xoxb-good"}, notice(now))
    assert caught.value.fault == fault


def test_an_answer_shows_no_secret(service: Service, now: datetime) -> None:
    def repeats(asked: Asked) -> Answer:
        return Answer(f"{asked.headers.get('authorization')} to {asked.path} is wrong", 404)

    service.script = repeats
    for kind, settings, secrets in (
        (SlackWebhook(), {}, webhook(service)),
        (SlackBot(), bot(service), {"token": "xoxb-very-secret"}),
    ):
        with pytest.raises(SendError) as caught:
            kind.send(settings, secrets, notice(now))
        assert "hidden" not in str(caught.value)
        assert "very-secret" not in str(caught.value)
        assert "is wrong" in str(caught.value)


def test_resolved_messages_look_different() -> None:
    resolved = blocks(make_message(severity=Severity.RESOLVED), "key")[0]["text"]["text"]
    assert resolved != blocks(make_message(), "key")[0]["text"]["text"]
