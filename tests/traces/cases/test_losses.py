"""What a sender dropped or wrote in a wrong type: kept, or told in the answer."""

import json
from typing import Any

import pytest
from django.test import Client

from tests.page import Page
from tests.traces.cases.sender import TRACE_ID, Sender, body_of, event, span

pytestmark = [pytest.mark.real_clock, pytest.mark.django_db]


def told(answer: Any) -> str:
    return str(answer.get("partialSuccess", {}).get("errorMessage", ""))


def send(sender: Sender, body: Any) -> Any:
    response = sender.post(body)
    assert response.status_code == 200, response.content
    return response.json()


COUNTS = {
    "attributes of the span": ({"droppedAttributesCount": 7}, "otel.dropped_attributes_count"),
    "events": ({"droppedEventsCount": 7}, "otel.dropped_events_count"),
    "links": ({"droppedLinksCount": 7}, "otel.dropped_links_count"),
    "as text": ({"droppedAttributesCount": "7"}, "otel.dropped_attributes_count"),
}


@pytest.mark.parametrize(("fields", "name"), COUNTS.values(), ids=COUNTS)
def test_what_a_sender_dropped_is_kept_and_shown(
    sender: Sender, browser: Client, fields: dict[str, Any], name: str
) -> None:
    sender.send(span({"gen_ai.operation.name": "chat"}, **fields))
    assert int(sender.detail().attributes[name]) == 7
    page = Page(browser.get(f"{sender.trace.get_absolute_url()}?span={1:016x}").text)
    assert "7" in page.part("span-pane").text
    assert "dropped" in page.part("span-pane").text


@pytest.mark.parametrize("dropped", [0, "0", None])
def test_nothing_dropped_is_not_told(sender: Sender, dropped: Any) -> None:
    sender.send(span(droppedAttributesCount=dropped))
    assert "otel.dropped_attributes_count" not in sender.detail().attributes


def test_what_events_and_links_dropped_is_kept(sender: Sender) -> None:
    link = {"traceId": "ab" * 16, "spanId": "cd" * 8, "traceState": "a=1", "droppedAttributesCount": 3}
    sender.send(span(events=[{**event("e", {"x": 1}), "droppedAttributesCount": 5}], links=[link]))
    shown = sender.detail()
    assert "5" in json.dumps([{**each, "time": ""} for each in shown.events])
    assert "3" in json.dumps(shown.links)
    assert "a=1" in json.dumps(shown.links)


def test_it_keeps_what_is_said_of_scope_and_resource(sender: Sender, browser: Client) -> None:
    body = body_of(
        [span(traceState="vendor=1,other=ü")],
        version="1.2",
        attributes=[{"key": "a", "value": {"stringValue": "scoped"}}],
        droppedAttributesCount=2,
    )
    body["resourceSpans"][0]["schemaUrl"] = "https://schema.example/1"
    body["resourceSpans"][0]["scopeSpans"][0]["schemaUrl"] = "https://schema.example/2"
    send(sender, body)
    shown = sender.detail()
    everything = json.dumps([shown.attributes, shown.resource], ensure_ascii=False)
    for words in ("scoped", "vendor=1,other=ü", "https://schema.example/1", "https://schema.example/2"):
        assert words in everything
    page = Page(browser.get(f"{sender.trace.get_absolute_url()}?span={1:016x}&pane=attributes").text)
    assert "Instrumented by sdk 1.2" in page.text


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "attributes as an object": ({"attributes": {"a": "x"}}, "attributes"),
    "attributes as a text": ({"attributes": "a=x"}, "attributes"),
    "a value without its type": ({"attributes": [{"key": "a", "value": "x"}]}, "attributes"),
    "a value in snake case": ({"attributes": [{"key": "a", "value": {"string_value": "x"}}]}, "attributes"),
    "a value of an unknown type": ({"attributes": [{"key": "a", "value": {"textValue": "x"}}]}, "attributes"),
    "an attribute without a key": ({"attributes": [{"value": {"stringValue": "x"}}]}, "attributes"),
    "an attribute that is a text": ({"attributes": ["a=x"]}, "attributes"),
    "a number that is none": ({"attributes": [{"key": "a", "value": {"intValue": "seven"}}]}, "attributes"),
    "a list that is none": ({"attributes": [{"key": "a", "value": {"arrayValue": {"values": "x"}}}]}, "attributes"),
    "events as an object": ({"events": {"name": "e"}}, "events"),
    "an event that is a text": ({"events": ["e"]}, "events"),
    "links as a text": ({"links": "abc"}, "links"),
}


@pytest.mark.parametrize(("fields", "place"), WRONG.values(), ids=WRONG)
def test_what_can_not_be_read_is_kept_or_told(sender: Sender, fields: dict[str, Any], place: str) -> None:
    answer = sender.send({**span(), **fields})
    shown = sender.detail()
    is_kept = any(word in json.dumps([shown.attributes, shown.events]) for word in ('"x"', "seven"))
    assert is_kept or place in told(answer)


@pytest.mark.parametrize(
    "nothing",
    [{"attributes": None}, {"attributes": []}, {"events": None}, {"links": None}, {"status": None}, {"status": {}}],
)
def test_what_is_empty_is_no_loss(sender: Sender, nothing: dict[str, Any]) -> None:
    assert sender.send({**span(), **nothing}) == {}
    assert sender.trace.span_count == 1


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ({"stringValue": "x"}, "x"),
        ({"intValue": "7"}, 7),
        ({"intValue": 7}, 7),
        ({"intValue": "-9223372036854775808"}, -(2**63)),
        ({"boolValue": True}, True),
        ({"doubleValue": 1.5}, 1.5),
        ({"doubleValue": 2}, 2),
        ({"doubleValue": "1.5"}, 1.5),
        ({"arrayValue": {"values": [{"stringValue": "x"}, {"intValue": "7"}]}}, ["x", 7]),
        ({"arrayValue": {}}, []),
        ({"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": "x"}}]}}, {"k": "x"}),
        ({"kvlistValue": {}}, {}),
        ({"stringValue": "\u0000zero 🎲 \u202e"}, None),
        ({"stringValue": ""}, ""),
    ],
    ids=repr,
)
def test_it_keeps_values_of_each_type(sender: Sender, value: dict[str, Any], kept: Any) -> None:
    sender.send(span(attributes=[{"key": "a", "value": value}]))
    found = sender.detail().attributes["a"]
    assert ("🎲" in found) if kept is None else (found == kept)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"status": {"code": 2, "message": "Boom."}}, "error"),
        ({"status": {"code": "STATUS_CODE_ERROR", "message": "Boom."}}, "error"),
        ({"status": {"code": "2"}}, "error"),
        ({"status": {"code": 1}}, "ok"),
        ({"status": {"code": "STATUS_CODE_OK"}}, "ok"),
        ({"status": {"code": 0}}, "unset"),
        ({"status": {"code": "STATUS_CODE_UNSET"}}, "unset"),
        ({"status": {}}, "unset"),
    ],
    ids=repr,
)
def test_it_reads_a_status_by_number_and_name(sender: Sender, fields: dict[str, Any], status: str) -> None:
    sender.send(span(**fields))
    assert sender.row().status == status


@pytest.mark.parametrize("status", [{"code": "BROKEN"}, {"code": [2]}, "ERROR", 2], ids=repr)
def test_a_status_that_is_none_is_told(sender: Sender, status: Any) -> None:
    assert "status" in told(sender.send(span(status=status)))


@pytest.mark.parametrize("kind", [3, "SPAN_KIND_CLIENT"])
def test_it_reads_a_kind_by_number_and_name(sender: Sender, kind: Any) -> None:
    sender.send(span(kind=kind))
    assert sender.row().otel_kind == 3


def test_names_in_snake_case_are_told(sender: Sender) -> None:
    response = sender.post({"resource_spans": [{"scope_spans": [{"spans": [span()]}]}]})
    assert response.status_code == 400
    assert "lowerCamelCase" in response.json()["message"]


def test_of_two_attributes_of_one_name_none_breaks_the_span(sender: Sender) -> None:
    twice = [{"key": "a", "value": {"stringValue": text}} for text in ("first", "second")]
    sender.send(span(attributes=twice))
    assert sender.detail().attributes["a"] in {"first", "second"}


@pytest.mark.parametrize(
    "unknown", [{"flags": 257}, {"futureField": {"a": [1]}}, {"flags": "257", "isRemote": True}], ids=repr
)
def test_unknown_fields_are_no_trouble(sender: Sender, unknown: dict[str, Any]) -> None:
    assert sender.send(span(**unknown)) == {}
    assert sender.trace.span_count == 1


def test_one_bad_span_takes_no_other_along(sender: Sender) -> None:
    answer = sender.send(span(number=1), span(number=2, traceId="xyz"), span(number=3))
    assert answer["partialSuccess"]["rejectedSpans"] in {1, "1"}
    assert sender.trace.span_count == 2


@pytest.mark.parametrize(
    "query",
    [
        "attribute=llm.token_count.prompt%3D7",
        "attribute=" + "a" * 129 + "%3Dx",
        "attribute=tier%3D" + "x" * 129,
        "attribute=no-equals-sign",
        "status=purple",
        "min_tokens=many",
        "min_duration_ms=-1",
        "session=seven",
    ],
)
def test_a_filter_that_can_not_be_applied_is_told_or_lists_nothing(sender: Sender, browser: Client, query: str) -> None:
    sender.send(span({"gen_ai.operation.name": "chat"}, name="the one"))
    page = Page(browser.get(f"/p/default/traces/?{query}").text)
    assert not page.has_link("the one") or "Not applied." in page.text


@pytest.mark.parametrize(
    "wanted",
    [
        {"attribute.llm.token_count.prompt": "7"},
        {"attribute.tier": "x" * 129},
        {"attribute." + "a" * 300: "x"},
        {"status": "purple"},
        {"min_tokens": "many"},
        {"max-tokens": "-1"},
    ],
    ids=lambda wanted: next(iter(wanted))[:40],
)
def test_an_operation_lists_nothing_or_refuses(sender: Sender, wanted: dict[str, str]) -> None:
    sender.send(span({"gen_ai.operation.name": "chat"}))
    try:
        found = sender.call("traces.list", filter=wanted, range="1d").items
    except Exception as refused:  # noqa: BLE001
        found, wanted = [], {type(refused).__name__: "InvalidInput"}
        assert list(wanted) == ["InvalidInput"]
    assert found == []


def test_a_link_leads_to_its_trace(sender: Sender, browser: Client) -> None:
    other = "ab" * 16
    sender.send(span(trace=other, number=9))
    sender.send(span(links=[{"traceId": other, "spanId": f"{9:016x}", "attributes": []}]))
    found = sender.project.traces.get(trace_id=TRACE_ID)
    page = Page(browser.get(f"{found.get_absolute_url()}?span={1:016x}&pane=events").text)
    assert any(other in address for _, address in page.links)
