"""What is longer or more than the limits is cut, said so to the sender and on the page, and everything else stays."""

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from catalyst.core.models import ApiKey, Project, User
from tests.page import Page
from tests.traces.sent import nanoseconds
from tests.traces.stored import forge, only_text
from traces.models import Resource, Trace
from traces.records import PayloadRecord
from traces.span_store import span_store
from traces.transcripts.transcript import span_transcript

TRACE, SPAN = "ab" * 16, "cd" * 8
FEW = {"attributes": 3, "value": 20, "levels": 2, "events": 2, "links": 1}
LONG = "word " * 1000

type Post = Callable[..., dict[str, Any]]


@pytest.fixture
def post(client: Client, project: Project, settings: Settings) -> Post:
    """Send one span to a server with low limits; returns what it says of a partial success."""
    settings.SPAN_LIMITS = FEW
    key = ApiKey.issue(project=project, name="sdk", scopes=["ingest"])[1]

    def post(resource: list[dict[str, Any]] | None = None, **changes: Any) -> dict[str, Any]:
        start = nanoseconds(timezone.now()) - 10**9
        span = {"traceId": TRACE, "spanId": SPAN, "startTimeUnixNano": str(start), "endTimeUnixNano": str(start + 5)}
        scope = {"resource": {"attributes": resource or []}, "scopeSpans": [{"spans": [span | changes]}]}
        body = json.dumps({"resourceSpans": [scope]})
        response = client.post("/v1/traces", body, "application/json", headers={"x-api-key": key})
        assert response.status_code == 200
        found: dict[str, Any] = response.json().get("partialSuccess", {})
        return found

    return post


def text(name: str, value: str = "x") -> dict[str, Any]:
    return {"key": name, "value": {"stringValue": value}}


def test_it_leaves_alone_what_fits(post: Post) -> None:
    assert post(attributes=[text("a"), text("b", "x" * 20)], events=[{"name": "e"}]) == {}
    assert only_text().attributes == {"a": "x", "b": "x" * 20}


def test_it_cuts_long_text_and_says_how_long_it_was(post: Post) -> None:
    said = post(attributes=[text("input.value", LONG), text("short")])
    assert said == {"errorMessage": "Stored, but 1 values are cut to 20 characters"}
    payload = only_text()
    assert payload.input == "word word word word … [cut, 5,000 characters]"
    assert payload.attributes == {"short": "x", "catalyst.cut": {"values": {"input.value": 5000}}}


IMAGE = b64encode(bytes(range(256)) * 60).decode()
LARGE = {
    "data URI": {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}"}},
    "URL-safe data URI": {
        "type": "image_url",
        "image_url": {"url": f"data:image/png;base64,{IMAGE.replace('/', '_')}"},
    },
    "blob": {"type": "blob", "modality": "image", "mime_type": "image/png", "content": IMAGE},
    "binary": {"type": "binary", "media_type": "image/png", "content": IMAGE},
    "zeros": {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "A" * 20_480},
}


@pytest.mark.parametrize("dump", [json.dumps, lambda value: json.dumps(value).replace("/", "\\/")], ids=["", "escaped"])
@pytest.mark.parametrize("name", ["gen_ai.input.messages", "input.value"])
@pytest.mark.parametrize("shape", LARGE)
def test_a_large_image_does_not_take_its_message_along(
    post: Post, settings: Settings, shape: str, name: str, dump: Callable[[Any], str]
) -> None:
    settings.SPAN_LIMITS = FEW | {"value": 1_000}
    asked = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, LARGE[shape]]}]
    said = post(attributes=[text(name, dump(asked)), text("openinference.span.kind", "LLM")])
    assert said == {"errorMessage": "Stored, but 1 values are cut to 1,000 characters"}
    span = span_store().spans(Trace.objects.get().project_id, [Trace.objects.get().extent])[UUID(TRACE)][0]
    (message,) = span_transcript(span, only_text()).messages
    (attachment,) = message.attachments
    assert message.text.splitlines()[0] == "What is it?"
    assert (attachment.kind, attachment.media_type, attachment.is_left_out) == ("image", "image/png", True)
    assert attachment.size_bytes in range(15_300, 15_700)


def test_only_the_largest_images_are_left_out(post: Post, settings: Settings) -> None:
    settings.SPAN_LIMITS = FEW | {"value": 25_000}
    small, large = "Aa0" * 4_000, "Bb1" * 8_000
    post(attributes=[text("input.value", json.dumps([small, large, small]))])
    assert json.loads(only_text().input or "") == [small, "[24,000 characters of data]", small]


def test_it_says_that_attributes_have_another_shape(post: Post) -> None:
    said = post(attributes={"a": "b"})
    assert said["errorMessage"].startswith("Stored, but 1 attributes are left out: they must be a list")


def test_it_leaves_out_what_is_nested_too_deeply_and_says_so(post: Post, settings: Settings) -> None:
    settings.SPAN_LIMITS = FEW | {"value": 100}
    inner = {"arrayValue": {"values": [{"intValue": "1"}]}}
    middle = {"kvlistValue": {"values": [{"key": "inner", "value": inner}, text("beside")]}}
    fits = {"key": "fits", "value": inner}
    said = post(attributes=[{"key": "deep", "value": {"arrayValue": {"values": [middle]}}}, fits])
    assert said == {"errorMessage": "Stored, but 1 lists and objects are nested deeper than 2 levels"}
    assert only_text().attributes == {
        "deep": [{"inner": "… [nested deeper than 2 levels]", "beside": "x"}],
        "fits": [1],
    }


def test_it_cuts_text_inside_lists_and_maps_and_resources(post: Post) -> None:
    nested = {"arrayValue": {"values": [{"kvlistValue": {"values": [text("deep", LONG)]}}]}}
    post([text("service.name", "shop"), text("about", LONG)], attributes=[{"key": "list", "value": nested}])
    assert only_text().attributes["list"] == [{"deep": "word word word word … [cut, 5,000 characters]"}]
    assert Resource.objects.get().attributes["about"].endswith("[cut, 5,000 characters]")


def test_it_keeps_the_attributes_that_matter(post: Post) -> None:
    said = post(attributes=[*(text(f"noise.{n}") for n in range(10)), text("session.id", "s"), text("agent.id", "bot")])
    assert said == {"errorMessage": "Stored, but 9 attributes beyond 3 of a span are left out"}
    trace = Trace.objects.select_related("session", "agent").get()
    assert (str(trace.agent), trace.session and trace.session.key) == ("bot", "s")


def test_it_keeps_the_first_events_and_links(post: Post) -> None:
    link = {"traceId": TRACE, "spanId": SPAN}
    events = [{"name": str(n), "attributes": [text(str(m)) for m in range(5)]} for n in range(4)]
    said = post(events=events, links=[link, link])["errorMessage"]
    assert "4 attributes beyond 3" in said
    assert "2 events beyond 2 of a span are left out; 1 links beyond 1" in said
    payload = only_text()
    assert [(event["name"], len(event["attributes"])) for event in payload.events or []] == [("0", 3), ("1", 3)]
    assert len(payload.links or []) == 1


@pytest.mark.parametrize("forged", ['{"values": 3, "events": "many"}', "[]", '{"values": {"x": "y"}}'])
def test_it_shows_on_the_page_what_was_cut(
    post: Post, client_as: Callable[[User], Client], alice: User, project: Project, forged: str
) -> None:
    post(attributes=[text("input.value", LONG), *(text(f"n{n}") for n in range(4))])
    url = f"/p/{project.slug}/traces/{TRACE}/?span={SPAN}"
    pane = Page(client_as(alice).get(url).text).part("span-pane")
    assert "input.value is cut, 5,000 characters; 2 attributes are left out" in pane.text
    forgery = PayloadRecord(attributes={"catalyst.cut": json.loads(forged)})
    forge(forgery)
    assert "Not all of this span was stored" not in client_as(alice).get(url).text
