"""The page of one trace."""

import html
import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from catalyst.core.models import Project, User
from tests.factories import make_agent, make_labels, make_session, make_signal, make_trace, settle_all, turn
from tests.traces.sent import sent_span
from traces.ingest import pipeline
from traces.models import Trace
from traces.models.span import hex_span_id
from traces.transcripts import presentation
from traces.views import traces

pytestmark = pytest.mark.real_clock

HTMX = {"HX-Request": "true"}


@pytest.fixture
def trace(project: Project, now: datetime) -> Trace:
    """A run with a failed tool, of a session."""
    return make_trace(
        project, 1, now=now, session="chat", said=("Where <is> it?", "On **its** way."), error="timed out"
    )


def test_it_shows_the_whole_turn_first(browser: Client, trace: Trace) -> None:
    text = browser.get(trace.get_absolute_url()).text
    assert "Where &lt;is&gt; it?" in text
    assert "On <strong>its</strong> way." in text
    assert "lookup" in text
    assert "timed out" in text
    assert text.count("data-depth=") == 3


def test_it_shows_a_chosen_span(browser: Client, trace: Trace) -> None:
    llm, tool = hex_span_id(18), hex_span_id(19)
    page = browser.get(f"{trace.get_absolute_url()}?span={llm}")
    assert 'aria-selected="true"' in page.text
    assert "100 in, 10 out" in page.text
    fragment = browser.get(f"{trace.get_absolute_url()}?span={tool}", headers=HTMX)
    assert fragment.text.strip().startswith("{#") is False
    assert 'id="span-pane"' in fragment.text
    assert "<html" not in fragment.text
    assert "data-depth" not in fragment.text
    assert "timed out" in fragment.text


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
    assert words in browser.get(f"{trace.get_absolute_url()}?span={hex_span_id(19)}&pane={pane}", headers=HTMX).text


def test_it_shows_events_once(browser: Client, project: Project, now: datetime) -> None:
    span = sent_span(1, trace=7, start=now, status="error")
    event = {"name": "exception", "time": now.isoformat(), "attributes": {"exception.message": "it broke <here>"}}
    span.events = [event, event]
    pipeline.store(project.pk, [span], now)
    text = browser.get(f"/p/default/traces/{7:032x}/?span={hex_span_id(1)}&pane=events").text
    assert text.count("it broke &lt;here&gt;") == 1


def test_it_shows_labels_with_their_reasons(browser: Client, project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), active_since=now - timedelta(hours=1))
    (label,) = make_labels(signal, project, 1, now=now)
    type(label).objects.filter(pk=label.pk).update(
        status="done", value="yes", reason="Asked for <money> back.", labelled_at=now
    )
    assert label.trace_id
    text = browser.get(f"/p/default/traces/{label.trace_id.hex}/").text
    assert "Refund wanted" in text
    assert "Asked for &lt;money&gt; back." in text


def test_it_leads_to_the_turns_before_and_after(browser: Client, project: Project, now: datetime) -> None:
    make_session(project, turns=3, now=now)
    text = browser.get(f"/p/default/traces/{2:032x}/").text
    assert f'href="/p/default/traces/{1:032x}/"' in text
    assert f'href="/p/default/traces/{3:032x}/"' in text


def test_it_opens_a_trace_of_two_thousand_spans(browser: Client, project: Project, now: datetime) -> None:
    spans = turn(1, start=now)
    spans += [sent_span(100 + n, 17, start=now + timedelta(milliseconds=n), name=f"step {n}") for n in range(2000)]
    pipeline.store(project.pk, spans, now)
    page = browser.get(f"/p/default/traces/{1:032x}/")
    assert page.text.count("data-depth=") == traces.ROWS
    assert len(page.content) < 100_000
    more = browser.get(f"/p/default/traces/{1:032x}/?row=2000", headers=HTMX)
    assert more.text.count("data-depth=") == 2
    assert 'id="span-pane"' not in more.text


def test_it_shows_the_chosen_span_in_the_tree(browser: Client, project: Project, now: datetime) -> None:
    spans = [sent_span(100 + n, None, start=now + timedelta(milliseconds=n)) for n in range(traces.ROWS + 30)]
    pipeline.store(project.pk, spans, now)
    page = browser.get(f"/p/default/traces/{1:032x}/?span={100 + traces.ROWS + 9:016x}")
    assert page.text.count("data-depth=") == traces.ROWS + 10
    assert f'href="?row={traces.ROWS + 10}"' in page.text


def test_it_shows_a_long_turn_in_parts(browser: Client, project: Project, now: datetime) -> None:
    starts = [0, presentation.FIRST_PART_MESSAGES, presentation.FIRST_PART_MESSAGES + presentation.PART_MESSAGES]
    said = [{"role": "user", "content": f"message {number}."} for number in range(starts[-1] + 1)]
    span = sent_span(1, start=now, openinference__span__kind="LLM", llm__input_messages=json.dumps(said))
    pipeline.store(project.pk, [span], now)
    url = f"/p/default/traces/{1:032x}/"

    def shown(html: str) -> list[str]:
        return re.findall(r"message \d+\.", html.partition('<div class="chat">')[2])

    first, second, last = (browser.get(f"{url}?message={start}", headers=HTMX).text for start in starts)
    assert [shown(part)[0] for part in (first, second, last)] == [f"message {start}." for start in starts]
    assert f'hx-get="?message={starts[1]}"' in first
    assert 'id="span-pane"' not in second
    assert "hx-get" not in last
    alone = browser.get(f"{url}?message={starts[1]}").text
    assert "From the beginning" in alone
    assert shown(alone)[0] == f"message {starts[1]}."


@pytest.mark.parametrize(
    "query", ["span=zz", "span=" + "0" * 16, "row=x", "row=99999", "row=" + "9" * 30, "row=" + "9" * 5_000, "pane=%00"]
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
        text = browser.get(f"/p/default/traces/{7:032x}/?span={hex_span_id(1)}&pane={pane}").text
        assert len(re.findall(r"<dt>(?:<a [^>]*>)?items<", text)) == count
        assert text.count("hostile") >= count


def test_it_bounds_events_and_attributes(browser: Client, project: Project, now: datetime) -> None:
    many: dict[str, Any] = {f"a{number}": number for number in range(presentation.MAX_ATTRIBUTES + 3)}
    span = sent_span(1, trace=7, start=now, **many)
    span.events = [
        {"name": "e", "time": now.isoformat(), "attributes": {"n": n}} for n in range(presentation.MAX_EVENTS + 2)
    ]
    pipeline.store(project.pk, [span], now)
    url = f"/p/default/traces/{7:032x}/?span={hex_span_id(1)}"
    events = browser.get(f"{url}&pane=events").text
    assert events.count('class="event"') == presentation.MAX_EVENTS
    assert "2 further events are left out" in events
    attributes = browser.get(f"{url}&pane=attributes").text
    assert len(re.findall(r"<dt>(?:<a [^>]*>)?a\d", attributes)) == presentation.MAX_ATTRIBUTES
    assert "3 further attributes are left out" in attributes


def test_attributes_lead_to_the_traces_that_have_them(browser: Client, project: Project, now: datetime) -> None:
    attributes: dict[str, Any] = {
        "customer.tier": "gold & <old>",
        "odd=name": "gold",
        "long": "x" * 5_000,
        "many": ["gold"],
    }
    pipeline.store(project.pk, [sent_span(1, trace=7, start=now, **attributes)], now)
    pipeline.store(project.pk, [sent_span(1, trace=8, start=now, customer__tier="silver")], now)
    page = browser.get(f"/p/default/traces/{7:032x}/?span={hex_span_id(1)}&pane=attributes").text
    (href,) = re.findall(r'href="(/p/default/traces/\?attribute=[^"]*)"', page)
    found = browser.get(html.unescape(href)).text
    assert f"{7:032x}" in found
    assert f"{8:032x}" not in found


def test_it_bounds_the_labels_of_spans(browser: Client, project: Project, now: datetime) -> None:
    make_signal(make_agent(project), scope="span", active_since=now - timedelta(days=1))
    count = presentation.MAX_LABELLED_SPANS + 4
    spans = [sent_span(1, trace=7, start=now, agent__name="support-bot")]
    llm: dict[str, Any] = {"openinference__span__kind": "LLM", "input__value": "x", "output__value": "y"}
    spans += [sent_span(number, 1, trace=7, start=now, **llm) for number in range(2, count + 2)]
    pipeline.store(project.pk, spans, now)
    settle_all(now)
    text = browser.get(f"/p/default/traces/{7:032x}/").text
    assert text.count("&amp;pane=labels") == presentation.MAX_LABELLED_SPANS
    assert "4 further spans have labels" in text
