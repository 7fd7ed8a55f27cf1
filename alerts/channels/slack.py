"""Slack: an incoming webhook, or a bot that posts to a channel of one's choice."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

from alerts.channels.kind import Fault, Field, Kind, Notice, Secrets, SendError, Settings, answer, origin_of, url_error
from alerts.channels.kind import request as send_request
from alerts.channels.texts import sparkline, title_of
from catalyst.llm import plain
from catalyst.net import Response
from catalyst.notifications import Excerpt, Link, Message

MAX_BLOCKS = 50
MAX_HEADER = 150
MAX_TEXT = 3_000
MAX_FIELDS = 10
MAX_FIELD = 2_000
MAX_BLOCK_ID = 255
MAX_PLAIN = 300

API = "https://slack.com/api"
CHOICE_PAGES = 5
CHOICES_PER_PAGE = 200

_ESCAPED = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# Slack leaves it alone, but servers that speak like Slack would notify everybody.
_MENTION = re.compile(r"(?<!\w)@(?=\w)")

type Block = dict[str, Any]

# What `chat.postMessage` answers if no message can be posted before somebody changes something.
_OF_CHANNEL = {
    "access_denied",
    "account_inactive",
    "channel_not_found",
    "ekm_access_denied",
    "invalid_auth",
    "is_archived",
    "messages_tab_disabled",
    "missing_scope",
    "no_permission",
    "not_allowed_token_type",
    "not_authed",
    "not_in_channel",
    "org_login_required",
    "restricted_action",
    "restricted_action_read_only_channel",
    "team_access_not_granted",
    "token_expired",
    "token_revoked",
}
_OF_NOW = {
    "fatal_error",
    "internal_error",
    "ratelimited",
    "request_timeout",
    "rollup_error",
    "service_unavailable",
    "team_added_to_org",
}
_ADVICE = {
    "channel_not_found": "Choose another channel, or invite the bot to it.",
    "invalid_auth": "Enter a valid bot token.",
    "is_archived": "Choose another channel.",
    "missing_scope": "Give the bot the scopes chat:write, channels:read and groups:read.",
    "not_in_channel": "Invite the bot to the channel.",
}


def escape(text: str, limit: int) -> str:
    """Text that Slack shows as it is, in up to `limit` characters. No mention in it notifies anybody."""
    pieces, length = [], 0
    for character in _MENTION.sub("@\N{ZERO WIDTH SPACE}", text):
        piece = _ESCAPED.get(character, character)
        if length + len(piece) > limit - 1:
            pieces.append("…")
            break
        pieces.append(piece)
        length += len(piece)
    return "".join(pieces)


def blocks(message: Message, key: str) -> list[Block]:
    """The message within the limits of Block Kit."""
    title = {"type": "plain_text", "text": escape(title_of(message), MAX_HEADER), "emoji": True}
    made: list[Block] = [{"type": "header", "block_id": key[:MAX_BLOCK_ID], "text": title}]
    made.append(_section(escape(message.text, MAX_TEXT)))
    if fields := [_field(fact.name, fact.value) for fact in message.facts[:MAX_FIELDS]]:
        made.append({"type": "section", "fields": fields})
    if message.curve:
        line = f"{escape(message.curve.title, MAX_PLAIN)}\n{sparkline(message.curve)}"
        made.append({"type": "context", "elements": [_mrkdwn(line)]})
    made += [_section(_quoted(excerpt)) for excerpt in message.excerpts]
    if links := _links(message.links):
        made.append(_section(links))
    made.append({"type": "context", "elements": [_mrkdwn(_footer(message))]})
    return made[:MAX_BLOCKS]


def _mrkdwn(text: str) -> Block:
    return {"type": "mrkdwn", "text": text or " ", "verbatim": True}


def _section(text: str) -> Block:
    return {"type": "section", "text": _mrkdwn(text)}


def _field(name: str, value: str) -> Block:
    return _mrkdwn(f"*{escape(name, MAX_PLAIN)}*\n{escape(value, MAX_FIELD - MAX_PLAIN - 10)}")


def _quoted(excerpt: Excerpt) -> str:
    label = f"*{_link(Link(text=excerpt.label, url=excerpt.link.url))}*"
    said = f"{excerpt.reason}\n{excerpt.text}" if excerpt.text else excerpt.reason
    # The rest of a long text would be cut off with its link.
    lines = escape(said, MAX_TEXT - len(label) - 200).splitlines()[:20]
    return "\n".join([label, *(f">{line}" for line in lines)])


def _link(link: Link) -> str:
    url = link.url.replace("<", "%3C").replace(">", "%3E").replace("|", "%7C").replace("&", "&amp;")
    # A bar ends the address.
    text = escape(link.text, MAX_PLAIN).replace("|", "/")
    return f"<{url}|{text}>" if len(url) < MAX_TEXT // 2 else text


def _links(links: Sequence[Link]) -> str:
    text = ""
    for link in map(_link, links):
        joined = f"{text}  ·  {link}" if text else link
        text = joined if len(joined) <= MAX_TEXT else text
    return text


def _footer(message: Message) -> str:
    return f"{escape(message.project, MAX_PLAIN)}  ·  {message.sent_for:%Y-%m-%d %H:%M} UTC"


class SlackWebhook(Kind):
    key = "slack"
    name = "Slack, by incoming webhook"
    about = "Posts to the channel that the webhook was made for."
    fields = (
        Field(
            "url",
            "Webhook URL",
            "From your Slack app, Incoming Webhooks. It begins with https://hooks.slack.com/.",
            is_secret=True,
        ),
    )

    def errors(self, settings: Settings, secrets: Secrets) -> Iterator[tuple[str, str]]:
        if text := url_error(secrets["url"]):
            yield "url", text

    def address(self, settings: Settings, secrets: Secrets) -> str:
        return f"{origin_of(secrets['url'])}/…"

    def goes_to(self, settings: Settings, secrets: Secrets) -> str:
        return origin_of(secrets.get("url", ""))

    def send(self, settings: Settings, secrets: Secrets, notice: Notice) -> str:
        message = notice.message
        body = {"text": escape(title_of(message), MAX_PLAIN), "blocks": blocks(message, notice.key)}
        unfurling = {"unfurl_links": False, "unfurl_media": False}
        response = send_request(
            "POST",
            secrets["url"],
            headers={"Content-Type": "application/json"},
            content=json.dumps(body | unfurling).encode(),
            secrets=secrets,
            now=notice.now,
        )
        return answer(response, secrets)


class SlackBot(Kind):
    key = "slack_bot"
    name = "Slack, by bot"
    about = "Posts to a channel of your choice, with the token of a bot."
    choice_field = "channel"
    fields = (
        Field(
            "token",
            "Bot token",
            "From your Slack app, OAuth & Permissions. It begins with xoxb-. "
            "The bot needs the scopes chat:write, channels:read and groups:read.",
            is_secret=True,
        ),
        Field("channel", "Channel", "Its ID, such as C0123456789. Invite the bot to it.", max_characters=80),
        Field(
            "api_url",
            "Address of the API",
            "Another one for GovSlack only: https://slack-gov.com/api.",
            max_characters=200,
            default=API,
        ),
    )

    def errors(self, settings: Settings, secrets: Secrets) -> Iterator[tuple[str, str]]:
        if text := url_error(settings["api_url"]):
            yield "api_url", text
        if not re.fullmatch(r"#?[\w-]{1,80}", settings["channel"]):
            yield "channel", "Enter the ID of a channel, such as C0123456789, or its name, such as #alerts."
        if not secrets["token"].isascii() or " " in secrets["token"]:
            yield "token", "This has characters that no token has. Copy it again."

    def address(self, settings: Settings, secrets: Secrets) -> str:
        return f"{settings['channel']} at {origin_of(settings['api_url'])}"

    def goes_to(self, settings: Settings, secrets: Secrets) -> str:
        return origin_of(settings.get("api_url", ""))

    def choices(self, settings: Settings, secrets: Secrets) -> Sequence[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        query: dict[str, str] = {"types": "public_channel,private_channel", "exclude_archived": "true"}
        query["limit"] = str(CHOICES_PER_PAGE)
        for _ in range(CHOICE_PAGES):
            data = self._call(settings, secrets, f"conversations.list?{urlencode(query)}")
            found += [(str(each.get("id")), f"#{each.get('name')}") for each in _objects(data.get("channels"))]
            cursor = str((data.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                break
            query["cursor"] = cursor
        return sorted(found, key=lambda choice: choice[1])

    def send(self, settings: Settings, secrets: Secrets, notice: Notice) -> str:
        message = notice.message
        body = {
            "channel": settings["channel"],
            "text": escape(title_of(message), MAX_PLAIN),
            "blocks": blocks(message, notice.key),
            "metadata": {"event_type": "catalyst_message", "event_payload": {"key": notice.key, "kind": notice.kind}},
            "unfurl_links": False,
            "unfurl_media": False,
        }
        data = self._call(settings, secrets, "chat.postMessage", json.dumps(body).encode(), notice)
        return f"ok, message {plain(str(data.get('ts')), 40)} in {plain(str(data.get('channel')), 40)}"

    def _call(
        self, settings: Settings, secrets: Secrets, method: str, body: bytes = b"", notice: Notice | None = None
    ) -> dict[str, Any]:
        response = send_request(
            "POST" if body else "GET",
            f"{settings['api_url'].rstrip('/')}/{method}",
            headers={
                "Authorization": f"Bearer {secrets['token']}",
                "Content-Type": "application/json; charset=utf-8",
            },
            content=body,
            secrets=secrets,
            now=notice.now if notice else None,
        )
        data = _json_of(response)
        if data.get("ok") is not True:
            raise _error_of(str(data.get("error")) if "error" in data else answer(response, secrets))
        return data


def _json_of(response: Response) -> dict[str, Any]:
    try:
        data = json.loads(response.content)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _objects(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _error_of(error: str) -> SendError:
    advice = _ADVICE.get(error, "")
    fault = Fault.CHANNEL if error in _OF_CHANNEL else Fault.NOW if error in _OF_NOW else Fault.MESSAGE
    return SendError(f"Slack answered {plain(error, 200) or 'nothing'}.{f' {advice}' if advice else ''}", fault)
