"""The page of one trace."""

import json
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from catalyst.core.models import Project, User
from signals.models import Label
from tests.factories import make_agent, make_labels, make_session, make_signal, make_trace, settle_all, turn
from tests.page import Page, Row
from tests.traces.sent import sent_span
from traces import label_sources
from traces.ingest import pipeline
from traces.models import Trace
from traces.models.span import hex_span_id
from traces.transcripts import presentation
from traces.views import traces

pytestmark = pytest.mark.real_clock

HTMX = {"HX-Request": "true"}


def spans_of(page: Page) -> list[Row]:
    """The rows of spans in the tree."""
    return [row for row in page.rows if row.element.get("data-depth")]


def attributes_of(page: Page) -> dict[str, list[str]]:
    """The values of the shown attributes, by name. An event may have the name of another."""
    values: dict[str, list[str]] = defaultdict(list)
    for term in page.part("span-pane").all(".//dt"):
        values[term.text] += [value.text for value in term.all("following-sibling::dd")]
    return values


@pytest.fixture
def trace(project: Project, now: datetime) -> Trace:
    """A run with a failed tool, of a session."""
    return make_trace(
        project, 1, now=now, session="chat", said=("Where <is> it?", "On **its** way."), error="timed out"
    )


def test_it_shows_the_whole_turn_first(browser: Client, trace: Trace) -> None:
    page = Page(browser.get(trace.get_absolute_url()).text)
    conversation = page.region("Trace")
    for words in ("Where <is> it?", "On its way.", "lookup", "timed out"):
        assert words in conversation.text
    assert "its" in [strong.text for strong in conversation.all(".//strong")]
    assert len(spans_of(page)) == 3


def test_an_error_in_the_header_leaves_its_tool_call_folded(browser: Client, trace: Trace) -> None:
    page = Page(browser.get(trace.get_absolute_url()).text)
    (note,) = page.all(".//header//*[contains(@class, 'note error')]")
    assert "timed out" in note.text
    (call,) = page.region("Trace").all(".//details[contains(@class, 'call')]")
    assert "open" not in call.element.attrib
    span = Page(browser.get(trace.get_absolute_url(), {"span": hex_span_id(19)}).text)
    (call,) = span.all(".//details[contains(@class, 'call')]")
    assert "open" in call.element.attrib


def test_it_shows_an_outcome_that_differs_from_the_status(browser: Client, project: Project, now: datetime) -> None:
    for number, outcome in ((1, "success"), (2, "failure")):
        root = sent_span(number, trace=number, start=now, status="ok", agent__outcome=outcome)
        pipeline.store(project.pk, [root], now)
    pages = [Page(browser.get(f"/p/default/traces/{number:032x}/").text) for number in (1, 2)]
    assert [page.facts.get("Outcome") for page in pages] == [None, "failure"]


def test_it_shows_a_chosen_span(browser: Client, trace: Trace) -> None:
    llm, tool = hex_span_id(18), hex_span_id(19)
    page = Page(browser.get(f"{trace.get_absolute_url()}?span={llm}").text)
    (selected,) = page.all("//tr[@aria-selected='true']")
    assert selected.link(selected.links[0][0]) == f"?span={llm}"
    assert "100 in, 10 out" in page.region("Span step").text
    fragment = Page(browser.get(f"{trace.get_absolute_url()}?span={tool}", headers=HTMX).text)
    assert not fragment.is_whole
    assert fragment.rows == []
    assert "{#" not in fragment.text
    assert "timed out" in fragment.part("span-pane").text


@pytest.mark.parametrize(
    ("pane", "words"),
    [
        ("attributes", "tool.name"),
        ("attributes", "service.name"),
        ("events", "no events"),
        ("labels", "No label"),
        ("x", "lookup"),
    ],
)
def test_it_has_panes(browser: Client, trace: Trace, pane: str, words: str) -> None:
    url = f"{trace.get_absolute_url()}?span={hex_span_id(19)}&pane={pane}"
    assert words in Page(browser.get(url, headers=HTMX).text).part("span-pane").text


def test_it_shows_events_once(browser: Client, project: Project, now: datetime) -> None:
    span = sent_span(1, trace=7, start=now, status="error")
    event = {"name": "exception", "time": now.isoformat(), "attributes": {"exception.message": "it broke <here>"}}
    span.events = [event, event]
    pipeline.store(project.pk, [span], now)
    page = Page(browser.get(f"/p/default/traces/{7:032x}/?span={hex_span_id(1)}&pane=events").text)
    assert page.text.count("it broke <here>") == 1


def test_it_shows_labels_with_their_reasons(browser: Client, project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), active_since=now - timedelta(hours=1))
    (label,) = make_labels(signal, project, 1, now=now)
    type(label).objects.filter(pk=label.pk).update(
        status="done", value="yes", reason="Asked for <money> back.", labelled_at=now
    )
    assert label.trace_id
    page = Page(browser.get(f"/p/default/traces/{label.trace_id.hex}/").text)
    assert "Refund wanted yes Asked for <money> back." in page.region("Label Refund wanted").text


def test_it_leads_to_the_turns_before_and_after(browser: Client, project: Project, now: datetime) -> None:
    make_session(project, turns=3, now=now)
    page = Page(browser.get(f"/p/default/traces/{2:032x}/").text)
    assert page.link("Previous turn") == f"/p/default/traces/{1:032x}/?range=1h"
    assert page.link("Next turn") == f"/p/default/traces/{3:032x}/?range=1h"


def test_it_leads_to_the_traces_beside_it_in_its_list(browser: Client, project: Project, now: datetime) -> None:
    for number, agent in ((1, "mine"), (2, "other"), (3, "mine"), (4, "mine")):
        make_trace(project, number, now=now - timedelta(minutes=9 - number), agent=agent)
    pk = project.agents.get(name="mine").pk
    page = Page(browser.get(f"/p/default/traces/?agent={pk}&range=6h").text)
    page = Page(browser.get(page.table().row(2).links[0][1]).text)
    query = f"?agent={pk}&range=6h"
    assert page.link("Newer [") == f"/p/default/traces/{4:032x}/{query}"
    assert page.link("Older ]") == f"/p/default/traces/{1:032x}/{query}"
    assert page.region("Breadcrumb").link("Traces") == f"/p/default/traces/{query}"
    newest = Page(browser.get(page.link("Newer [")).text)
    assert not newest.has_link("Newer [")


def test_its_ids_can_be_copied_and_its_spans_read_as_json(browser: Client, project: Project, now: datetime) -> None:
    trace = make_trace(project, 1, now=now, session="chat")
    span = hex_span_id(18)
    page = Page(browser.get(f"{trace.get_absolute_url()}?span={span}").text)
    copied = [button.attribute("data-copy-text") for button in page.all("//button[@data-copy-text]")]
    assert copied == [trace.hex_id, "chat", span]
    response = browser.get(page.link("Raw JSON"))
    assert response.headers["Content-Type"] == "application/json"
    content = response.json()
    assert (content["trace_id"], content["span_id"], content["model"]) == (trace.hex_id, span, "gpt-4o-mini")
    assert content["attributes"]["openinference.span.kind"] == "LLM"
    assert browser.get(f"{trace.get_absolute_url()}spans/{'f' * 16}/json/").status_code == 404


def test_its_links_keep_the_list_that_led_here(browser: Client, project: Project, now: datetime) -> None:
    make_trace(project, 1, now=now, session="chat")
    query = "range=7d&status=ok"
    page = Page(browser.get(f"/p/default/traces/{1:032x}/?{query}").text)
    spans = page.region("Spans")
    assert all(address.startswith(f"?{query}") for _, address in spans.links)
    assert page.link("chat").endswith("?range=7d")
    assert page.region("Main").link("Agents 1") == "/p/default/agents/?range=7d"


def test_without_a_list_its_links_lead_to_its_own_time(browser: Client, project: Project, now: datetime) -> None:
    make_trace(project, 1, now=now - timedelta(days=5))
    page = Page(browser.get(f"/p/default/traces/{1:032x}/").text)
    assert page.region("Breadcrumb").link("Traces") == "/p/default/traces/?range=7d"
    assert page.link("support-bot").endswith("?range=7d")


def test_it_opens_a_trace_of_two_thousand_spans(browser: Client, project: Project, now: datetime) -> None:
    spans = turn(1, start=now)
    spans += [sent_span(100 + n, 17, start=now + timedelta(milliseconds=n), name=f"step {n}") for n in range(2000)]
    pipeline.store(project.pk, spans, now)
    page = browser.get(f"/p/default/traces/{1:032x}/")
    assert len(spans_of(Page(page.text))) == traces.ROWS
    assert len(page.content) < 100_000
    more = Page(browser.get(f"/p/default/traces/{1:032x}/?row=2000", headers=HTMX).text)
    assert len(spans_of(more)) == 2
    assert "span-pane" not in more.ids


def test_it_shows_the_chosen_span_in_the_tree(browser: Client, project: Project, now: datetime) -> None:
    spans = [sent_span(100 + n, None, start=now + timedelta(milliseconds=n)) for n in range(traces.ROWS + 30)]
    pipeline.store(project.pk, spans, now)
    page = Page(browser.get(f"/p/default/traces/{1:032x}/?span={100 + traces.ROWS + 9:016x}").text)
    assert len(spans_of(page)) == traces.ROWS + 10
    assert page.link(f"Show more of {traces.ROWS + 30} spans") == f"?row={traces.ROWS + 10}"


def test_it_shows_a_long_turn_in_parts(browser: Client, project: Project, now: datetime) -> None:
    starts = [0, presentation.FIRST_PART_MESSAGES, presentation.FIRST_PART_MESSAGES + presentation.PART_MESSAGES]
    said = [{"role": "user", "content": f"message {number}."} for number in range(starts[-1] + 1)]
    span = sent_span(1, start=now, openinference__span__kind="LLM", llm__input_messages=json.dumps(said))
    pipeline.store(project.pk, [span], now)
    url = f"/p/default/traces/{1:032x}/"

    def shown(page: Page) -> list[str]:
        return [message.text for message in page.all("//article") if message.text.startswith("User ")]

    first, second, last = (Page(browser.get(f"{url}?message={start}", headers=HTMX).text) for start in starts)
    assert [shown(part)[0] for part in (first, second, last)] == [
        f"User View span message {start}." for start in starts
    ]
    assert f"?message={starts[1]}" in first.requests
    assert first.link("Later messages") == f"?message={starts[1]}"
    assert "span-pane" not in second.ids
    assert last.requests == []
    alone = Page(browser.get(f"{url}?message={starts[1]}").text)
    assert alone.link("From the beginning") == "?"
    assert shown(alone)[0] == f"User View span message {starts[1]}."


@pytest.mark.parametrize(
    "query", ["span=zz", "span=" + "0" * 16, "row=x", "row=99999", "row=" + "9" * 30, "row=" + "9" * 4_000, "pane=%00"]
)
def test_it_ignores_nonsense_in_the_url(browser: Client, trace: Trace, query: str) -> None:
    assert browser.get(f"{trace.get_absolute_url()}?{query}").status_code == 200


def test_it_is_not_there_for_outsiders(client_as: Callable[[User], Client], charlie: User, trace: Trace) -> None:
    client = client_as(charlie)
    assert client.get(trace.get_absolute_url()).status_code == 404
    assert client.get(f"/p/other/traces/{trace.hex_id}/").status_code == 404


def test_it_only_reads(browser: Client, trace: Trace) -> None:
    assert browser.post(trace.get_absolute_url()).status_code == 405
    assert browser.get("/p/default/traces/nonsense/").status_code == 404


def test_it_shows_attributes_of_any_name(browser: Client, project: Project, now: datetime) -> None:
    span = sent_span(1, trace=7, start=now, items="hostile", resource={"service.name": "shop", "items": "hostile"})
    span.events = [{"name": "e", "time": now.isoformat(), "attributes": {"items": "hostile"}}]
    pipeline.store(project.pk, [span], now)
    for pane, count in (("attributes", 2), ("events", 1)):
        page = Page(browser.get(f"/p/default/traces/{7:032x}/?span={hex_span_id(1)}&pane={pane}").text)
        assert attributes_of(page)["items"] == ["hostile"] * count


def test_it_bounds_events_and_attributes(browser: Client, project: Project, now: datetime) -> None:
    many: dict[str, Any] = {f"a{number}": number for number in range(presentation.MAX_ATTRIBUTES + 3)}
    span = sent_span(1, trace=7, start=now, **many)
    span.events = [
        {"name": "e", "time": now.isoformat(), "attributes": {"n": n}} for n in range(presentation.MAX_EVENTS + 2)
    ]
    pipeline.store(project.pk, [span], now)
    url = f"/p/default/traces/{7:032x}/?span={hex_span_id(1)}"
    events = Page(browser.get(f"{url}&pane=events").text)
    assert attributes_of(events)["n"] == [str(number) for number in range(presentation.MAX_EVENTS)]
    assert "2 further events are left out" in events.text
    attributes = Page(browser.get(f"{url}&pane=attributes").text)
    assert len([name for name in attributes_of(attributes) if name.startswith("a")]) == presentation.MAX_ATTRIBUTES
    assert "3 further attributes are left out" in attributes.text


def test_attributes_lead_to_the_traces_that_have_them(browser: Client, project: Project, now: datetime) -> None:
    attributes: dict[str, Any] = {
        "customer.tier": "gold & <old>",
        "odd=name": "gold",
        "long": "x" * 5_000,
        "many": ["gold"],
    }
    pipeline.store(project.pk, [sent_span(1, trace=7, start=now, **attributes)], now)
    pipeline.store(project.pk, [sent_span(1, trace=8, start=now, customer__tier="silver")], now)
    page = Page(browser.get(f"/p/default/traces/{7:032x}/?span={hex_span_id(1)}&pane=attributes").text)
    (link,) = [(words, address) for words, address in page.links if "?attribute=" in address]
    assert link[0] == "customer.tier"
    found = Page(browser.get(link[1]).text)
    assert [row.links[0][1].partition("?")[0] for row in found.table().rows] == [f"/p/default/traces/{7:032x}/"]


def test_it_shows_many_labels_in_parts(
    browser: Client, project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_sources, "MAX_LABELS", 3)
    agent = make_agent(project)
    whole = make_signal(agent, name="Whole", active_since=now - timedelta(days=1))
    make_signal(agent, name="Step", scope="span", active_since=now - timedelta(days=1))
    spans = [sent_span(1, trace=7, start=now, agent__name="support-bot")]
    llm: dict[str, Any] = {"openinference__span__kind": "LLM", "input__value": "x", "output__value": "y"}
    spans += [sent_span(number, 1, trace=7, start=now, **llm) for number in range(2, 7)]
    pipeline.store(project.pk, spans, now)
    settle_all(now)
    Label.objects.filter(signal=whole).update(status="done", value="yes", labelled_at=now)
    url = f"/p/default/traces/{7:032x}/"
    first = Page(browser.get(url).text)
    assert "Whole" in first.region("Labels").text
    assert not first.has_link("First labels")
    second = Page(browser.get(url + first.link("Further labels")).text)
    assert not second.has_link("Further labels")
    assert Page(browser.get(url + second.link("First labels")).text).has_link("Further labels")
    links = [part.region("Labels of spans").all(".//a[contains(@href, 'pane=labels')]") for part in (first, second)]
    assert [len(each) for each in links] == [2, 3]
    assert Page(browser.get(f"{url}?labels=99999").text).has_link("First labels")


def test_it_shows_many_labels_of_a_span_in_parts(
    browser: Client, project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_sources, "MAX_LABELS", 2)
    agent = make_agent(project)
    for number in range(3):
        make_signal(agent, name=f"Step {number}", scope="span", active_since=now - timedelta(days=1))
    llm: dict[str, Any] = {"openinference__span__kind": "LLM", "input__value": "x", "output__value": "y"}
    pipeline.store(project.pk, [sent_span(1, trace=7, start=now, agent__name="support-bot", **llm)], now)
    settle_all(now)
    Label.objects.update(status="done", value="yes", labelled_at=now)
    url = f"/p/default/traces/{7:032x}/?span={hex_span_id(1)}&pane=labels"
    first = Page(browser.get(url).text)
    assert first.has_link("Labels 2+")
    second = Page(browser.get(url.partition("?")[0] + first.link("Further labels")).text)
    assert ("Step 2" in second.main.text, "Step 0" in second.main.text) == (True, False)
    assert second.has_link("First labels")
