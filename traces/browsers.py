"""Web pages that send spans: preflights, and the origins that a key lists (CORS, https://fetch.spec.whatwg.org)."""

import re
from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

from catalyst.core.models import ApiKey
from catalyst.core.origins import origin_cache
from traces.answers import HttpRefusal

PREFLIGHT_SECONDS = 600
# What SDKs send is repeated, since they add headers of their own.
USUAL_HEADERS = "authorization, content-encoding, content-type, x-api-key"
ADD_IT = "Add it to a key for ingest alone, under Settings, API keys."
_HEADER_NAMES = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,1000}")


def is_preflight(request: HttpRequest) -> bool:
    return (
        request.method == "OPTIONS"
        and "HTTP_ORIGIN" in request.META
        and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in request.META
    )


async def answer_preflight(request: HttpRequest, now: datetime) -> HttpResponse:
    """Let the browser send if any key lists the origin. Raises HttpRefusal, and django.db.Error.

    A preflight has no key, so that the request itself is checked again.
    """
    origin = request.META["HTTP_ORIGIN"]
    if not await origin_cache.allows(origin, now):
        raise HttpRefusal(403, f"No API key lists the origin {origin[:200]}. {ADD_IT}")
    asked = request.META.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "")
    headers = {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": asked if _HEADER_NAMES.fullmatch(asked) else USUAL_HEADERS,
        "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
        "Vary": "Origin, Access-Control-Request-Headers",
    }
    return HttpResponse(headers=headers)


def check_origin(request: HttpRequest, key: ApiKey) -> None:
    """Raises HttpRefusal if the request comes from a web page that the key does not list."""
    origin = request.META.get("HTTP_ORIGIN")
    if origin is not None and origin not in key.origins:
        raise HttpRefusal(403, f"The API key does not list the origin {origin[:200]} of this web page. {ADD_IT}")


def let_page_read(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Let the web page read the answer to its request. No answer holds data of anybody else."""
    origin = request.META.get("HTTP_ORIGIN")
    if origin is not None:
        response["Access-Control-Allow-Origin"] = origin
        response["Access-Control-Expose-Headers"] = "Retry-After"
        patch_vary_headers(response, ["Origin"])
    return response
