"""An agent's page with its tabs."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalyst import timerange
from catalyst.core.models import Project, User
from tests.factories import make_agent, make_session_row, make_trace, make_trace_row, make_trace_rows
from tests.page import Page
from tests.traces.sent import sent_span
from tests.traces.views.agent_page import numbers, table
from traces.ingest import pipeline
from traces.views.traces import PAGE

pytestmark = pytest.mark.real_clock

HTMX = {"HX-Request": "true"}
TABS = ["", "sessions/", "traces/", "signals/", "analysis/"]


def page_of(project: Project, tab: str = "", name: str = "support-bot") -> str:
    return f"/p/default/agents/{make_agent(project, name).pk}/{tab}"


@dataclass
class Run:
    """One run as it is sent."""

    ago: timedelta
    seconds: float = 1
    status: str = "ok"
    outcome: str = ""
    tokens: tuple[int, int, int] = (100, 10, 0)
    model: str = "gpt-4o-mini"


def send(project: Project, runs: list[Run], now: datetime, first: int = 1) -> None:
    spans = []
    for trace, run in enumerate(runs, first):
        start = now - run.ago
        said: dict[str, Any] = {"agent__outcome": run.outcome} if run.outcome else {}
        tokens_in, tokens_out, cached = run.tokens
        spans += [
            sent_span(
                trace * 9, trace=trace, start=start, seconds=run.seconds, status=run.status,
                openinference__span__kind="AGENT", agent__name="support-bot", **said,
            ),
            sent_span(
                trace * 9 + 1, trace * 9, trace=trace, start=start, openinference__span__kind="LLM",
                llm__model_name=run.model, llm__token_count__prompt=tokens_in,
                llm__token_count__completion=tokens_out, llm__token_count__prompt_details__cache_read=cached,
            ),
        ]  # fmt: skip
    pipeline.store(project.pk, spans, now)


def about(text: str) -> float:
    """The seconds of a percentile, which the page marks as approximate."""
    assert text.startswith("≈")
    return float(text[1:].removesuffix(" s"))


def traffic() -> list[Run]:
    """Forty runs of the last 20 hours, some of each kind."""
    runs = []
    for number in range(40):
        failed = number % 5 == 0
        runs.append(
            Run(
                ago=timedelta(minutes=1 + 30 * number),
                seconds=1 + number * 0.7,
                status="error" if failed else ("unset" if number % 5 == 1 else "ok"),
                outcome="failure" if number % 5 == 2 else "",
                tokens=(500 + number, 20 + number, 100),
                model="made-up" if number % 10 == 3 else "gpt-4o-mini",
            )
        )
    return runs


def test_its_numbers_are_the_sums_of_what_was_sent(browser: Client, project: Project, now: datetime) -> None:
    runs = traffic()
    send(project, runs, now)
    found = numbers(Page(browser.get(page_of(project)).text))
    errors = sum(run.status == "error" for run in runs)
    failures = sum(run.outcome == "failure" or run.status == "error" for run in runs)
    success = sum(run.status == "ok" and not run.outcome for run in runs)
    assert found["Runs"] == str(len(runs))
    assert found["Runs success"] == str(success)
    assert found["Runs success title"] == f"{100 * success / len(runs):.1f}% of runs"
    assert found["Runs failure"] == str(failures)
    assert found["Runs unknown"] == str(len(runs) - success - failures)
    assert found["Error rate"] == f"{100 * errors / len(runs):.1f}%"
    assert found["Error rate aside"] == f"{errors} of {len(runs)} runs with errors"
    tokens_in, tokens_out, cached = (sum(run.tokens[kind] for run in runs) for kind in range(3))
    assert found["Tokens"] == f"{(tokens_in + tokens_out) / 1000:.1f}k"
    assert found["Tokens in"] == f"{tokens_in / 1000:.1f}k"
    assert found["Tokens out"] == f"{tokens_out / 1000:.1f}k"
    assert found["Tokens cached"] == f"{cached / 1000:.1f}k"
    assert found["Cost aside"] == f"no price for {sum(run.model == 'made-up' for run in runs)} model calls"
    priced = [run.tokens for run in runs if run.model == "gpt-4o-mini"]
    costs = [
        sum(t[0] - t[2] for t in priced) * 0.15,
        sum(t[2] for t in priced) * 0.075,
        sum(t[1] for t in priced) * 0.6,
    ]
    shown = [found[name] for name in ("Cost", "Cost in", "Cost cache", "Cost out")]
    assert shown == [f"${sum(costs) / 1e6:.4f}+", *(f"${cost / 1e6:.4f}" for cost in costs)]
    assert found["Cost note"] == "of priced calls"
    durations = sorted(run.seconds for run in runs)
    for name, share in (("Latency", 0.5), ("Latency p95", 0.95)):
        exact = durations[ceil(share * len(durations)) - 1]
        assert about(found[name]) == pytest.approx(exact, rel=0.051)


def test_it_lists_the_models_by_cost(browser: Client, project: Project, now: datetime) -> None:
    runs = traffic()
    send(project, runs, now)
    rows = table(Page(browser.get(page_of(project)).text), "Models")
    priced = [run for run in runs if run.model == "gpt-4o-mini"]
    others = [run for run in runs if run.model == "made-up"]
    assert list(rows) == ["gpt-4o-mini", "made-up"]
    for (calls, errors, _, _, tokens, cost), sent in zip(rows.values(), (priced, others), strict=True):
        assert (calls, errors) == (str(len(sent)), "0%")
        assert tokens == f"{sum(run.tokens[0] + run.tokens[1] for run in sent) / 1000:.1f}k"
        assert (cost == "\N{EN DASH}") == (sent is others)


def test_it_lists_the_tools_by_calls_and_which_calls_failed(browser: Client, project: Project, now: datetime) -> None:
    spans = [
        sent_span(
            number, None if number == 1 else 1, start=now - timedelta(minutes=9), seconds=number, name="<i>step</i>",
            status="error" if number == 3 else "ok", agent__name="support-bot",
            openinference__span__kind="AGENT" if number == 1 else "TOOL",
            tool__name="get" if number > 5 else "",
        )
        for number in range(1, 21)
    ]  # fmt: skip
    pipeline.store(project.pk, spans, now)
    page = Page(browser.get(page_of(project)).text)
    rows = table(page, "Tools")
    assert {name: cells[:2] for name, cells in rows.items()} == {"get": ["15", "0%"], "<i>step</i>": ["4", "25.0%"]}
    assert [about(cell) for cell in rows["get"][2:]] == pytest.approx([13, 20], rel=0.05)
    assert "≈ means within 5%" in page.text
    assert table(page, "Failed model and tool calls") == {"<i>step</i>": ["", "1", "100%"]}
    failed = page.region("Failed model and tool calls")
    assert "1 call" in failed.text
    assert not any("failed" in words for words, _ in failed.links)
    assert "No model calls" in page.region("Models").text


def test_it_says_why_calls_failed(browser: Client, project: Project, now: datetime) -> None:
    for number, error in enumerate(("timed out", "timed out", "refused"), start=1):
        make_trace(project, number, now=now, error=error)
    (name,) = table(Page(browser.get(page_of(project)).text), "Failed model and tool calls")
    assert name == "lookup for example: timed out"


@pytest.mark.parametrize("query", ["", "range=7d&by=&tools_sort=name"])
def test_it_leads_to_the_runs_that_failed_without_a_failed_call(
    browser: Client, project: Project, now: datetime, query: str
) -> None:
    send(project, [Run(ago=timedelta(minutes=5 * n), status="error" if n < 4 else "ok") for n in range(1, 9)], now)
    failed = Page(browser.get(f"{page_of(project)}?{query}").text).region("Failed model and tool calls")
    assert failed.text.endswith("3 runs failed by themselves")
    assert len(Page(browser.get(failed.link("3 runs failed")).text).rows) == 3


def test_it_lists_a_bounded_number_of_tools(browser: Client, project: Project, now: datetime) -> None:
    spans = [
        sent_span(
            trace * 100 + number, trace=trace, start=now - timedelta(minutes=9), agent__name="support-bot",
            openinference__span__kind="TOOL", tool__name=f"tool {trace} {number}",
        )
        for trace in (1, 2)
        for number in range(1, 31)
    ]  # fmt: skip
    pipeline.store(project.pk, spans, now)
    page = Page(browser.get(page_of(project)).text)
    assert len(table(page, "Tools")) == 20
    assert "and 40 more" in page.region("Tools").text


def test_it_says_what_of_the_cost_is_not_split(browser: Client, project: Project, now: datetime) -> None:
    send(project, [Run(ago=timedelta(hours=1))], now)
    assert "Cost not split" not in numbers(Page(browser.get(page_of(project)).text))
    said: dict[str, Any] = {"llm__cost__total": 1.5, "llm__token_count__prompt": 10, "openinference__span__kind": "LLM"}
    pipeline.store(project.pk, [sent_span(5, trace=99, start=now, agent__name="support-bot", **said)], now)
    assert numbers(Page(browser.get(page_of(project)).text))["Cost not split"] == "$1.50"


@pytest.mark.parametrize("key", ["12h", "1d", "3d", "30d"])
def test_it_says_the_same_from_traces_and_from_hours(
    browser: Client, project: Project, now: datetime, key: str
) -> None:
    send(project, [run for run in traffic() if run.ago < timedelta(hours=10)], now)
    whole, part = (numbers(Page(browser.get(page_of(project), {"range": each}).text)) for each in ("90d", key))
    assert whole == part


def test_it_splits_runs_by_status_until_an_agent_reports_another_outcome(
    browser: Client, project: Project, now: datetime
) -> None:
    send(project, [Run(ago=timedelta(hours=2), status=status) for status in ("ok", "unset", "error")], now)
    page = Page(browser.get(page_of(project)).text)
    found = numbers(page)
    assert (found["Runs OK"], found["Runs Error"]) == ("2", "1")
    assert "outcome" not in page.text


@pytest.mark.parametrize("key", ["1d", "90d"])
@pytest.mark.parametrize(
    "told",
    [[("unset", "success")], [("ok", "failure"), ("error", "success")]],
    ids=["successes alone", "as many errors"],
)
def test_it_splits_runs_by_outcome_as_soon_as_one_is_reported(
    browser: Client, project: Project, now: datetime, told: list[tuple[str, str]], key: str
) -> None:
    runs = [Run(ago=timedelta(hours=2), status=status, outcome=outcome) for status, outcome in told]
    send(project, [*runs, Run(ago=timedelta(hours=2), status="unset")], now)
    page = Page(browser.get(page_of(project), {"range": key}).text)
    found = numbers(page)
    assert "by outcome, as the agent reports it" in page.text
    assert (found["Runs success"], found["Runs unknown"]) == ("1", "1")


def old_run(now: datetime) -> list[Run]:
    """One run in the first hour of the period before the default range."""
    return [Run(ago=now - timerange.named("1d", now).prior_start(now) - timedelta(minutes=10))]


def test_it_compares_with_the_equal_period_before(browser: Client, project: Project, now: datetime) -> None:
    before = [Run(ago=timedelta(hours=30), status="error" if n < 2 else "ok") for n in range(100)] + old_run(now)
    after = [Run(ago=timedelta(hours=2), seconds=4, status="error" if n < 30 else "ok") for n in range(50)]
    send(project, before + after, now)
    found = numbers(Page(browser.get(page_of(project)).text))
    assert (found["Runs change"], found["Runs tone"]) == ("down 50% from 101", "")
    assert (found["Error rate change"], found["Error rate tone"]) == ("up 58.0 points from 2.0%", "bad")
    assert re.fullmatch(r"up \d+% from ≈958 ms", found["Latency change"])
    assert found["Latency tone"] == "bad"
    assert found["Runs Error title"] == "60.0% of runs, up 58.0 points from 2.0%"
    assert (found["Runs Error change"], found["Runs Error tone"]) == ("+58.0 points", "bad")


def test_it_keeps_changes_within_chance_grey(browser: Client, project: Project, now: datetime) -> None:
    send(
        project,
        [*old_run(now), *(Run(ago=timedelta(hours=30), status="error" if n < 2 else "ok") for n in range(19))],
        now,
    )
    send(project, [Run(ago=timedelta(hours=2), status="error" if n < 4 else "ok") for n in range(20)], now, first=50)
    found = numbers(Page(browser.get(page_of(project)).text))
    assert found["Error rate change"] == "up 10.0 points from 10.0%"
    assert {tone for name, tone in found.items() if name.endswith(" tone")} == {""}


def test_it_compares_with_nothing_while_the_agent_is_younger(browser: Client, project: Project, now: datetime) -> None:
    send(project, [Run(ago=timedelta(hours=30)), Run(ago=timedelta(hours=2))], now)
    page = Page(browser.get(page_of(project)).text)
    assert page.text.count("No earlier data to compare with") == 1
    assert not any(said for name, said in numbers(page).items() if name.endswith(" change"))
    assert "from 1" not in page.text


def test_it_leaves_a_gap_where_there_is_no_data(browser: Client, project: Project, now: datetime) -> None:
    send(project, [Run(ago=timedelta(hours=9), seconds=3), Run(ago=timedelta(hours=2), status="error")], now)
    figures = Page(browser.get(page_of(project)).text).figures
    assert set(figures) == {"agent-runs", "agent-errors", "agent-latency", "agent-tokens", "agent-cost"}
    for figure in figures.values():
        for row in figure["data"]:
            assert len(row["y"]) == 25
            assert sum(value is not None for value in row["y"]) == 2
    assert [value for value in figures["agent-errors"]["data"][0]["y"] if value is not None] == [0, 100]
    slow, fast = (value for value in figures["agent-latency"]["data"][0]["y"] if value is not None)
    assert (slow, fast) == (pytest.approx(3, rel=0.05), pytest.approx(1, rel=0.05))


def test_its_charts_leave_the_color_of_links_to_links(browser: Client, project: Project, now: datetime) -> None:
    send(project, traffic(), now)
    figures = Page(browser.get(page_of(project)).text).figures
    tones = {name: [row["meta"]["tone"] for row in figure["data"]] for name, figure in figures.items()}
    assert tones["agent-latency"] == ["strong", "quiet"]
    # cat-1 is as blue as links are.
    assert not {"accent", "cat-1"} & {tone for each in tones.values() for tone in each}


def test_it_says_nothing_false_where_nothing_is_known(browser: Client, project: Project, now: datetime) -> None:
    pipeline.store(project.pk, [sent_span(1, start=now - timedelta(seconds=2), agent__name="support-bot")], now)
    found = numbers(Page(browser.get(page_of(project)).text))
    for name in ("Tokens", "Cost"):
        assert (found[name], found[f"{name} note"]) == ("\N{EN DASH}", "none reported")
    assert not any(
        name.startswith(("Tokens ", "Cost ")) and said not in ("", "none reported") for name, said in found.items()
    )


def test_it_offers_the_range_that_has_runs(browser: Client, project: Project, now: datetime) -> None:
    make_trace_row(project, now=now - timedelta(days=5))
    for tab, noun in (("", "runs"), ("traces/", "traces"), ("sessions/", "sessions")):
        page = Page(browser.get(page_of(project, tab)).text)
        assert f"No {noun} in the last 24 hours" in page.main.text
        assert page.has_link("Show the last 7 days") == (tab != "sessions/")


def test_it_swaps_the_numbers_in(browser: Client, project: Project, now: datetime) -> None:
    make_trace_row(project, now=now)
    response = browser.get(page_of(project), headers=HTMX)
    part = Page(response.text)
    assert not part.is_whole
    assert numbers(part)["Runs"] == "1"
    assert "HX-Request" in response.headers["Vary"]


def test_it_asks_for_its_signals_separately(browser: Client, project: Project, now: datetime) -> None:
    make_trace_row(project, now=now)
    section = Page(browser.get(page_of(project)).text).region("Active signals")
    assert section.attribute("hx-get").startswith(page_of(project, "signals/"))


def test_it_lists_its_own_traces(browser: Client, project: Project, now: datetime) -> None:
    mine = make_trace_rows(project, range(1, 56), now=now, session="chat")
    other = make_trace_row(project, 99, now=now, agent="other-bot")
    first = Page(browser.get(page_of(project, "traces/")).text)
    rest = Page(browser.get(page_of(project, "traces/") + first.link("Load more"), headers=HTMX).text)
    assert not rest.is_whole
    addresses = {trace.get_absolute_url() for trace in mine}
    assert [len(addresses & {address.partition("?")[0] for _, address in page.links}) for page in (first, rest)] == [
        PAGE,
        55 - PAGE,
    ]
    assert other.get_absolute_url() not in {address for page in (first, rest) for _, address in page.links}
    assert "No traces" in Page(browser.get(page_of(project, "traces/") + "?status=error").text).text


def test_it_lists_its_own_sessions(browser: Client, project: Project, now: datetime) -> None:
    make_session_row(project, "mine", now=now)
    make_trace_row(project, 50, now=now, agent="other-bot", session="theirs")
    whole = Page(browser.get(page_of(project, "sessions/")).text)
    fragment = Page(browser.get(page_of(project, "sessions/"), headers=HTMX).text)
    assert (whole.is_whole, fragment.is_whole) == (True, False)
    for page in (whole, fragment):
        (row,) = page.all(".//tbody/tr | .//body/tr") or page.all(".//tr")
        assert "mine" in row.text


@pytest.mark.parametrize("tab", TABS)
def test_it_escapes_what_senders_call_it(browser: Client, project: Project, now: datetime, tab: str) -> None:
    make_trace_row(project, now=now, agent="<b>&bot</b>")
    text = browser.get(page_of(project, tab, "<b>&bot</b>")).text
    assert "&lt;b&gt;&amp;bot" in text
    assert "<b>&bot" not in text


@pytest.mark.parametrize("tab", TABS)
def test_it_only_reads(browser: Client, project: Project, tab: str) -> None:
    assert browser.post(page_of(project, tab)).status_code == 405


@pytest.mark.parametrize("tab", TABS)
def test_it_is_closed_to_outsiders(
    client_as: Callable[[User], Client], charlie: User, project: Project, tab: str
) -> None:
    outsider = client_as(charlie)
    assert outsider.get(page_of(project, tab)).status_code == 404
    assert outsider.get(page_of(project, tab).replace("default", "other")).status_code == 404


@pytest.mark.parametrize("tab", TABS)
def test_it_lets_viewers_look(client_as: Callable[[User], Client], viewer: User, project: Project, tab: str) -> None:
    page = Page(client_as(viewer).get(page_of(project, tab)).text)
    assert page.main.headings[0] == "support-bot"
    assert not page.has_link("New signal")


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("query", ["status=x", "after=nonsense", "range=%00", "from=9999", "agent=7", "q=%00"])
def test_it_ignores_nonsense_in_the_url(browser: Client, project: Project, now: datetime, tab: str, query: str) -> None:
    make_trace_row(project, now=now)
    assert browser.get(f"{page_of(project, tab)}?{query}").status_code == 200


@pytest.mark.parametrize("tab", TABS)
def test_it_asks_as_often_for_much_as_for_little(browser: Client, project: Project, now: datetime, tab: str) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert browser.get(page_of(project, tab)).status_code == 200
        return len(captured)

    for number in range(1, 11):
        make_trace_row(project, number, now=now - timedelta(hours=number), session=f"s{number}")
    few = queries()
    for number in range(11, 21):
        make_trace_row(project, number, now=now - timedelta(hours=number), session=f"s{number}")
    assert queries() == few


def test_it_says_that_ids_change_with_each_run(browser: Client, project: Project, now: datetime) -> None:
    for trace in range(1, 4):
        named: dict[str, Any] = {"gen_ai__agent__id": f"run-{trace}", "gen_ai__agent__name": "Assistant"}
        pipeline.store(project.pk, [sent_span(1, trace=trace, start=now, **named)], now)
        text = Page(browser.get(page_of(project, name="run-1")).text).text
        assert ("each of its" in text) == (trace > 1)
    assert "from agent.name, because each of its 3 ids came with one run; first seen" in text


@pytest.mark.parametrize("tab", ["", "sessions/", "traces/", "signals/", "analysis/"])
def test_each_tab_names_its_identity(browser: Client, project: Project, now: datetime, tab: str) -> None:
    make_trace_row(project, now=now)
    (head,) = Page(browser.get(page_of(project, tab)).text).all("//main/header")
    assert head.text.startswith("support-bot support-bot from agent.name, first seen")


def test_its_lists_apply_every_filter_or_say_which_not(browser: Client, project: Project, now: datetime) -> None:
    parcel = make_trace_row(project, 1, now=now, said=("Where is my parcel?", "There."), session="chat")
    refund = make_trace_row(project, 2, now=now, said=("A refund?", "No."), session="other")
    url = page_of(project, "traces/")

    def listed(query: str) -> list[str]:
        return [row.links[0][1].partition("?")[0] for row in Page(browser.get(f"{url}?{query}").text).rows]

    assert listed("q=parcel") == [parcel.get_absolute_url()]
    assert listed(f"session={refund.session_id}") == [refund.get_absolute_url()]
    assert listed("q=parcel&status=error") == []
    page = Page(browser.get(f"{url}?q=parcel&session={parcel.session_id}&min_tokens=x&agent=99").text)
    chips = [chip.text for chip in page.all("//main//*[@class='chip']")]
    assert chips == ["session: chat", "text: parcel"]
    assert page.link("Remove filter text") == f"?session={parcel.session_id}&min_tokens=x&agent=99"
    (note,) = page.all("//main//div[@role='alert']")
    assert note.text.startswith("Not applied. Agent: This is the page of one agent. Min tokens: ")


@pytest.mark.parametrize("path", ["/p/default/sessions/", "sessions/"])
def test_lists_of_sessions_say_which_filters_they_lack(
    browser: Client, project: Project, now: datetime, path: str
) -> None:
    session = make_session_row(project, now=now)
    url = path if path.startswith("/") else page_of(project, path)
    page = Page(browser.get(f"{url}?q=parcel&session={session.pk}&skewed=1&min_duration_ms=x").text)
    (note,) = page.all("//main//div[@role='alert']")
    for field in ("Session", "Skewed"):
        assert f"{field}: Only traces can be filtered by it." in note.text
    assert (
        "Search: No session alone has an ID that begins with “parcel”. Only traces can be searched by text."
        in note.text
    )
    assert "Min latency (ms): " in note.text
    assert len(page.rows) == 1
    # None of them comes along from the other list, nor leads back to this one.
    assert "q=parcel" not in Page(browser.get(page_of(project, "traces/") + "?q=parcel").text).link("Sessions")
    detail = Page(browser.get(f"/p/default/sessions/{session.pk}/?q=parcel&range=7d").text)
    assert detail.region("Breadcrumb").link("Sessions") == "/p/default/sessions/?range=7d"
