"""Full pages for browsers, partials for htmx, from one URL and template."""

from typing import Any
from urllib.parse import urlsplit

from django import shortcuts
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.http import HttpResponseClientRedirect

# Tells htmx to stop polling.
STOP_POLLING = 286


def wants_partial(request: HttpRequest) -> bool:
    # A boosted link and a restored history entry need the whole page.
    htmx = getattr(request, "htmx", None)
    return bool(htmx and not htmx.boosted and not htmx.history_restore_request)


def render(
    request: HttpRequest, template: str, context: dict[str, Any] | None = None, *, partial: str = "", status: int = 200
) -> HttpResponse:
    """Render `template`, or only its `partial` if htmx requests it."""
    name = f"{template}#{partial}" if partial and wants_partial(request) else template
    response = shortcuts.render(request, name, context, status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response


def redirect(request: HttpRequest, url: str) -> HttpResponse:
    # htmx would follow a plain redirect and swap the page into its target.
    return HttpResponseClientRedirect(url) if getattr(request, "htmx", None) else shortcuts.redirect(url)


def redirect_back(request: HttpRequest, url: str) -> HttpResponse:
    """Redirect to the page that sent the request, with its range and filters.

    Without a usable referrer, or if it is the URL of the request itself, redirect to `url` with the current query.
    """
    page = own_page(request, request.headers.get("Referer", ""))
    if page and urlsplit(page).path != request.path:
        return redirect(request, page)
    return redirect(request, with_query(request, url))


def own_page(request: HttpRequest, address: str) -> str:
    """The path and query of an address that was sent along; empty unless it is one of this server."""
    if not _is_ours(request, address):
        return ""
    parts = urlsplit(address)
    page = f"{parts.path}?{parts.query}" if parts.query else parts.path
    # Without its host, an address like https://this.host//other.host would lead to the other one.
    return page if page.startswith("/") and _is_ours(request, page) else ""


def _is_ours(request: HttpRequest, address: str) -> bool:
    return url_has_allowed_host_and_scheme(address, request.get_host(), require_https=request.is_secure())


def with_query(request: HttpRequest, url: str) -> str:
    return f"{url}?{request.GET.urlencode()}" if request.GET else url
