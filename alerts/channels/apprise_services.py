"""Everything else that Apprise knows, where the operator allows it: Apprise's own HTTP is not guarded.

So the services are a fixed list of hosted ones, whose host nobody can choose. Queries are mostly left out, since they
could name files or turn off checks. Nothing is attached, and no plugins are looked for.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from alerts.channels.kind import Fault, Field, Kind, Notice, Secrets, SendError, Settings, cut, without_secrets
from alerts.channels.texts import as_text, title_of
from catalyst.env import env
from catalyst.notifications import Severity

SERVICES = {
    "dingtalk": "DingTalk",
    "discord": "Discord",
    "feishu": "Feishu",
    "flock": "Flock",
    "gchat": "Google Chat",
    "ifttt": "IFTTT",
    "lark": "Lark",
    "line": "LINE",
    "opsgenie": "Opsgenie",
    "pbul": "Pushbullet",
    "pover": "Pushover",
    "prowl": "Prowl",
    "spush": "SimplePush",
    "tgram": "Telegram",
    "victorops": "Splunk On-Call",
    "workflows": "Microsoft Teams",
    "wxteams": "Webex",
}
# Their host is part of the URL.
HOSTS = {"workflows": (".logic.azure.com", ".api.powerplatform.com")}
PARAMETERS = {"pa", "powerautomate", "priority", "region", "silent", "sound", "thread", "topic"}
# Without % nothing is decoded into another host or path.
_CHARACTERS = re.compile(r"[a-z]+://[A-Za-z0-9._~:@/+=,!$*?&-]+")
_SEVERITIES = {
    Severity.CRITICAL: "failure",
    Severity.WARNING: "warning",
    Severity.INFO: "info",
    Severity.RESOLVED: "success",
}
_STATUS = re.compile(r"error\s*[=:]\s*(\d{3})")
_OF_CHANNEL = {"401", "403", "404", "410"}
MAX_SECONDS = 15
MAX_BODY = 3_000


class Apprise(Kind):
    key = "apprise"
    name = "Other services, by Apprise"
    about = f"Posts to one of: {', '.join(sorted(SERVICES.values()))}."
    fields = (
        Field(
            "url",
            "Apprise URL",
            "Such as discord://WEBHOOK_ID/WEBHOOK_TOKEN or tgram://BOT_TOKEN/CHAT_ID.",
            is_secret=True,
            max_characters=1_000,
        ),
    )

    @property
    def unavailable(self) -> str:
        return "" if env.apprise else "The operator has not turned it on with CATALYST_APPRISE."

    def errors(self, settings: Settings, secrets: Secrets) -> Iterator[tuple[str, str]]:
        if text := _url_error(secrets["url"]):
            yield "url", text
        elif _service(secrets["url"]) is None:
            yield "url", f"This is no Apprise URL of {SERVICES[_scheme(secrets['url'])]}. Copy it again."

    def address(self, settings: Settings, secrets: Secrets) -> str:
        return SERVICES[_scheme(secrets["url"])]

    def goes_to(self, settings: Settings, secrets: Secrets) -> str:
        return _scheme(secrets.get("url", ""))

    def send(self, settings: Settings, secrets: Secrets, notice: Notice) -> str:
        # Also a channel that was made when more was allowed.
        if text := self.unavailable or _url_error(secrets["url"]):
            raise SendError(text, Fault.CHANNEL)
        service = _service(secrets["url"])
        if service is None:
            raise SendError("Apprise does not know this URL.", Fault.CHANNEL)
        import apprise  # noqa: PLC0415, takes a while

        said: list[str] = []
        sender = apprise.Apprise(asset=_asset())
        sender.add(service)
        sent = sender.notify(
            title=title_of(notice.message),
            body=cut(as_text(notice.message), MAX_BODY),
            body_format="text",
            notify_type=_SEVERITIES[notice.message.severity],
            timeout=MAX_SECONDS,
            log_level=30,
            log_callback=lambda entry, _service: said.append(str(entry.message)),
        )
        if sent:
            return "Apprise sent it."
        text = without_secrets(" ".join(said), secrets.values())
        raise SendError(f"Apprise could not send it: {text or 'no reason was given.'}", _fault_of(text))


def _fault_of(text: str) -> Fault:
    found = _STATUS.search(text)
    return Fault.CHANNEL if found and found[1] in _OF_CHANNEL else Fault.NOW


def _scheme(url: str) -> str:
    return url.partition("://")[0].lower()


def _url_error(url: str) -> str:
    scheme = _scheme(url)
    if scheme not in SERVICES:
        return f"Use one of these: {', '.join(f'{each}://' for each in SERVICES)}."
    if not _CHARACTERS.fullmatch(url):
        return "An Apprise URL has letters, digits and few other characters here, and no %."
    parts = urlsplit(url)
    if unknown := {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)} - PARAMETERS:
        return f"The parameter {min(unknown)} is not allowed here. Remove it."
    # A user before the host could be read as another host.
    host = "" if "@" in url else (parts.hostname or "").lower()
    if scheme in HOSTS and not host.endswith(HOSTS[scheme]):
        return f"The host must end with {' or '.join(HOSTS[scheme])}."
    return ""


def _service(url: str) -> Any:
    import apprise  # noqa: PLC0415, takes a while

    return apprise.Apprise.instantiate(url, asset=_asset())


@cache
def _asset() -> Any:
    import apprise  # noqa: PLC0415, takes a while

    return apprise.AppriseAsset(
        plugin_paths=[], secure_logging=True, async_mode=False, http_redirects=False, app_id="Catalyst"
    )
