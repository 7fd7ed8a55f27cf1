"""One URL, one template: the whole page for a browser, one partial of it for htmx."""

from typing import Any
from urllib.parse import urlsplit

from django import shortcuts
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.http import HttpResponseClientRedirect

STOP_POLLING = 286
"""Status of an answer that asks htmx to stop asking."""


def wants_partial(request: HttpRequest) -> bool:
    """True when htmx asks for a fragment, and not for a page through a boosted link or the history."""
    htmx = getattr(request, "htmx", None)
    return bool(htmx and not htmx.boosted and not htmx.history_restore_request)


def render(
    request: HttpRequest, template: str, context: dict[str, Any] | None = None, *, partial: str = "", status: int = 200
) -> HttpResponse:
    """Render `template`, or only its `partial` when htmx asks; caches keep the two answers apart."""
    name = f"{template}#{partial}" if partial and wants_partial(request) else template
    response = shortcuts.render(request, name, context, status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response


def redirect(request: HttpRequest, url: str) -> HttpResponse:
    """Have the browser open another page after a change, whether a form or htmx asked for it."""
    return HttpResponseClientRedirect(url) if getattr(request, "htmx", None) else shortcuts.redirect(url)


def redirect_back(request: HttpRequest, url: str) -> HttpResponse:
    """After a change have the browser show the page that it was made on again, with its range and filters.

    A page that only asks for the change, at the address that it is sent to, leads to `url` with its own query instead.
    So does a page that the browser doesn't tell, or one of another host.
    """
    page = request.headers.get("Referer", "")
    is_ours = url_has_allowed_host_and_scheme(page, request.get_host(), require_https=request.is_secure())
    if is_ours and urlsplit(page).path != request.path:
        return redirect(request, page)
    return redirect(request, with_query(request, url))


def with_query(request: HttpRequest, url: str) -> str:
    """Another page with the query of this one."""
    return f"{url}?{request.GET.urlencode()}" if request.GET else url
