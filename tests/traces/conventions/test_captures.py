"""Requests that real SDKs sent, as bytes: what they say must be what is stored."""

import gzip
import json
from pathlib import Path

import pytest
from django.db.models import Sum
from django.test import Client

from catalyst.core.models import ApiKey, Project
from traces.models import Session, Span, Trace

# scenario: traces, spans, agents, sessions, input and output tokens, LLM spans, error spans; summed from the bodies
CAPTURES = {
    "catalyst_anthropic": (5, 11, {"claude-support-prod"}, 3, 560, 88, 5, 2),
    "catalyst_js_openai": (4, 8, {"js-shop-agent"}, 2, 787, 60, 5, 2),
    "catalyst_openai": (10, 22, {"refund-review-agent"}, 4, 1418, 156, 11, 5),
    "catalyst_openai_agents": (6, 12, {"triage-prod"}, 2, 1428, 126, 7, 0),
    "genai_openai_v2_default": (4, 9, {"shop-agent"}, 2, 747, 60, 5, 2),
    "openinference_langchain": (4, 22, {"orders_agent", "bad_agent"}, 2, 1071, 90, 6, 3),
    "openinference_openai": (6, 11, {"shop-agent"}, 3, 852, 78, 6, 3),
    "openinference_openai_agents": (5, 35, {"OrdersAgent", "RefundAgent", "TriageAgent"}, 3, 1743, 126, 8, 3),
    "openinference_openai_gzip": (6, 11, {"shop-agent"}, 3, 887, 78, 6, 3),
    "otel_js_json": (1, 2, {"plain-js-agent"}, 1, 10, 3, 1, 1),
}


@pytest.mark.django_db
@pytest.mark.parametrize("squeezed", [False, True], ids=["as sent", "gzipped"])
@pytest.mark.parametrize("scenario", CAPTURES)
def test_it_stores_what_the_sdk_said(
    shared: Path, client: Client, project: Project, scenario: str, squeezed: bool
) -> None:
    _, key = ApiKey.issue(project=project, name="sdk", scopes=["ingest"])
    for body in sorted((shared / "captures" / scenario).glob("*.body.*")):
        assert post(client, body, key, squeezed=squeezed) == 200
    traces = Trace.objects.filter(project=project)
    sums = traces.aggregate(*map(Sum, ("input_tokens", "output_tokens", "llm_count", "error_count", "span_count")))
    assert (
        traces.count(),
        Span.objects.filter(project_id=project.pk).count(),
        set(project.agents.values_list("identity", flat=True)),
        Session.objects.filter(project=project).count(),
        sums["input_tokens__sum"],
        sums["output_tokens__sum"],
        sums["llm_count__sum"],
        sums["error_count__sum"],
    ) == CAPTURES[scenario]
    assert sums["span_count__sum"] == CAPTURES[scenario][1]


def post(client: Client, body: Path, key: str, *, squeezed: bool) -> int:
    """Send the bytes to the path and with the headers that came with them."""
    sent = json.loads(body.with_name(body.name.split(".")[0] + ".headers.json").read_text())
    headers = {name.lower(): value for name, value in sent["headers"].items()}
    content = body.read_bytes()
    if squeezed or headers.get("content-encoding") == "gzip":
        content = content if content.startswith(b"\x1f\x8b") else gzip.compress(content)
        headers["content-encoding"] = "gzip"
    kept = {name: headers[name] for name in ("content-encoding", "user-agent") if name in headers}
    auth = {"x-api-key": key} if "x-api-key" in headers else {"authorization": f"Bearer {key}"}
    return client.post(sent["path"], content, headers["content-type"], headers=kept | auth).status_code
