"""What every page's frame shows."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from catalyst.core.access import last_project
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
    """The project of this page, else the one opened last; and the sections. Empty for strangers.

    Nothing is asked of the database before a template shows it.
    """
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {}
    own: Project | None = getattr(request, "project", None)
    folder = request.path.removeprefix(f"/p/{own.slug}/").partition("/")[0] if own else ""
    return {
        "project": own or SimpleLazyObject(lambda: last_project(request)),
        "sections": SECTIONS,
        "section": next((section for section in SECTIONS if folder in section.folders), None),
    }
