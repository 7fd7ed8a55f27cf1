"""Files in what is sent: looked at on request, and never in what people, judges and programs read."""

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone

from catalyst.core.models import Project, User
from catalyst.core.operation_context import for_system
from catalyst.operations import find
from signals.judging.prompt import quote_transcript
from tests.factories import make_trace
from tests.page import Page
from tests.pictures import add_picture, data_uri, digest_of, png
from tests.traces.sent import sent_span
from traces.conventions.embedded_files import take_out
from traces.ingest import pipeline
from traces.models import Trace
from traces.models.span import hex_span_id
from traces.span_store import span_store
from traces.transcripts.transcript import trace_transcript

pytestmark = pytest.mark.real_clock

DATA = b64encode(png()).decode()
SAFE = urlsafe_b64encode(png()).decode()
MENTION = "[image: image/png, 1.2 kB]"
LLM: dict[str, Any] = {"openinference__span__kind": "LLM", "llm__model_name": "gpt-4o"}
TOOL: dict[str, Any] = {"openinference__span__kind": "TOOL", "tool__name": "shoot"}
ASKED = "What is it?"


def user(*parts: dict[str, Any]) -> str:
    return json.dumps([{"role": "user", "content": [{"type": "text", "text": ASKED}, *parts]}])


CALLED = json.dumps(
    [
        {
            "role": "assistant",
            "tool_calls": [{"id": "1", "function": {"name": "crop", "arguments": json.dumps({"a": DATA})}}],
        }
    ]
)
SCREENSHOT = json.dumps({"content": [{"type": "image", "data": DATA, "mimeType": "image/png"}]})
IN_FLAT = "llm__input_messages__0__message__contents__0__message_content__"
SENT: dict[str, dict[str, Any]] = {
    "data URI": LLM | {"gen_ai__input__messages": user({"type": "image_url", "image_url": {"url": data_uri(png())}})},
    "blob": LLM | {"gen_ai__input__messages": user({"type": "blob", "modality": "image", "content": DATA})},
    "binary": LLM | {"gen_ai__input__messages": user({"type": "binary", "content": DATA})},
    "Gemini": LLM | {"input__value": json.dumps({"contents": [{"parts": [{"inlineData": {"data": DATA}}]}]})},
    "Anthropic": LLM | {"input__value": user({"type": "image", "source": {"type": "base64", "data": DATA}})},
    "OpenInference": LLM | {f"{IN_FLAT}type": "image", f"{IN_FLAT}image__image__url": data_uri(png())},
    "Markdown": LLM | {"input__value": f"{ASKED} ![x]({data_uri(png())})"},
    "URL-safe in JSON": LLM | {"input__value": json.dumps({"shot": SAFE, "more": [1, 2]})},
    "output": LLM | {"input__value": ASKED, "output__value": json.dumps({"images": [{"b64_json": DATA}], "at": 7})},
    "plain output": LLM | {"input__value": ASKED, "output__value": DATA},
    "arguments": LLM | {"gen_ai__output__messages": CALLED},
    "tool": TOOL | {"input__value": json.dumps({"picture": DATA}), "output__value": "Done."},
    "tool result": TOOL | {"input__value": "{}", "output__value": SCREENSHOT},
    "large": LLM | {"input__value": user({"type": "image", "source": {"type": "base64", "data": DATA * 2_000}})},
}


def post(project: Project, now: datetime, attributes: dict[str, Any]) -> Trace:
    """Post a run whose only span below the root has these attributes."""
    spans = [sent_span(1, trace=7, start=now), sent_span(2, 1, trace=7, start=now, **attributes)]
    pipeline.store(project.pk, spans, now)
    return Trace.objects.get(project=project, trace_id=UUID(int=7))


def call(project: Project, now: datetime, name: str, **given: Any) -> str:
    operation = find(name)
    return operation.dump(operation.call(for_system(project, now), given)).decode()


def has_data(text: str) -> bool:
    return any(data[at : at + 24] in text for data in (DATA, SAFE) for at in range(0, len(data) - 24, 16))


@pytest.mark.parametrize("shape", SENT)
def test_its_data_are_in_nothing_that_is_read(browser: Client, project: Project, now: datetime, shape: str) -> None:
    trace = post(project, now, SENT[shape])
    ids = {"trace": trace.hex_id, "span": hex_span_id(2)}
    spans = span_store().spans(project.pk, [trace.extent])[trace.trace_id]
    payloads = span_store().payloads(project.pk, trace.extent, [span.span_id for span in spans])
    url = trace.get_absolute_url()
    panes = ("", *(f"?span={ids['span']}&pane={pane}" for pane in ("io", "attributes", "events")))
    read = {
        "preview": f"{trace.input_preview} {trace.output_preview}",
        "judge": quote_transcript(trace_transcript(spans, payloads), 100_000),
        "transcript": call(project, now, "traces.transcript", **ids),
        "transcript of the trace": call(project, now, "traces.transcript", trace=trace.hex_id),
        "span": call(project, now, "traces.span", **ids),
        "list": browser.get("/p/default/traces/").text,
        **{pane: browser.get(url + pane).text for pane in panes},
    }
    assert [name for name, text in read.items() if has_data(text)] == []
    for name in ("judge", "span", "transcript of the trace"):
        assert "image" in read[name], name
    assert json.loads(read["span"])["attachments"][0]["mediaType"] == "image/png"


def test_operations_tell_what_a_file_is(project: Project, now: datetime) -> None:
    add_picture(project, 7, now=now)
    (message,) = json.loads(call(project, now, "traces.transcript", trace=f"{7:032x}"))["messages"]
    assert message["text"] == "What is on this picture?"
    picture = {"kind": "image", "mediaType": "image/png", "sizeBytes": len(png()), "name": None, "address": None}
    assert message["attachments"] == [picture]


def test_a_page_shows_kind_type_and_size_and_loads_a_picture_on_request(
    browser: Client, project: Project, now: datetime
) -> None:
    named = add_picture(project, 7, now=now)
    at = f"/p/default/traces/{7:032x}/"
    for url in (at, f"{at}?span={named['span_id']}"):
        page = Page(browser.get(url).text)
        (opened,) = page.all("//details[contains(@class, 'file')]")
        assert opened.text == "Image image/png, 1.2 kB"
        (image,) = opened.all(".//img")
        assert image.attribute("loading") == "lazy"
        assert image.attribute("src") == f"{at}spans/{named['span_id']}/attachments/{named['digest']}/"
        assert MENTION not in page.text
        response = browser.get(image.attribute("src"))
        assert response.content == png()


def test_a_picture_is_served_as_nothing_else(browser: Client, project: Project, now: datetime) -> None:
    named = add_picture(project, 7, now=now)
    url = f"/p/default/traces/{7:032x}/spans/{named['span_id']}/attachments/{named['digest']}/"
    response = browser.get(url)
    expected = {
        "Content-Type": "image/png",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Content-Disposition": f'inline; filename="{named["digest"]}.png"',
        "Cache-Control": "private, max-age=3600",
    }
    assert {name: response.headers[name] for name in expected} == expected
    assert browser.head(url).status_code == 200


@pytest.mark.parametrize(
    "data",
    [b"<svg onload='alert(1)'/>" * 20, b"<html><script>x</script>" * 20, b"%PDF-1.7 " * 50],
    ids=["SVG", "HTML", "PDF"],
)
def test_other_files_are_not_served(browser: Client, project: Project, now: datetime, data: bytes) -> None:
    uri = f"data:image/png;base64,{b64encode(data).decode()}"
    trace = post(project, now, LLM | {"input__value": uri})
    url = f"{trace.get_absolute_url()}spans/{hex_span_id(2)}/attachments/"
    found = Page(browser.get(trace.get_absolute_url()).text).all("//*[contains(@class, 'file')]")
    assert len(found) >= 1
    assert not any(part.all(".//img") for part in found)
    (attachment,) = take_out(uri)[1]
    assert browser.get(f"{url}{attachment.digest}/").status_code == 404


def test_a_picture_is_there_only_under_its_project_trace_and_span(
    browser: Client, client_as: Callable[[User], Client], charlie: User, project: Project, other_project: Project
) -> None:
    now = timezone.now()
    named = add_picture(project, 7, now=now)
    make_trace(project, 8, now=now)
    add_picture(other_project, 9, now=now)
    client, outsider = browser, client_as(charlie)

    def status(who: Client, slug: str, trace: int, span: str = named["span_id"], digest: str = named["digest"]) -> int:
        return who.get(f"/p/{slug}/traces/{trace:032x}/spans/{span}/attachments/{digest}/").status_code

    assert status(client, "default", 7) == 200
    assert status(outsider, "default", 7) == 404
    assert status(outsider, "other", 7) == 404
    assert status(client, "other", 9, hex_span_id(9 * 16 + 9)) == 404
    assert status(client, "default", 8) == 404
    assert status(client, "default", 8, hex_span_id(8 * 16 + 2)) == 404
    assert status(client, "default", 7, digest="0" * 16) == 404
    assert status(client, "default", 70) == 404


def test_an_image_elsewhere_is_a_link_and_never_loaded(browser: Client, project: Project, now: datetime) -> None:
    url = "https://pics.example/cat.png?a=1&b=2"
    parts = ({"type": "image_url", "image_url": {"url": url}}, {"type": "file", "file": {"file_id": "file-7"}})
    hostile = {"type": "image_url", "image_url": {"url": "javascript:alert(1)"}}
    trace = post(project, now, LLM | {"gen_ai__input__messages": user(*parts, hostile)})
    page = Page(browser.get(trace.get_absolute_url()).text)
    files = page.all("//*[contains(@class, 'files')]/*")
    assert [file.text for file in files] == [f"Image {url}", "File file-7", "Image javascript:alert(1)"]
    assert page.all("//main//img") == []
    (link,) = files[0].all(".//a")
    assert (link.attribute("href"), link.attribute("rel")) == (url, "noreferrer noopener nofollow")
    assert files[2].all(".//a") == []


def test_a_screenshot_of_a_tool_can_be_looked_at_in_its_call(browser: Client, project: Project, now: datetime) -> None:
    trace = post(project, now, SENT["tool result"])
    page = Page(browser.get(trace.get_absolute_url()).text)
    (image,) = page.all("//details[contains(@class, 'call')]//img")
    assert image.attribute("src").endswith(f"/spans/{hex_span_id(2)}/attachments/{digest_of(png())}/")
    assert browser.get(image.attribute("src")).status_code == 200


def test_a_result_that_only_the_next_call_has_is_found_there(browser: Client, project: Project, now: datetime) -> None:
    asked = json.loads(CALLED)[0] | {"tool_calls": [{"id": "1", "function": {"name": "shoot", "arguments": "{}"}}]}
    result = {"role": "tool", "tool_call_id": "1", "content": [{"type": "image", "data": DATA}]}
    spans = [
        sent_span(1, trace=7, start=now, **LLM, gen_ai__output__messages=json.dumps([asked])),
        sent_span(2, trace=7, start=now, **LLM, gen_ai__input__messages=json.dumps([asked, result])),
    ]
    pipeline.store(project.pk, spans, now)
    page = Page(browser.get(f"/p/default/traces/{7:032x}/").text)
    (image,) = page.all("//details[contains(@class, 'call')]//img")
    assert browser.get(image.attribute("src")).content == png()


def test_an_error_that_repeats_an_image_mentions_it(project: Project, now: datetime) -> None:
    span = sent_span(1, trace=7, start=now, status="error", **LLM, input__value=ASKED)
    span.status_message = f"Can't read {data_uri(png())}: not a photo"
    said = {"exception.type": "BadImage", "exception.message": f"Can't read {data_uri(png())}: not a photo"}
    span.events = [{"name": "exception", "time": now.isoformat(), "attributes": said}]
    pipeline.store(project.pk, [span], now)
    shown = [
        call(project, now, "traces.show", trace=f"{7:032x}"),
        call(project, now, "traces.span", trace=f"{7:032x}", span=hex_span_id(1)),
        call(project, now, "traces.transcript", trace=f"{7:032x}"),
    ]
    for text in shown:
        assert f"Can't read {MENTION}: not a photo" in text
        assert not has_data(text)


def test_sources_and_refusals_are_shown(browser: Client, project: Project, now: datetime) -> None:
    news = {"type": "url_citation", "url_citation": {"url": "https://news.example/a", "title": "News"}}
    answers = [
        {"role": "assistant", "content": "4", "annotations": [news]},
        {"role": "assistant", "refusal": "I won't."},
    ]
    trace = post(project, now, LLM | {"gen_ai__output__messages": json.dumps(answers)})
    page = Page(browser.get(trace.get_absolute_url()).text)
    assert "Sources 1" in page.headings
    assert page.link("News") == "https://news.example/a"
    assert "Refused" in page.text
    assert "I won't." in page.text
    found = json.loads(call(project, now, "traces.transcript", trace=trace.hex_id))["messages"]
    assert found[0]["citations"] == [{"title": "News", "address": "https://news.example/a", "quote": None}]
    assert [message["refused"] for message in found] == [False, True]


def test_files_of_a_session_can_be_looked_at(browser: Client, project: Project, now: datetime) -> None:
    trace = post(project, now, SENT["data URI"] | {"session__id": "chat"})
    page = Page(browser.get(f"/p/default/sessions/{trace.session_id}/").text)
    (image,) = page.all("//main//img")
    assert browser.get(image.attribute("src")).status_code == 200
