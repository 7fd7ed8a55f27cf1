"""What every page's frame shows."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from catalyst.core.models import Project


@dataclass(frozen=True, slots=True)
class Section:
    """One entry of the rail. `key` is what goes there after g; its pages lie in `folders` of the project."""

    name: str
    url_name: str
    icon: str
    key: str
    folders: tuple[str, ...]


SECTIONS = (
    Section("Agents", "traces:agent-list", "agent", "a", ("agents",)),
    Section("Traces", "traces:trace-list", "traces", "t", ("traces", "sessions")),
    Section("Signals", "signals:signal-list", "signals", "s", ("signals",)),
    Section("Settings", "core:settings", "settings", "x", ("settings",)),
)


def frame(request: HttpRequest) -> dict[str, Any]:
    """The project of this page, the ones to switch to and the sections; empty for strangers and machine endpoints."""
    project = getattr(request, "project", None)
    if project is None:
        return {}
    folder = request.path.removeprefix(f"/p/{project.slug}/").partition("/")[0]
    return {
        "project": project,
        "projects": Project.objects.for_user(request.user) if request.user.is_authenticated else [],
        "sections": SECTIONS,
        "section": next((section for section in SECTIONS if folder in section.folders), None),
    }
