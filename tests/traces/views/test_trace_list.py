"""The Traces page."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalyst import formats, timerange
from catalyst.core.models import Project, User
from tests.factories import (
    make_agent,
    make_label,
    make_labels,
    make_signal,
    make_trace,
    make_trace_row,
    make_trace_rows,
    make_verdict,
)
from tests.page import Page
from tests.traces.sent import sent_span
from tests.traces.views.facets import chosen, facets_of
from traces.analytics import list_volumes
from traces.ingest import pipeline
from traces.models import Trace
from traces.models.span import hex_span_id
from traces.views import id_search
from traces.views import traces as views

pytestmark = pytest.mark.real_clock

PAGE = "/p/default/traces/"
HTMX = {"HX-Request": "true"}


def listed(page: Page) -> list[str]:
    """The hexadecimal ids of the traces in the list, in order."""
    addresses = [row.links[0][1] for row in page.rows]
    return [address.removeprefix(PAGE).partition("/")[0] for address in addresses]


def traces_counted(page: Page) -> int:
    """The number of traces over the list."""
    (number,) = page.all("//figure/figcaption/span/b")
    return int(number.text)


def test_it_lists_traces_newest_first(browser: Client, project: Project, now: datetime) -> None:
    make_trace(project, 1, now=now - timedelta(hours=2), said=("Old <question>", "answer"))
    make_trace(project, 2, now=now, said=("New question", "answer"), session="chat", error="boom")
    page = Page(browser.get(PAGE).text)
    newest, oldest = page.table().rows
    assert newest["Name"] == "stepNew question"
    assert oldest["Name"] == "stepOld <question>"
    assert (newest["Agent"], newest["Session"], newest["Models"]) == ("support-bot", "chat", "gpt-4o-mini")
    assert (newest["Tokens"], oldest["Session"]) == ("110 tokens", "")
    assert traces_counted(page) == 2


def test_it_shows_labels_beside_traces(browser: Client, project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), active_since=now - timedelta(hours=1))
    (label,) = make_labels(signal, project, 1, now=now)
    type(label).objects.filter(pk=label.pk).update(status="done", value="yes", labelled_at=now)
    assert Page(browser.get(PAGE).text).table().row(1)["Labels"] == "Refund wantedyes"


def test_it_teaches_when_there_is_no_trace(browser: Client, project: Project) -> None:
    page = Page(browser.get(PAGE).text)
    assert "Send your first trace" in page.headings
    assert page.part("connect-endpoint").text == "http://testserver/v1/traces"
    assert "catalyst_tracing" in page.text


def test_it_turns_into_the_list_when_the_first_trace_lands(browser: Client, project: Project, now: datetime) -> None:
    poll = {**HTMX, "HX-Target": "first-trace"}
    assert browser.get(PAGE, headers=poll).status_code == 204
    make_trace_row(project, now=now)
    assert browser.get(PAGE, headers=poll).headers["HX-Redirect"] == PAGE


def test_it_offers_the_range_that_has_traces(browser: Client, project: Project, now: datetime) -> None:
    make_trace_row(project, now=now - timedelta(days=5))
    page = Page(browser.get(PAGE).text)
    assert "No traces in the last 24 hours" in page.headings
    assert page.link("Show the last 7 days") == "?range=7d"
    assert len(Page(browser.get(f"{PAGE}?range=7d").text).table().rows) == 1


def test_it_says_when_no_trace_passes_the_filter(browser: Client, project: Project, now: datetime) -> None:
    make_trace_row(project, now=now)
    page = Page(browser.get(f"{PAGE}?status=error").text)
    assert "No traces in the last 24 hours match the filters" in page.headings
    assert "No traces match" in page.text


def test_it_filters(browser: Client, project: Project, now: datetime) -> None:
    good = make_trace_row(project, 1, now=now, said=("Where is it?", "x"), session="one")
    bad = make_trace_row(project, 2, now=now, said=("Refund 100%_me", "x"), agent="other-bot")
    Trace.objects.filter(pk=bad.pk).update(status="error")

    def shown(query: str) -> set[str]:
        return set(listed(Page(browser.get(f"{PAGE}?{query}").text)))

    assert shown("status=error") == {bad.hex_id}
    assert shown("status=ok") == {good.hex_id}
    assert shown(f"agent={good.agent_id}") == {good.hex_id}
    assert shown(f"session={good.session_id}") == {good.hex_id}
    assert shown("q=100%25_") == {bad.hex_id}
    assert shown("agent=0") == set()


@pytest.mark.parametrize(
    "query", ["status=x", "agent=-1", "session=abc", "after=nonsense", "q=%00", "range=%00", "from=9999"]
)
def test_it_ignores_nonsense_in_the_url(browser: Client, project: Project, now: datetime, query: str) -> None:
    trace = make_trace_row(project, now=now)
    response = browser.get(f"{PAGE}?{query}")
    assert response.status_code == 200
    assert listed(Page(response.text)) == [trace.hex_id]


def test_it_goes_to_the_trace_whose_id_is_asked_for(browser: Client, project: Project, now: datetime) -> None:
    trace = make_trace_row(project, now=now)
    assert browser.get(f"{PAGE}?q={trace.hex_id}").headers["Location"] == f"{PAGE}{trace.hex_id}/"
    assert browser.get(f"{PAGE}?q={'f' * 32}").status_code == 200


def test_it_finds_every_id_that_it_shows(browser: Client, project: Project, now: datetime) -> None:
    trace_id = 0x6C5C1186 << 96
    for number in (trace_id, trace_id + (1 << 100)):
        spans = [sent_span(number >> 90, trace=number, start=now, session__id=f"chat {number >> 96}")]
        pipeline.store(project.pk, spans, now)
    trace = Trace.objects.get(trace_id=UUID(int=trace_id))
    session = trace.session
    assert session
    found = {
        trace.hex_id[:8]: trace.get_absolute_url(),
        trace.hex_id[:8].upper(): trace.get_absolute_url(),
        session.key: f"/p/default/sessions/{session.pk}/",
        hex_span_id(trace.root_span_id or 0): f"{trace.get_absolute_url()}?span={hex_span_id(trace.root_span_id or 0)}",
    }
    for text, address in found.items():
        assert browser.get(PAGE, {"q": text}).headers["Location"] == address
    pipeline.store(project.pk, [sent_span(5, trace=trace_id + 1, start=now)], now)
    other = Trace.objects.get(trace_id=UUID(int=trace_id + 1))
    assert set(listed(Page(browser.get(PAGE, {"q": "6c5c1186"}).text))) == {trace.hex_id, other.hex_id}


def test_it_finds_a_span_of_any_day(browser: Client, project: Project, now: datetime) -> None:
    days = {1: 0, 2: 3, 3: 20, 4: -2}
    for number, days_ago in days.items():
        start = now - timedelta(days=days_ago)
        pipeline.store(project.pk, [sent_span(number << 60, trace=number, start=start)], now)
    for number in days:
        for query in ("", "&range=7d", "&range=30d", "&from=2026-01-01&to=2026-01-02"):
            address = browser.get(f"{PAGE}?q={hex_span_id(number << 60)}{query}").headers["Location"]
            assert address == f"{PAGE}{number:032x}/?span={hex_span_id(number << 60)}"
    page = Page(browser.get(f"{PAGE}?q={'7' * 16}").text)
    assert "No traces in the last 24 hours match the filters" in page.headings


def test_it_says_when_it_did_not_look_for_a_span_everywhere(
    browser: Client, project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(id_search, "MAX_MILLISECONDS", 0)
    make_trace_row(project, 1, now=now)
    make_trace_row(project, 2, now=now, said=(f"What is {'8' * 16}?", "A number."))
    page = Page(browser.get(f"{PAGE}?q={'7' * 16}").text)
    assert "The search for this span ID was not finished" in page.main.headings
    assert "It looked through 0 of 32 days. Choose a time range around the span" in page.main.text
    assert "No traces" not in page.main.text
    page = Page(browser.get(f"{PAGE}?q={'8' * 16}").text)
    assert len(page.rows) == 1
    assert "The search for a span with this ID stopped" in page.main.text
    assert "The search for" not in Page(browser.get(f"{PAGE}?q=number").text).main.text


def test_columns_that_are_the_same_in_every_row_are_left_out(browser: Client, project: Project, now: datetime) -> None:
    trace = make_trace_row(project, now=now, session="chat")
    columns = Page(browser.get(PAGE).text).table().columns
    for query, column in (
        (f"agent={trace.agent_id}", "Agent"),
        (f"session={trace.session_id}", "Session"),
        ("status=ok", "Status"),
    ):
        table = Page(browser.get(f"{PAGE}?{query}").text).table()
        assert table.columns == [name for name in columns if name != column]
        assert len(table.row(1).cells) == len(table.columns)
    assert "Agent" not in Page(browser.get(f"/p/default/agents/{trace.agent_id}/traces/").text).table().columns


def test_it_shows_bad_and_good_labels_and_the_rest_on_demand(browser: Client, project: Project, now: datetime) -> None:
    agent = make_agent(project)
    make_trace_row(project, 1, now=now)
    for name, value in (("Bad", "yes"), ("Other", "no")):
        make_label(make_signal(agent, name=name, active_since=now), 1, now=now, value=value)
    (cell,) = Page(browser.get(PAGE).text).all("//tbody/tr/td[last()]")
    assert cell.all("./span/a")[0].text == "Badyes"
    (rest,) = cell.all(".//details")
    assert rest.headings == ["Further labels: +1"]
    assert rest.all("./span/a")[0].text == "Otherno"


def test_a_label_leads_to_its_reason_and_several_to_a_list_of_them(
    browser: Client, project: Project, now: datetime
) -> None:
    agent = make_agent(project)
    make_trace_row(project, 1, now=now)
    one, several = (make_signal(agent, name=name, active_since=now) for name in ("One", "Several"))
    label = make_label(one, 1, now=now, value="yes")
    make_verdict(label, now)
    for span in (1, 2):
        make_label(several, 1, now=now, value="yes", scope="span", span_id=span, target_key=f"{1:032x}:{span}")
    row = Page(browser.get(PAGE, {"range": "7d"}).text).table().row(1)
    assert row.link("One yes") == f"/p/default/signals/{one.pk}/labels/{label.pk}/?range=7d"
    assert row.link("Several yes \N{MULTIPLICATION SIGN}2") == f"?range=7d&label={several.pk}%3Ayes"
    assert "Because yes." in Page(browser.get(row.link("One yes")).text).main.text


def test_it_continues_where_a_page_ended(browser: Client, project: Project, now: datetime) -> None:
    traces = [make_trace_row(project, number, now=now - timedelta(seconds=number // 2)) for number in range(1, 46)]
    first = Page(browser.get(PAGE).text)
    response = browser.get(PAGE + first.link("Load more"), headers=HTMX)
    second = Page(response.text)
    assert not second.is_whole
    assert response.headers["Vary"].count("HX-Request") == 1
    assert [len(listed(page)) for page in (first, second)] == [views.PAGE, 15]
    assert set(listed(first) + listed(second)) == {trace.hex_id for trace in traces}


def test_it_says_how_many_traces_are_new(browser: Client, project: Project, now: datetime) -> None:
    of_agent = f"?agent={make_trace_row(project, 1, now=now - timedelta(minutes=5)).agent_id}"
    url = PAGE + Page(browser.get(PAGE + of_agent).text).part("newer").attribute("hx-get")
    assert Page(browser.get(url, headers=HTMX).text).links == []
    for number in (2, 3):
        make_trace_row(project, number, now=now - timedelta(minutes=1))
    make_trace_row(project, 4, now=now, agent="another")
    assert Page(browser.get(url, headers=HTMX).text).links == [("2 new traces", of_agent)]


def test_it_costs_the_same_for_ten_rows_and_twenty(browser: Client, project: Project, now: datetime) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert browser.get(PAGE).status_code == 200
        return len(queries)

    make_trace_rows(project, range(1, 11), now=now, session="first")
    ten = queries()
    make_trace_rows(project, range(11, 21), now=now, session="second")
    assert queries() == ten


def test_it_never_says_zero_for_an_unknown_cost(browser: Client, project: Project, now: datetime) -> None:
    trace = make_trace_row(project, now=now)
    Trace.objects.filter(pk=trace.pk).update(cost=0, unpriced_count=1)
    assert Page(browser.get(PAGE).text).table().row(1)["Cost"] == "\N{EN DASH}"


def test_it_counts_from_hours_and_from_traces_alike(browser: Client, project: Project, now: datetime) -> None:
    make_trace_rows(project, range(1, 4), now=now, session="conversation")
    for key in ("1h", "1d", "7d"):
        assert traces_counted(Page(browser.get(f"{PAGE}?range={key}").text)) == 3


@pytest.mark.parametrize("key", ["1h", "1d"])
def test_its_numbers_are_of_the_agent_but_other_agents_say_what_they_would_give(
    browser: Client, project: Project, now: datetime, key: str
) -> None:
    make_trace_rows(project, range(1, 4), now=now, session="conversation")
    other = make_trace_row(project, 9, now=now, agent="other-bot")
    page = Page(browser.get(f"{PAGE}?range={key}&agent={other.agent_id}").text)
    assert traces_counted(page) == 1
    bars = [bar.text.split("UTC: ")[1] for bar in page.all("//figure//title")]
    assert [bar for bar in bars if not bar.startswith("0 ")] == ["1 trace, 0 with errors"]
    filters = facets_of(browser, f"{PAGE}?range={key}&agent={other.agent_id}")
    assert [words for words, _ in filters.region("Status").links] == ["OK 1", "Error 0"]
    assert [words for words, _ in filters.region("Agent").links] == ["Any", "support-bot 3", "other-bot 1"]


def test_one_status_and_one_agent_can_be_chosen(browser: Client, project: Project, now: datetime) -> None:
    mine, other = make_trace_row(project, 1, now=now), make_trace_row(project, 2, now=now, agent="other-bot")
    page = facets_of(browser, PAGE)
    for name, value in (("Status", "OK 2"), ("Agent", "support-bot 1")):
        assert (chosen(page.region(name)), page.region(name).has_link("Any")) == ([], False)
        assert [link.attribute("role") for link in page.region(name).all(".//a")] == ["radio", "radio"]
        page = facets_of(browser, PAGE + page.region(name).link(value))
    agents = page.region("Agent")
    assert (chosen(page.region("Status")), chosen(agents)) == (["OK 1"], ["support-bot 1"])
    # Another one replaces it. A click on it, or on "Any", removes it.
    assert agents.link("other-bot 1") == f"?status=ok&agent={other.agent_id}"
    assert agents.link("support-bot 1") == agents.link("Any") == "?status=ok"
    assert page.region("Status").link("Any") == f"?agent={mine.agent_id}"


def test_the_chosen_agent_is_offered_even_without_rows(browser: Client, project: Project, now: datetime) -> None:
    trace = make_trace_row(project, now=now)
    for agent, name in ((trace.agent_id, "support-bot"), (0, "No agent"), (999_999, "unknown")):
        agents = facets_of(browser, f"{PAGE}?model=nothing&agent={agent}").region("Agent")
        assert chosen(agents) == [f"{name} 0"]
        assert agents.link("Any") == "?model=nothing"
    assert "Agent" not in facets_of(browser, f"{PAGE}?model=nothing").text


def test_its_bars_of_latency_say_their_scale(browser: Client, project: Project, now: datetime) -> None:
    trace = make_trace_row(project, now=now)
    for path in (PAGE, f"/p/default/agents/{trace.agent_id}/traces/"):
        heads = [head.text for head in Page(browser.get(path).text).table().all(".//th")]
        assert "Latency (log bars)" in heads


def test_it_says_when_it_did_not_look_at_all(
    browser: Client, project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers that hours can't tell are counted among the newest traces of the project only, the list reaches back."""
    top = timerange.floor(now, timerange.HOUR) + timerange.HOUR / 2
    for number, hours in enumerate((26, 25, 3, 2, 1), start=1):
        make_trace_row(project, number, now=top - hours * timerange.HOUR, said=("A refund?", "Yes."))
    whole = Page(browser.get(PAGE, {"range": "7d", "q": "refund"}).text)
    assert "of the newest traces only" not in whole.text
    assert traces_counted(whole) == 5
    monkeypatch.setattr(list_volumes, "MAX_COUNTED_TRACES", 3)
    page = Page(browser.get(PAGE, {"range": "7d", "q": "refund"}).text)
    since = formats.at(top - 24.5 * timerange.HOUR, now)
    assert traces_counted(page) == 3
    assert f"of the newest traces only, since {since}" in page.text
    assert listed(page) == listed(whole)
    assert "of the newest traces only" not in Page(browser.get(PAGE, {"range": "7d"}).text).text


def test_it_is_not_there_for_outsiders(client_as: Callable[[User], Client], charlie: User, project: Project) -> None:
    assert client_as(charlie).get(PAGE).status_code == 404


def test_it_shows_nothing_of_other_projects(
    client_as: Callable[[User], Client], charlie: User, project: Project, now: datetime
) -> None:
    trace = make_trace_row(project, now=now)
    assert "Send your first trace" in Page(client_as(charlie).get(f"/p/other/traces/?q={trace.hex_id}").text).headings


def test_it_only_reads(browser: Client) -> None:
    assert browser.post(PAGE).status_code == 405


def test_its_address_says_which_traffic(browser: Client, project: Project, now: datetime) -> None:
    attributes: dict[str, Any] = {"tenant": "acme", "llm.model_name": "gpt-4o", "llm.token_count.prompt": 50}
    resource = {"service.name": "shop", "deployment.environment.name": "prod"}
    spans = [sent_span(1, trace=1, start=now, resource=resource, openinference__span__kind="LLM", **attributes)]
    spans += [sent_span(2, trace=2, start=now, resource={"service.name": "till"}, name="other")]
    pipeline.store(project.pk, spans, now)

    def count(query: str) -> int:
        return len(listed(Page(browser.get(f"{PAGE}?{query}").text)))

    assert count("") == 2
    for query in ("environment=prod", "service=shop", "model=gpt-4o", "min_tokens=50", "attribute=tenant=acme"):
        assert count(query) == 1
    for query in ("environment=production", "max_duration_ms=1", "min_tokens=51", "attribute=tenant=acme&service=till"):
        assert count(query) == 0
    for nonsense in ("min_tokens=many", "max_tokens=1&min_tokens=-1&max_tokens=no", "attribute=tenant", "model=%00"):
        assert count(nonsense) == 2
    assert count("min_tokens=many&service=shop") == 1


@pytest.mark.parametrize("path", [PAGE, "/p/default/sessions/"])
def test_what_its_address_says_is_shown_and_can_be_taken_back(
    browser: Client, project: Project, now: datetime, path: str
) -> None:
    make_trace_row(project, now=now, session="conversation")
    query = "environment=prod&max_tokens=9&min_tokens=5&attribute=a%3Db%3Dc&attribute=d%3De"
    page = Page(browser.get(f"{path}?{query}").text)
    (search,) = page.searches
    for words, left in (
        ("environment is prod", "max_tokens=9&min_tokens=5&attribute=a%3Db%3Dc&attribute=d%3De"),
        ("tokens 5 to 9", "environment=prod&attribute=a%3Db%3Dc&attribute=d%3De"),
        ("a is b=c", "environment=prod&max_tokens=9&min_tokens=5&attribute=d%3De"),
    ):
        assert words in search.text
        assert search.link(f"Remove filter {words}") == f"?{left}"
    (menu,) = (form for form in page.forms if form.buttons == ["Filter"])
    assert menu.fields["environment"] == ["prod"]
    assert menu.fields["attribute"] == ["a=b=c", "d=e"]


@pytest.mark.parametrize("listed", ["traces", "sessions"])
def test_it_says_what_part_of_a_filter_is_not_applied(
    browser: Client, project: Project, now: datetime, listed: str
) -> None:
    make_trace(project, now=now)
    url = f"/p/{project.slug}/{listed}/"
    text = Page(browser.get(f"{url}?attribute=llm.token_count.prompt%3D7").text).text
    assert "Not applied. Attribute (key=value): Traffic can't be filtered by the attribute" in text
    assert "Not applied" not in browser.get(f"{url}?attribute=tenant%3Dacme").text


@pytest.mark.parametrize("listed", ["traces", "sessions"])
@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("min_duration_ms=abc", "Min latency (ms)"),
        ("attribute=app.version", "Attribute (key=value): “app.version” has no value."),
        ("agent=abc", "Agent: Enter a whole number."),
        ("session=x", "Session: Enter a whole number."),
        ("status=x", "Status: "),
        ("&".join(["label=1:yes"] * 6), "Labels: at most 5."),
    ],
)
def test_it_says_each_condition_that_it_does_not_apply(
    browser: Client, project: Project, now: datetime, listed: str, query: str, problem: str
) -> None:
    make_trace(project, now=now, session="chat")
    (note,) = Page(browser.get(f"/p/{project.slug}/{listed}/?{query}").text).all("//main//div[@role='alert']")
    assert note.text.startswith(f"Not applied. {problem}")


@pytest.mark.parametrize("page", ["traces", "sessions", "agents"])
@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("range=999d", "999d is not a time range. Shown: the last 24 hours."),
        ("from=banana", "From is not a time: banana. Shown: the last 24 hours."),
        ("from=2026-11-01&to=x", "To is not a time: x. Shown: the last 24 hours."),
        ("to=2026-11-01", "To needs a From. Shown: the last 24 hours."),
        ("from=2026-11-02&to=2026-11-01", "From must be before To, and in the past. Shown: the last 24 hours."),
        ("from=2999-11-02&to=2999-11-04", "From must be before To, and in the past. Shown: the last 24 hours."),
    ],
)
def test_pages_say_that_a_range_is_not_applied(
    browser: Client, project: Project, now: datetime, page: str, query: str, problem: str
) -> None:
    make_trace(project, now=now, session="chat")
    (note,) = Page(browser.get(f"/p/{project.slug}/{page}/?{query}").text).all("//main//div[@role='alert']")
    assert note.text == problem


def test_it_names_what_it_is_narrowed_to_even_if_that_is_unknown(
    browser: Client, project: Project, now: datetime
) -> None:
    make_trace_row(project, now=now)
    for query, chip in (("agent=999", "agent: unknown"), ("session=999", "session: unknown")):
        (search,) = Page(browser.get(f"{PAGE}?{query}").text).searches
        assert chip in search.text


def test_it_offers_a_first_signal_until_there_is_one(
    client_as: Callable[[User], Client], alice: User, viewer: User, project: Project, now: datetime
) -> None:
    make_trace(project, agent="shop & co", now=now)
    agent = project.agents.get()
    page = Page(client_as(alice).get(PAGE, {"agent": agent.pk}).text)
    editor = Page(client_as(alice).get(page.link("Task outcome")).text)
    assert editor.field("Name").value == "Task outcome"
    assert editor.field("Agent").value == str(agent.pk)
    assert page.link("Your own prompt") == "/p/default/signals/new/?agent=shop+%26+co"
    assert "No signal labels" not in Page(client_as(viewer).get(PAGE).text).text
    make_signal(agent)
    assert "No signal labels" not in Page(client_as(alice).get(PAGE).text).text


def test_a_range_that_has_ended_is_not_live(browser: Client, project: Project, now: datetime) -> None:
    make_trace_row(project, now=now)
    for query, ended in (("range=1h", False), ("from=2026-01-01&to=2026-01-02", True)):
        (live,) = Page(browser.get(f"{PAGE}?{query}").text).all("//button[@data-live]")
        assert (live.attribute("aria-pressed"), live.element.get("disabled") is not None) == (
            "false" if ended else "true",
            ended,
        )
