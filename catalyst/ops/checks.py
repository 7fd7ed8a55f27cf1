"""System checks of settings whose errors would go unnoticed."""

import ipaddress
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from catalyst.env import env

TAG = "catalyst"


def check_queues(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    # A task that runs longer than `retry` would run twice.
    base: dict[str, Any] = settings.Q_CLUSTER
    clusters = {base["name"]: base} | {name: {**base, **overrides} for name, overrides in base["ALT_CLUSTERS"].items()}
    errors: list[CheckMessage] = [
        Error(
            f"The queue {name} retries tasks after {cluster['retry']} s, but lets them run {cluster['timeout']} s.",
            hint="Set retry in Q_CLUSTER above timeout.",
            id="catalyst.E001",
        )
        for name, cluster in clusters.items()
        if not cluster["timeout"] or cluster["retry"] <= cluster["timeout"]
    ]
    errors += [
        Error(
            f"The queue {name} of TASKS has no cluster in Q_CLUSTER.",
            hint="Add it to ALT_CLUSTERS, or nothing will run its tasks.",
            id="catalyst.E002",
        )
        for name in settings.TASKS["default"]["QUEUES"]
        if name not in clusters
    ]
    return errors


def check_debug(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    # Debug pages show settings and data to anyone who causes an error.
    host = urlsplit(settings.PUBLIC_URL).hostname or ""
    if not settings.DEBUG or is_this_machine(host):
        return []
    return [
        Error(f"CATALYST_DEBUG is on, but {host} is public.", hint="Unset CATALYST_DEBUG.", id="catalyst.E003"),
    ]


def check_addresses(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    # Without a scheme links are broken and the judge is never reached.
    addresses = {"CATALYST_URL": settings.PUBLIC_URL, "CATALYST_JUDGE_URL": env.judge_url}
    return [
        Error(
            f"{name} is {address}, which is not a web address.",
            hint="Write it in full, with http:// or https:// and a host.",
            id="catalyst.E004",
        )
        for name, address in addresses.items()
        if address and not is_web_address(address)
    ]


def check_https(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    # Runs only with `check --deploy`.
    host = urlsplit(settings.PUBLIC_URL).hostname or ""
    if settings.PUBLIC_URL.startswith("https://") or is_this_machine(host):
        return []
    return [
        Warning(
            f"People sign in to {settings.PUBLIC_URL} without encryption.",
            hint="Put a proxy with a certificate in front and set CATALYST_URL to its https address.",
            id="catalyst.W001",
        )
    ]


def check_old_secret_keys(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    # The messages must not contain the keys.
    problems: list[CheckMessage] = []
    for position, key in enumerate(settings.SECRET_KEY_FALLBACKS, start=1):
        if set(key) & set(" \t\r\n'\""):
            problems.append(
                Error(
                    f"Key {position} of CATALYST_OLD_SECRET_KEYS contains spaces, line breaks or quotes.",
                    hint="Separate keys by commas and leave quotes out.",
                    id="catalyst.E005",
                )
            )
        elif key == settings.SECRET_KEY:
            problems.append(
                Warning(
                    f"Key {position} of CATALYST_OLD_SECRET_KEYS is the current key.",
                    hint="Set a new CATALYST_SECRET_KEY, or remove the key from CATALYST_OLD_SECRET_KEYS.",
                    id="catalyst.W002",
                )
            )
    return problems


def is_web_address(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
