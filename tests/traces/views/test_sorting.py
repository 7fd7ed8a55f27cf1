"""Lists that are sorted by their heads."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from catalyst.core.models import Project
from tests.factories import make_agent, make_session_row, make_trace_row, make_trace_rows, make_traces
from tests.page import Page, Table
from tests.traces.sent import sent_span
from tests.traces.views.agent_page import table
from traces.analytics import calls
from traces.ingest import pipeline
from traces.models import Session, Trace, sorting
from traces.views import sessions, traces

pytestmark = pytest.mark.real_clock

TRACES = "/p/default/traces/"
SESSIONS = "/p/default/sessions/"
AGENTS = "/p/default/agents/"
HTMX = {"HX-Request": "true"}


def heads(listed: Table) -> dict[str, str]:
    """Which way the list is sorted, by the words of the head."""
    sorted_heads = listed.all(".//thead//th[@aria-sort]")
    return {head.all("./a")[0].text: head.attribute("aria-sort") for head in sorted_heads}


def names_of_all_pages(browser: Client, url: str) -> list[str]:
    """The words of the link of each row, of the first page and of all that it loads."""
    page, names = Page(browser.get(url).text), []
    while True:
        names += [row.links[0][0] for row in page.rows]
        if not page.has_link("Load more"):
            return names
        page = Page(browser.get(url.partition("?")[0] + page.link("Load more"), headers=HTMX).text)


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "PAGE", 2)
    monkeypatch.setattr(sessions, "PAGE", 2)


@pytest.fixture
def five_traces(project: Project, now: datetime) -> None:
    """Traces a, the oldest, to e. The cost of e is not known."""
    amounts = {"a": (50, 5, "0.5"), "b": (10, 9, "0.2"), "c": (50, 0, "0.2"), "d": (70, 9, "0"), "e": (20, 3, "0")}
    rows = make_trace_rows(project, range(1, 6), now=now)
    for number, (trace, name) in enumerate(zip(rows, amounts, strict=True)):
        duration, tokens, cost = amounts[name]
        Trace.objects.filter(pk=trace.pk).update(
            name=name,
            start_time=now - timedelta(minutes=20 - number),
            duration_us=duration,
            input_tokens=tokens,
            output_tokens=0,
            cost=Decimal(cost),
            unpriced_count=int(name == "e"),
        )


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("-time", "edcba"),
        ("time", "abcde"),
        ("-duration", "dcaeb"),
        ("duration", "beacd"),
        ("-tokens", "dbaec"),
        ("tokens", "ceabd"),
        ("-cost", "acbde"),
        ("cost", "dbcae"),
    ],
)
@pytest.mark.usefixtures("small_pages", "five_traces")
def test_traces_are_sorted_over_all_pages(browser: Client, sort: str, names: str) -> None:
    assert names_of_all_pages(browser, f"{TRACES}?sort={sort}") == list(names)
    agent = Trace.objects.all()[0].agent_id
    assert names_of_all_pages(browser, f"{AGENTS}{agent}/traces/?sort={sort}") == list(names)


@pytest.mark.usefixtures("five_traces")
def test_heads_sort_and_say_how_the_list_is_sorted(browser: Client) -> None:
    query = "range=7d&status=ok"
    first = Page(browser.get(f"{TRACES}?{query}").text).table()
    assert heads(first) == {"Time": "descending"}
    assert first.link("Time") == f"?{query}&sort=time"
    assert first.link("Latency") == f"?{query}&sort=-duration"
    slowest = Page(browser.get(TRACES + first.link("Latency")).text).table()
    assert heads(slowest) == {"Latency": "descending"}
    assert slowest.link("Latency") == f"?{query}&sort=duration"
    fastest = Page(browser.get(TRACES + slowest.link("Latency")).text).table()
    assert heads(fastest) == {"Latency": "ascending"}
    assert not fastest.has_link("Models")


@pytest.mark.parametrize("url", [TRACES, SESSIONS, AGENTS])
@pytest.mark.parametrize("sort", ["-color", "--time", "-", "%00", "x" * 500])
def test_an_unknown_order_is_not_applied(browser: Client, project: Project, now: datetime, url: str, sort: str) -> None:
    make_trace_row(project, now=now, session="chat")
    page = Page(browser.get(f"{url}?sort={sort}").text)
    (note,) = page.all("//main//div[@role='alert']")
    assert note.text == "Not applied. Sort: The list has no such column."
    assert len(page.rows) == 1


@pytest.mark.parametrize("sort", ["-time", "-cost"])
@pytest.mark.parametrize(
    "after",
    [
        "x",
        "_",
        "_1",
        "1_",
        "1_0",
        "1_-1",
        "NaN_1",
        "Infinity_1",
        "1e9_1",
        "1e999999_1",
        f"{'9' * 19}_1",
        f"1_{'9' * 19}",
        f"0.{'1' * 10}_1",
        "%D9%A1_1",
        "1%00_1",
        "--1_1",
        "2026-11-30_1",
        "2026-11-30T10:00:00_1",
    ],
)
@pytest.mark.usefixtures("five_traces")
def test_a_cursor_that_no_page_gave_is_refused(browser: Client, sort: str, after: str) -> None:
    first = names_of_all_pages(browser, f"{TRACES}?sort={sort}")
    assert names_of_all_pages(browser, f"{TRACES}?sort={sort}&after={after}") == first


@pytest.mark.parametrize("after", [f"{'9' * 18}.{'9' * 9}_{'9' * 18}", f"-{'9' * 18}_1", "0_1"])
@pytest.mark.parametrize("sort", ["-duration", "tokens", "-cost", "cost", "-turns"])
def test_an_extreme_cursor_lists_what_is_behind_it(
    browser: Client, project: Project, now: datetime, sort: str, after: str
) -> None:
    make_session_row(project, now=now)
    for url in (SESSIONS,) if sort == "-turns" else (TRACES, SESSIONS):
        assert browser.get(f"{url}?sort={sort}&after={after}").status_code == 200


@pytest.mark.usefixtures("small_pages", "five_traces")
def test_only_the_newest_are_sorted_and_the_page_says_so(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    note = "traces are sorted, those since"
    monkeypatch.setattr(sorting, "MAX_SORTED", 5)
    assert note not in Page(browser.get(f"{TRACES}?sort=-cost").text).text
    monkeypatch.setattr(sorting, "MAX_SORTED", 3)
    assert f"Only the newest 3 {note}" in Page(browser.get(f"{TRACES}?sort=-cost").text).text
    assert names_of_all_pages(browser, f"{TRACES}?sort=-cost") == list("cde")
    assert note not in Page(browser.get(f"{TRACES}?sort=time").text).text
    assert names_of_all_pages(browser, f"{TRACES}?sort=time") == list("abcde")


@pytest.mark.usefixtures("five_traces")
def test_it_looks_for_newer_ones_only_where_they_come_first(browser: Client) -> None:
    assert "newer" in Page(browser.get(f"{TRACES}?sort=-time").text).ids
    for url in (f"{TRACES}?sort=-cost", f"{TRACES}?sort=time", f"{SESSIONS}?sort=-cost"):
        assert "newer" not in Page(browser.get(url).text).ids


def test_a_trace_leads_along_the_order_of_its_list(browser: Client, project: Project, now: datetime) -> None:
    make_traces(project, range(1, 5), now=now)
    for number, duration in enumerate((30, 10, 40, 20), start=1):
        Trace.objects.filter(trace_id__endswith=f"{number}").update(duration_us=duration)
    query = "?sort=-duration"
    page = Page(browser.get(TRACES + f"{3:032x}/{query}").text)
    assert not page.has_link("Previous [")
    walked = []
    while page.has_link("Next ]"):
        walked.append(page.link("Next ]"))
        page = Page(browser.get(walked[-1]).text)
    assert walked == [f"{TRACES}{number:032x}/{query}" for number in (1, 4, 2)]
    assert page.link("Previous [") == f"{TRACES}{4:032x}/{query}"
    assert page.region("Breadcrumb").link("Traces") == TRACES + query


@pytest.mark.parametrize(
    ("sort", "keys"),
    [
        ("-time", "cba"),
        ("-turns", "bca"),
        ("errors", "abc"),
        ("-errors", "cba"),
        ("-duration", "acb"),
        ("duration", "bca"),
        ("-tokens", "bca"),
        ("cost", "abc"),
    ],
)
@pytest.mark.usefixtures("small_pages")
def test_sessions_are_sorted_over_all_pages(
    browser: Client, project: Project, now: datetime, sort: str, keys: str
) -> None:
    durations = {"a": timedelta(hours=1), "b": timedelta(seconds=1), "c": timedelta(seconds=1, microseconds=5)}
    for number, (key, turns) in enumerate((("a", 1), ("b", 3), ("c", 2))):
        session = make_session_row(project, key, turns=turns, first=10 * number + 1, now=now)
        Session.objects.filter(pk=session.pk).update(
            end_time=now - timedelta(minutes=9 - number),
            start_time=now - timedelta(minutes=9 - number) - durations[key],
            error_trace_count=number // 2,
            cost=Decimal("0.1") if key != "c" else 0,
            unpriced_count=int(key == "c"),
        )
        Trace.objects.filter(session=session).update(input_preview=key)
    assert names_of_all_pages(browser, f"{SESSIONS}?sort={sort}") == list(keys)


@pytest.fixture
def three_agents(project: Project, now: datetime) -> None:
    """Runs of a, b and c, and an agent d without any. The cost of c is not known."""
    runs = {"a": (3, 9, 0, "gpt-4o-mini"), "b": (1, 5, 1, "gpt-4o-mini"), "c": (2, 7, 1, "made-up")}
    for agent, (count, seconds, failed, model) in runs.items():
        for number in range(count):
            trace, start = ord(agent) * 10 + number, now - timedelta(minutes=ord(agent) - 90, seconds=9)
            about: dict[str, Any] = {
                "seconds": seconds,
                "agent__id": agent,
                "status": "error" if number < failed else "ok",
            }
            call: dict[str, Any] = {
                "openinference__span__kind": "LLM",
                "llm__model_name": model,
                "llm__token_count__prompt": 1000 * seconds,
            }
            spans = [
                sent_span(1, trace=trace, start=start, **about),
                sent_span(2, 1, trace=trace, start=start, **call),
            ]
            pipeline.store(project.pk, spans, now)
    make_agent(project, "d", seen=now)


@pytest.mark.parametrize("key", ["1h", "7d"])
@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("", "acbd"),
        ("-name", "dcba"),
        ("name", "abcd"),
        ("runs", "bcad"),
        ("-errors", "bcad"),
        ("errors", "acbd"),
        ("-p50", "acbd"),
        ("-p95", "acbd"),
        ("p95", "bcad"),
        ("-tokens", "acbd"),
        ("-cost", "abcd"),
        ("cost", "bacd"),
        ("-last", "abcd"),
        ("last", "cbad"),
        ("-first", "dabc"),
    ],
)
@pytest.mark.usefixtures("three_agents")
def test_agents_are_sorted(browser: Client, sort: str, names: str, key: str) -> None:
    page = Page(browser.get(f"{AGENTS}?range={key}" + (f"&sort={sort}" if sort else "")).text)
    assert [row.links[0][0] for row in page.rows] == list(names)
    assert list(heads(page.table()).values()) == ["ascending" if sort and sort[0] != "-" else "descending"]


def test_models_and_tools_are_sorted(
    browser: Client, project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = (("LLM", "slow", 9, 0), ("LLM", "fast", 1, 2), ("TOOL", "find", 3, 0), ("TOOL", "book", 2, 1))
    spans = [sent_span(1, trace=1, start=now - timedelta(minutes=5), agent__id="a")]
    for number, (kind, name, seconds, failed) in enumerate(called, start=2):
        what = {"llm__model_name": name} if kind == "LLM" else {"tool__name": name}
        about: dict[str, Any] = {"seconds": seconds, "openinference__span__kind": kind, **what}
        about["status"] = "error" if failed else "ok"
        ids = range(10 * number, 10 * number + 1 + failed)
        spans += [sent_span(span, 1, trace=1, start=now - timedelta(minutes=4), **about) for span in ids]
    pipeline.store(project.pk, spans, now)
    url = f"{AGENTS}{project.agents.get(identity='a').pk}/"

    def shown(query: str) -> tuple[list[str], list[str]]:
        page = Page(browser.get(f"{url}?range=1h&{query}").text)
        return list(table(page, "Models")), list(table(page, "Tools"))

    assert shown("") == (["fast", "slow"], ["book", "find"])
    assert shown("models_sort=-p95&tools_sort=name") == (["slow", "fast"], ["book", "find"])
    assert shown("models_sort=errors&tools_sort=-p50") == (["slow", "fast"], ["find", "book"])
    page = Page(browser.get(f"{url}?models_sort=-p95&tools_sort=-cost&range=1h").text)
    assert "Not applied. Sort of tools: The list has no such column." in page.text
    models, tools = page.region("Models").table(), page.region("Tools").table()
    assert (heads(models), heads(tools)) == ({"p95": "descending"}, {"Calls": "descending"})
    assert models.link("p95") == "?tools_sort=-cost&range=1h&models_sort=p95"
    monkeypatch.setattr(calls, "MAX_SORTED", 1)
    page = Page(browser.get(f"{url}?range=1h&tools_sort=-p50").text)
    assert "and 1 more; 1 with fewer calls are not sorted" in page.region("Tools").text
    assert "not sorted" not in page.region("Models").text
