"""What every page's frame shows."""

from typing import Any

from django.http import HttpRequest


def frame(request: HttpRequest) -> dict[str, Any]:
    """The project of this page and the ones to switch to; empty for strangers and machine endpoints."""
    project = getattr(request, "project", None)
    return {"project": project} if project else {}
