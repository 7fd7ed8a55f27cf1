"""System checks of settings that would do harm quietly."""

import ipaddress
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.db import connections

TAG = "catalyst"
OLDEST_POSTGRESQL = 15


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


def check_postgresql(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Unique constraints with NULLs and other things need a server that is not too old."""
    found: list[CheckMessage] = []
    for alias in databases or ():
        version = connections[alias].pg_version  # type: ignore[attr-defined]
        if version < OLDEST_POSTGRESQL * 10_000:
            found.append(
                Error(
                    f"PostgreSQL {version // 10_000} is too old; Catalyst needs {OLDEST_POSTGRESQL} or newer.",
                    hint="Upgrade the server, or unset DATABASE_URL to use the embedded one.",
                    id="catalyst.E004",
                )
            )
    return found


def is_this_machine(host: str) -> bool:
    """Whether a host name can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
