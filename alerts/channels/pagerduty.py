"""PagerDuty's Events API v2: a message triggers an incident, and the one that resolves it has the same group."""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

from alerts.channels.kind import (
    Fault,
    Field,
    Kind,
    Notice,
    Secrets,
    SendError,
    Settings,
    answer,
    cut,
    origin_of,
    request,
    url_error,
)
from alerts.channels.texts import as_text, one_line
from catalyst.notifications import Message, Severity

EVENTS = "https://events.pagerduty.com/v2/enqueue"
MAX_SUMMARY = 1_024
MAX_DEDUP_KEY = 255
MAX_LINKS = 10
# An event may have 512 KB.
MAX_DETAIL = 8_000


def dedup_key(group: str) -> str:
    return group if len(group) <= MAX_DEDUP_KEY else hashlib.sha256(group.encode()).hexdigest()


def event(message: Message, routing_key: str, key: str) -> dict[str, Any]:
    made: dict[str, Any] = {"routing_key": routing_key, "dedup_key": dedup_key(message.group)}
    if message.severity == Severity.RESOLVED:
        return made | {"event_action": "resolve"}
    details = {fact.name: cut(fact.value, MAX_SUMMARY) for fact in message.facts}
    return made | {
        "event_action": "trigger",
        "client": "Catalyst",
        "links": [{"href": link.url, "text": link.text} for link in message.links[:MAX_LINKS]],
        "payload": {
            "summary": cut(one_line(message.title), MAX_SUMMARY),
            "source": message.project or "Catalyst",
            "severity": str(message.severity),
            "timestamp": message.sent_for.isoformat(),
            "custom_details": details | {"message": cut(as_text(message), MAX_DETAIL), "key": key},
        },
    }


class PagerDuty(Kind):
    key = "pagerduty"
    name = "PagerDuty"
    about = "Triggers an incident, and resolves it when the cause is gone."
    fields = (
        Field(
            "routing_key",
            "Integration key",
            "Of a service with the integration Events API v2: 32 letters and digits.",
            is_secret=True,
        ),
        Field(
            "events_url",
            "Address of the API",
            "Another one for accounts in the EU: https://events.eu.pagerduty.com/v2/enqueue.",
            max_characters=200,
            default=EVENTS,
        ),
    )

    def errors(self, settings: Settings, secrets: Secrets) -> Iterator[tuple[str, str]]:
        if not re.fullmatch(r"[0-9A-Za-z]{32}", secrets["routing_key"]):
            yield "routing_key", "An integration key has 32 letters and digits."
        if text := url_error(settings["events_url"]):
            yield "events_url", text

    def address(self, settings: Settings, secrets: Secrets) -> str:
        return origin_of(settings["events_url"])

    def goes_to(self, settings: Settings, secrets: Secrets) -> str:
        return origin_of(settings.get("events_url", ""))

    def send(self, settings: Settings, secrets: Secrets, notice: Notice) -> str:
        content = json.dumps(event(notice.message, secrets["routing_key"], notice.key)).encode()
        try:
            response = request(
                "POST",
                settings["events_url"],
                headers={"Content-Type": "application/json"},
                content=content,
                secrets=secrets,
                now=notice.now,
            )
        except SendError as error:
            # A wrong key gets the status of a wrong event.
            if error.fault == Fault.MESSAGE and "routing_key" in str(error):
                raise SendError(f"{error} Enter the integration key again.", Fault.CHANNEL) from error
            raise
        return f"{response.status} {answer(response, secrets)}".strip()
