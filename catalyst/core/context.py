"""What every page's frame shows."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from catalyst.core.models import Project


@dataclass(frozen=True, slots=True)
class Section:
    """One entry of the rail. `key` is what goes there after g."""

    name: str
    url_name: str
    icon: str
    key: str
    namespace: str


SECTIONS = (
    Section("Traces", "traces:trace-list", "traces", "t", "traces"),
    Section("Signals", "signals:signal-list", "signals", "s", "signals"),
    Section("Settings", "core:settings", "settings", "x", "core"),
)


def frame(request: HttpRequest) -> dict[str, Any]:
    """The project of this page, the ones to switch to and the sections; empty for strangers and machine endpoints."""
    project = getattr(request, "project", None)
    if project is None:
        return {}
    namespace = request.resolver_match.namespace if request.resolver_match else ""
    return {
        "project": project,
        "projects": Project.objects.for_user(request.user) if request.user.is_authenticated else [],
        "sections": SECTIONS,
        "section": namespace,
    }
