"""Requests as the web process takes them, also at paths that Django's URLs do not have."""

import json
from collections.abc import Mapping
from io import BytesIO
from typing import Any

from asgiref.sync import async_to_sync
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse
from django.test import Client

from tests.traces.cases.sender import JSON
from traces import stray_requests


def knock(
    method: str, path: str, headers: Mapping[str, str], body: bytes = b"", content_type: str = JSON
) -> HttpResponse:
    """The answer to a request."""
    named = {"Host": "testserver", "Content-Type": content_type, "Content-Length": str(len(body)), **headers}
    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode("latin1")) for name, value in named.items()],
    }
    view = stray_requests.view_of(scope)
    if view is None:
        answer: HttpResponse = Client().generic(method, path, body, content_type, headers=headers)  # type: ignore[assignment]
        return answer
    return async_to_sync(view)(ASGIRequest(scope, BytesIO(body)))


def told(response: HttpResponse) -> dict[str, Any]:
    """What an answer in JSON says."""
    assert response["Content-Type"] == JSON, response.content[:200]
    found: dict[str, Any] = json.loads(response.content)
    return found
