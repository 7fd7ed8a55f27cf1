"""One URL, one template: the whole page for a browser, one partial of it for htmx."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render as render_template
from django.utils.cache import patch_vary_headers


def wants_partial(request: HttpRequest) -> bool:
    """True when htmx asks for a fragment, and not for a page through a boosted link or the history."""
    htmx = getattr(request, "htmx", None)
    return bool(htmx and not htmx.boosted and not htmx.history_restore_request)


def render(
    request: HttpRequest, template: str, context: dict[str, Any] | None = None, *, partial: str = "", status: int = 200
) -> HttpResponse:
    """Render `template`, or only its `partial` when htmx asks; caches keep the two answers apart."""
    name = f"{template}#{partial}" if partial and wants_partial(request) else template
    response = render_template(request, name, context, status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response
