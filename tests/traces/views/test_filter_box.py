"""The filter box over the lists of traces and sessions: conditions that people type, and texts to search for."""

from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.test import Client

from catalyst.core.models import Project
from tests.factories import make_session_row, make_trace_row
from tests.page import Page

pytestmark = pytest.mark.real_clock

TRACES, SESSIONS = "/p/default/traces/", "/p/default/sessions/"
LISTS = pytest.mark.parametrize("path", [TRACES, SESSIONS])


def led_to(browser: Client, path: str, query: dict[str, Any] | None = None) -> list[tuple[str, str]]:
    """The query to which a list redirects, which redirects no further."""
    response = browser.get(path, query)
    assert response.status_code == 302
    address = urlsplit(response.headers["Location"])
    assert address.path == urlsplit(path).path
    assert browser.get(response.headers["Location"]).status_code == 200
    return parse_qsl(address.query, keep_blank_values=True)


def note_of(browser: Client, path: str, query: dict[str, Any] | None = None) -> str:
    (note,) = Page(browser.get(path, query).text).all("//main//div[@role='alert']")
    return note.text


@LISTS
@pytest.mark.parametrize(
    ("typed", "name", "value"),
    [
        ("model = gpt-4o", "model", "gpt-4o"),
        ("  Model==gpt-4o ", "model", "gpt-4o"),
        ("environment=prod", "environment", "prod"),
        ('service = "a = b "', "service", "a = b "),
        ("user = ann@example.com", "user", "ann@example.com"),
        ("user = <b>", "user", "<b>"),
        ("status = ERROR", "status", "error"),
        ("latency >= 5s", "min_duration_ms", "5000"),
        ("latency>=1.5 s", "min_duration_ms", "1500"),
        ("latency <= 250ms", "max_duration_ms", "250"),
        ("latency >= 2m", "min_duration_ms", "120000"),
        ("tokens >= 1,000", "min_tokens", "1000"),
        ("latency ≥ 5 s", "min_duration_ms", "5000"),
        ("tokens <= 0", "max_tokens", "0"),
        ("tokens >= 1.5k", "min_tokens", "1500"),
        ("tokens ≤ 2 M", "max_tokens", "2000000"),
        ("attribute.tenant = acme", "attribute", "tenant=acme"),
        ("attribute.app.tier = a=b", "attribute", "app.tier=a=b"),
    ],
)
def test_a_condition_becomes_a_parameter(
    browser: Client, project: Project, now: datetime, path: str, typed: str, name: str, value: str
) -> None:
    make_trace_row(project, now=now)
    assert led_to(browser, path, {"range": "7d", "q": typed}) == [("range", "7d"), (name, value)]


@LISTS
def test_a_condition_is_added_to_those_of_the_address(
    browser: Client, project: Project, now: datetime, path: str
) -> None:
    make_trace_row(project, now=now)
    query = "model=a&status=ok&attribute=x%3D1&attribute=y%3D2&label=1%3Ayes&q="
    for typed, added in (
        ("model = b", [("model", "a"), ("model", "b"), ("status", "ok"), ("attribute", "x=1"), ("attribute", "y=2")]),
        ("model = a", [("model", "a"), ("status", "ok"), ("attribute", "x=1"), ("attribute", "y=2")]),
        ("status = error", [("model", "a"), ("status", "error"), ("attribute", "x=1"), ("attribute", "y=2")]),
        ("attribute.x = 3", [("model", "a"), ("status", "ok"), ("attribute", "y=2"), ("attribute", "x=3")]),
    ):
        led = led_to(browser, f"{path}?{query}{typed.replace(' ', '+').replace('=', '%3D')}")
        assert sorted(led) == sorted([*added, ("label", "1:yes")])


def test_a_condition_leaves_the_text_that_is_searched_for(browser: Client, project: Project, now: datetime) -> None:
    make_trace_row(project, now=now)
    (search,) = Page(browser.get(f"{TRACES}?q=refund").text).searches
    assert search.fields["q"][0] == "refund"
    assert led_to(browser, f"{TRACES}?q=refund&q=model+%3D+a") == [("model", "a"), ("q", "refund")]
    assert led_to(browser, f"{TRACES}?q=refund&q=") == [("q", "refund")]
    assert led_to(browser, f"{TRACES}?q=refund&q=delay") == [("q", "delay")]


def test_a_condition_that_can_not_be_read_can_be_corrected(browser: Client, project: Project, now: datetime) -> None:
    make_trace_row(project, 1, now=now, said=("A refund?", "x"))
    make_trace_row(project, 2, now=now, said=("Else?", "x"))
    page = Page(browser.get(f"{TRACES}?q=refund&q=latency+%3E%3D+5").text)
    assert len(page.rows) == 1
    assert page.searches[0].fields["q"] == ["refund", "latency >= 5"]
    assert "Not applied. A latency needs a unit" in page.text
    corrected = [("min_duration_ms", "5000"), ("q", "refund")]
    assert led_to(browser, f"{TRACES}?q=refund&q=latency+%3E%3D+5s") == corrected
    assert led_to(browser, f"{TRACES}?q=latency+%3E%3D+5&q=refund") == [("q", "refund")]


@pytest.mark.parametrize("typed", ["refund", "a=b", "model", "latency 5s", "= x"])
def test_other_texts_are_searched_for(browser: Client, project: Project, now: datetime, typed: str) -> None:
    make_trace_row(project, 1, now=now, said=(f"Why {typed}?", "x"))
    make_trace_row(project, 2, now=now, said=("Else?", "x"))
    page = Page(browser.get(TRACES, {"q": typed}).text)
    assert len(page.rows) == 1
    assert f"text: {typed}" in page.searches[0].text


@LISTS
@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("model = ", "“model =” has no value."),
        ("attribute.x =", "“attribute.x =” has no value."),
        ("latency >= 5", "A latency needs a unit, such as latency >= 5s or latency <= 5ms, in ms, s, m or h."),
        ("latency > 20s", "Write latency >= 20s: a bound includes its value."),
        ("latency = 5s", "Write a latency as"),
        ("latency >= 0.0005s", "Write a latency as"),
        ("latency >= soon", "Write a latency as"),
        ("tokens > 5k", "Write tokens >= 5k: a bound includes its value."),
        ("tokens = 5", "Write tokens as tokens >= 1000, tokens >= 5k or tokens <= 100."),
        ("tokens >= many", "Write tokens as"),
        ("session = gone", "No session has the ID “gone”."),
    ],
)
def test_it_says_what_it_can_not_read(
    browser: Client, project: Project, now: datetime, path: str, typed: str, says: str
) -> None:
    make_trace_row(project, now=now, session="chat")
    response = browser.get(path, {"q": typed})
    page = Page(response.text)
    (note,) = page.all("//main//div[@role='alert']")
    assert says in note.text
    assert len(page.rows) == 1
    assert not any("text:" in search.text for search in page.searches)


@LISTS
@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("status = late", "Status: One of"),
        ("tokens >= 999999999999", ""),
        (f"user = {'u' * 190}", ""),
        ("attribute.input.value = x", "can't be filtered by the attribute"),
    ],
)
def test_a_value_that_is_wrong_says_so_at_its_name(
    browser: Client, project: Project, now: datetime, path: str, typed: str, says: str
) -> None:
    make_trace_row(project, now=now)
    page = Page(browser.get(path, {"q": typed}, follow=True).text)
    assert says in " ".join(note.text for note in page.all("//main//div[@role='alert']"))


def test_more_values_than_can_be_applied_are_refused(browser: Client, project: Project, now: datetime) -> None:
    make_trace_row(project, now=now)
    query = "&".join(f"model=m{number}" for number in range(21))
    assert note_of(browser, f"{TRACES}?{query}") == "Not applied. Model: At most 20 values."


def test_two_values_of_one_attribute_are_told(browser: Client, project: Project, now: datetime) -> None:
    make_trace_row(project, now=now)
    assert "“x” has several values" in note_of(browser, f"{TRACES}?attribute=x%3D1&attribute=x%3D2")


def test_an_id_of_a_session_leads_to_it(browser: Client, project: Project, now: datetime) -> None:
    session = make_session_row(project, "chat = 1", now=now)
    assert led_to(browser, TRACES, {"q": "session = chat = 1"}) == [("session", str(session.pk))]
    for typed in ("session = chat = 1", "chat = 1"):
        assert browser.get(SESSIONS, {"q": typed}).headers["Location"] == f"{SESSIONS}{session.pk}/"
    assert "No session alone has an ID that begins with “else”." in note_of(browser, SESSIONS, {"q": "else"})


def test_the_beginning_of_an_id_leads_to_the_only_session_that_has_it(
    browser: Client, project: Project, now: datetime
) -> None:
    first = make_session_row(project, "chat-14b3f0aa", now=now, first=1)
    second = make_session_row(project, "chat-14c00000", now=now, first=3)
    for path, typed, session in (
        (TRACES, "chat-14b3", first),
        (SESSIONS, "chat-14b3", first),
        (SESSIONS, "chat-14c", second),
    ):
        assert browser.get(path, {"q": typed}).headers["Location"] == f"{SESSIONS}{session.pk}/"
    assert "No session alone has an ID that begins with “chat-14”." in note_of(browser, SESSIONS, {"q": "chat-14"})
    # Words are searched for in traces, and an underscore stands for itself.
    for typed in ("chat-14", "chat_14b3"):
        assert browser.get(TRACES, {"q": typed}).status_code == 200


@LISTS
def test_empty_fields_are_not_kept(browser: Client, project: Project, now: datetime, path: str) -> None:
    make_trace_row(project, now=now)
    (menu,) = (form for form in Page(browser.get(f"{path}?model=a").text).forms if form.buttons == ["Filter"])
    sent = {**menu.fields, **{name: menu.fields.get(name) or [""] for name in menu.names}}
    assert sent["min_tokens"] == sent["attribute"] == [""]
    assert led_to(browser, path, sent) == [("model", "a")]
    assert browser.get(path, {"environment": "", "q": ""}).headers["Location"] == path
    assert browser.get(f"{path}?model=a").status_code == 200


@LISTS
def test_no_link_of_a_filtered_list_is_empty(browser: Client, project: Project, now: datetime, path: str) -> None:
    make_trace_row(project, now=now, session="chat")
    for query in ("", "?status=error", "?model=gpt-4o-mini", "?label=1%3Ayes", "?agent=0"):
        page = Page(browser.get(f"{path}{query}").text)
        assert not [words for words, address in page.main.links if address.endswith("?")]


@LISTS
@pytest.mark.parametrize("text", ["cost > 0.01", "tool = get_order", "a = b"])
def test_a_condition_on_something_else_is_no_text_to_search_for(
    browser: Client, project: Project, now: datetime, path: str, text: str
) -> None:
    make_trace_row(project, now=now)
    name = text.partition(" ")[0]
    assert f"Lists have no filter “{name}”. Write an attribute as attribute.{name} = value." in note_of(
        browser, path, {"q": text}
    )


def test_a_value_cannot_be_left_out_yet(browser: Client, project: Project, now: datetime) -> None:
    make_trace_row(project, now=now)
    note = note_of(browser, TRACES, {"q": "environment != prod"})
    assert "Lists can't leave a value out. Write environment = value." in note


@LISTS
@pytest.mark.parametrize(
    ("query", "field", "text"),
    [
        ("min_tokens=5k", "min_tokens", "5k"),
        ("attribute=tenant", "attribute", "tenant"),
        ("attribute=a%3D1&attribute=tenant", "attribute", "tenant"),
        ("attribute=service.name%3Dx", "attribute", "service.name=x"),
    ],
)
def test_a_value_that_can_not_be_applied_stays_in_the_open_menu(
    browser: Client, project: Project, now: datetime, path: str, query: str, field: str, text: str
) -> None:
    make_trace_row(project, now=now)
    page = Page(browser.get(f"{path}?{query}").text)
    (menu,) = (form for form in page.forms if form.buttons == ["Filter"])
    assert menu.fields[field][-1] == text
    assert page.all("//details[@open]/summary[.='More filters']")
    sent = {**menu.fields, field: [*menu.fields[field][:-1], "5" if field == "min_tokens" else "tenant=acme"]}
    corrected = Page(browser.get(path, sent, follow=True).text)
    assert not corrected.all("//main//div[@role='alert']")
    assert corrected.has_link("Remove filter tokens ≥ 5") == (field == "min_tokens")


def test_a_list_without_such_a_value_has_a_closed_menu(browser: Client, project: Project, now: datetime) -> None:
    make_trace_row(project, now=now)
    page = Page(browser.get(f"{TRACES}?min_tokens=5&q=latency+%3E+5").text)
    assert not page.all("//details[@open]/summary[.='More filters']")
