"""System checks of settings that would do harm quietly."""

import ipaddress
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error

TAG = "catalyst"


def check_queues(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """A task that runs longer than `retry` would be run twice."""
    base: dict[str, Any] = settings.Q_CLUSTER
    clusters = {base["name"]: base} | {name: {**base, **own} for name, own in base["ALT_CLUSTERS"].items()}
    found: list[CheckMessage] = [
        Error(
            f"The queue {name} retries tasks after {cluster['retry']} s, but lets them run {cluster['timeout']} s.",
            hint="Set retry in Q_CLUSTER above timeout.",
            id="catalyst.E001",
        )
        for name, cluster in clusters.items()
        if not cluster["timeout"] or cluster["retry"] <= cluster["timeout"]
    ]
    found += [
        Error(
            f"The queue {name} of TASKS has no cluster in Q_CLUSTER.",
            hint="Add it to ALT_CLUSTERS, or nothing will run its tasks.",
            id="catalyst.E002",
        )
        for name in settings.TASKS["default"]["QUEUES"]
        if name not in clusters
    ]
    return found


def check_debug(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Debug pages show settings and data to whoever provokes an error."""
    host = urlsplit(settings.PUBLIC_URL).hostname or ""
    if not settings.DEBUG or is_this_machine(host):
        return []
    return [
        Error(f"CATALYST_DEBUG is on, but {host} is public.", hint="Unset CATALYST_DEBUG.", id="catalyst.E003"),
    ]


def is_this_machine(host: str) -> bool:
    """Whether a host name can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
