"""A stranger's SDK: sends spans as OTLP's JSON, and reads what the product made of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.test import Client

from catalyst.core.models import ApiKey, Project
from catalyst.core.operation_context import for_system
from catalyst.operations import find
from tests.traces.sent import nanoseconds
from traces.models import Span, Trace

type Attributes = Mapping[str, Any]

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
JSON = "application/json"


def any_value(value: Any) -> Any:
    """A value as OTLP writes it."""
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
        case list() | tuple():
            return {"arrayValue": {"values": [any_value(item) for item in value]}}
        case dict():
            return {"kvlistValue": {"values": key_values(value)}}
    return {}


def key_values(attributes: Attributes) -> list[dict[str, Any]]:
    return [{"key": key, "value": any_value(value)} for key, value in attributes.items()]


def event(name: str, attributes: Attributes) -> dict[str, Any]:
    return {"name": name, "attributes": key_values(attributes)}


def span(
    attributes: Attributes | None = None,
    /,
    *,
    number: int = 1,
    parent: int = 0,
    name: str = "step",
    trace: str = TRACE_ID,
    at: float = 0,
    seconds: float = 1,
    events: Sequence[dict[str, Any]] = (),
    **fields: Any,
) -> dict[str, Any]:
    """A span that starts `at` seconds after two minutes ago. `fields` are further fields, or replace those."""
    start = nanoseconds(datetime.now(UTC) - timedelta(minutes=2)) + int(at * 1e9)
    sent = {
        "traceId": trace,
        "spanId": f"{number:016x}",
        "parentSpanId": f"{parent:016x}" if parent else "",
        "name": name,
        "kind": 1,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + int(seconds * 1e9)),
        "attributes": key_values(attributes or {}),
        "events": [{"timeUnixNano": str(start), **sent} for sent in events],
    }
    return sent | fields


def body_of(spans: Sequence[dict[str, Any]], resource: Attributes | None = None, **scope: Any) -> dict[str, Any]:
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": key_values(resource or {"service.name": "shop"})},
                "scopeSpans": [{"scope": {"name": "sdk", **scope}, "spans": list(spans)}],
            }
        ]
    }


@dataclass
class Sender:
    client: Client
    project: Project
    key: str = field(init=False)

    def __post_init__(self) -> None:
        self.key = ApiKey.issue(project=self.project, name="sdk", scopes=["ingest"])[1]

    def post(self, body: Any, path: str = "/v1/traces", **headers: str) -> Any:
        sent = body if isinstance(body, bytes) else json.dumps(body)
        return self.client.post(path, sent, JSON, headers={"x-api-key": self.key, **headers})

    def send(self, *spans: dict[str, Any], resource: Attributes | None = None, **scope: Any) -> Any:
        """The answer, as JSON."""
        response = self.post(body_of(spans, resource, **scope))
        assert response.status_code == 200, response.content
        return response.json()

    @property
    def trace(self) -> Trace:
        return self.project.traces.get()

    def row(self, number: int = 1) -> Span:
        return Span.objects.get(project_id=self.project.pk, span_id=number)

    @property
    def usage(self) -> tuple[int, int]:
        return self.trace.input_tokens, self.trace.output_tokens

    def call(self, operation: str, **given: Any) -> Any:
        return find(operation).call(for_system(self.project, datetime.now(UTC)), given)

    def transcript(self, trace: str = TRACE_ID) -> list[Any]:
        messages: list[Any] = self.call("traces.transcript", trace=trace).messages
        return messages

    def said(self) -> list[tuple[str, str]]:
        """Who said what, without messages that have no text."""
        return [(message.role, message.text) for message in self.transcript() if message.text]

    def shown(self) -> str:
        """All that the conversation of the trace shows, tool calls too."""
        return repr(self.transcript())

    def detail(self, number: int = 1) -> Any:
        return self.call("traces.span", trace=TRACE_ID, span=f"{number:016x}")
