"""The context of the navigation on every page."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from catalyst import registry
from catalyst.core.access import last_project
from catalyst.core.models import Project
from catalyst.registry import Section

# In the session: whether the next page asks for a password.
ASK_PASSWORD = "ask_password"


def navigation_context(request: HttpRequest) -> dict[str, Any]:
    """A context processor. It queries nothing until a template uses the project."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {}
    project: Project | None = getattr(request, "project", None)
    folder = request.path.removeprefix(f"/p/{project.slug}/").partition("/")[0] if project else ""
    sections = registry.entries(Section)
    section = next((section for section in sections if folder in section.folders), None)
    return {
        "project": project or SimpleLazyObject(lambda: last_project(request)),
        "ask_password": SimpleLazyObject(lambda: request.session.pop(ASK_PASSWORD, False)),
        "csrf_cookie": settings.CSRF_COOKIE_NAME,
        "sections": sections,
        "section": section,
        # The same page of another project.
        "switch_to": section.url_name if section else "traces:trace-list",
    }
