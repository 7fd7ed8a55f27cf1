"""A limit on query strings of pages."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse

from catalyst.htmx import render

# Each of a page's links repeats the query, which compresses well up to this length.
MAX_QUERY_BYTES = 4_096


class QueryLimitMiddleware:
    """Respond 414 to a query string of more than MAX_QUERY_BYTES. Pages for strangers may have a longer one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], _args: list[Any], _kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        is_short = len(request.META.get("QUERY_STRING", "")) <= MAX_QUERY_BYTES
        if is_short or not getattr(view, "login_required", True):
            return None
        return render(request, "414.html", {"kibibytes": MAX_QUERY_BYTES // 1024}, status=414)
