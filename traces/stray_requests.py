"""OTLP requests whose path is not one of ours: taken if it is clear what they mean, else refused in OTLP's form.

They arrive on the event loop (docs/adr/0014) after the lookup of the usual paths has failed.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from catalyst.core.key_use import usage_counter
from traces.answers import JSON, PROTOBUF, HttpRefusal, refuse
from traces.api import export_logs, export_metrics, export_traces, export_traces_elsewhere
from traces.browsers import let_page_read

type View = Callable[[HttpRequest], Awaitable[HttpResponse]]

VIEWS: dict[str, View] = {"traces": export_traces, "metrics": export_metrics, "logs": export_logs}
ELSEWHERE: dict[str, View] = VIEWS | {"traces": export_traces_elsewhere}
OUR_PATHS = frozenset(settings.OTLP_PATHS + settings.OTLP_METRICS_PATHS + settings.OTLP_LOGS_PATHS)
_OTLP_PATH = re.compile(r"(?P<prefix>.*/)?v1/(?P<signal>traces|metrics|logs)")
_SENT_TYPES = tuple(name.encode() for name in (JSON, PROTOBUF, "application/protobuf"))
DOUBLED = "{} has the path twice. Set the endpoint of the SDK without /v1/traces, because the SDK appends it."
UNKNOWN = "{} is not a path that takes traces. Send them to /v1/traces."


def view_of(scope: dict[str, Any]) -> View | None:
    """Return the view for a request of a sender, None for one that belongs to Django's URLs."""
    if scope["method"] not in ("POST", "OPTIONS"):
        return None
    path = _without_empty_parts(scope["path"])
    if _is_doubled(path):
        return refuse_path
    if found := _OTLP_PATH.fullmatch(path):
        return VIEWS[found["signal"]] if path in OUR_PATHS else ELSEWHERE[found["signal"]]
    return refuse_path if _is_sender(scope) and not _takes_content(scope["path"]) else None


@csrf_exempt
@login_not_required
async def refuse_path(request: HttpRequest) -> HttpResponse:
    """Respond 404 and name the right path."""
    usage_counter.count(None, {"refused_404": 1}, timezone.now())
    reason = DOUBLED if _is_doubled(_without_empty_parts(request.path_info)) else UNKNOWN
    refused = HttpRefusal(404, reason.format(request.path_info[:200]))
    return let_page_read(request, refuse(request, refused))


def _without_empty_parts(path: str) -> str:
    return "/".join(part for part in path.split("/") if part)


def _is_doubled(path: str) -> bool:
    found = _OTLP_PATH.fullmatch(path)
    return found is not None and "v1/traces/" in (found["prefix"] or "")


def _is_sender(scope: dict[str, Any]) -> bool:
    headers = dict(scope["headers"])
    is_typed = headers.get(b"content-type", b"").lower().startswith(_SENT_TYPES)
    return scope["method"] == "POST" and is_typed and b"text/html" not in headers.get(b"accept", b"")


def _takes_content(path: str) -> bool:
    """Return True for a view without a CSRF check. The others take forms only."""
    try:
        return getattr(resolve(path).func, "csrf_exempt", False)
    except Resolver404:
        return False
