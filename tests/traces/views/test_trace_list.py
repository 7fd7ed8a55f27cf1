"""The Traces page."""

import html
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalyst import timerange
from catalyst.core.models import Project, User
from tests.factories import make_agent, make_labels, make_session, make_signal, make_trace
from tests.traces.sent import sent_span
from traces.analytics import list_volumes
from traces.ingest import pipeline
from traces.models import Trace
from traces.views import traces as views

pytestmark = pytest.mark.real_clock

PAGE = "/p/default/traces/"
HTMX = {"HX-Request": "true"}


def test_it_lists_traces_newest_first(browser: Client, project: Project, now: datetime) -> None:
    make_trace(project, 1, now=now - timedelta(hours=2), said=("Old <question>", "answer"))
    make_trace(project, 2, now=now, said=("New question", "answer"), session="chat", error="boom")
    text = browser.get(PAGE).text
    assert text.index("New question") < text.index("Old &lt;question&gt;")
    assert "gpt-4o-mini" in text
    assert "support-bot" in text
    assert "chat" in text
    assert "2</b> traces" in text


def test_it_shows_labels_beside_traces(browser: Client, project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), active_since=now - timedelta(hours=1))
    (label,) = make_labels(signal, project, 1, now=now)
    type(label).objects.filter(pk=label.pk).update(status="done", value="yes", labelled_at=now)
    assert "Refund wanted" in browser.get(PAGE).text


def test_it_teaches_when_there_is_no_trace(browser: Client, project: Project) -> None:
    response = browser.get(PAGE)
    assert "Send your first trace" in response.text
    assert "http://testserver/v1/traces" in response.text
    assert "catalyst_tracing" in response.text


def test_it_turns_into_the_list_when_the_first_trace_lands(browser: Client, project: Project, now: datetime) -> None:
    poll = {**HTMX, "HX-Target": "first-trace"}
    assert browser.get(PAGE, headers=poll).status_code == 204
    make_trace(project, now=now)
    assert browser.get(PAGE, headers=poll).headers["HX-Refresh"] == "true"


def test_it_offers_the_range_that_has_traces(browser: Client, project: Project, now: datetime) -> None:
    make_trace(project, now=now - timedelta(days=5))
    text = browser.get(PAGE).text
    assert "No traces in the last 1 d" in text
    assert 'href="?range=7d"' in text
    assert "No traces" not in browser.get(f"{PAGE}?range=7d").text


def test_it_says_when_no_trace_passes_the_filter(browser: Client, project: Project, now: datetime) -> None:
    make_trace(project, now=now)
    text = browser.get(f"{PAGE}?status=error").text
    assert "that pass the filter" in text
    assert "No trace passes this filter at any time" in text


def test_it_filters(browser: Client, project: Project, now: datetime) -> None:
    good = make_trace(project, 1, now=now, said=("Where is it?", "x"), session="one")
    bad = make_trace(project, 2, now=now, said=("Refund 100%_me", "x"), agent="other-bot")
    Trace.objects.filter(pk=bad.pk).update(status="error")

    def shown(query: str) -> set[str]:
        text = browser.get(f"{PAGE}?{query}").text
        return {trace.hex_id for trace in (good, bad) if trace.hex_id in text}

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
    trace = make_trace(project, now=now)
    response = browser.get(f"{PAGE}?{query}")
    assert response.status_code == 200
    assert trace.hex_id in response.text


def test_it_goes_to_the_trace_whose_id_is_asked_for(browser: Client, project: Project, now: datetime) -> None:
    trace = make_trace(project, now=now)
    assert browser.get(f"{PAGE}?q={trace.hex_id}").headers["Location"] == f"{PAGE}{trace.hex_id}/"
    assert browser.get(f"{PAGE}?q={'f' * 32}").status_code == 200


def test_it_continues_where_a_page_ended(browser: Client, project: Project, now: datetime) -> None:
    traces = [make_trace(project, number, now=now - timedelta(seconds=number // 2)) for number in range(1, 46)]
    first = browser.get(PAGE)
    link = first.text.split('hx-get="')[-1].split('"')[0].replace("&amp;", "&")
    second = browser.get(f"{PAGE}{link}", headers=HTMX)
    assert "<html" not in second.text
    assert second.headers["Vary"].count("HX-Request") == 1
    pages = [{trace.hex_id for trace in traces if trace.hex_id in page.text} for page in (first, second)]
    assert [len(page) for page in pages] == [views.PAGE, 15]
    assert not pages[0] & pages[1]


def test_it_says_how_many_traces_are_new(browser: Client, project: Project, now: datetime) -> None:
    of_agent = f"?agent={make_trace(project, 1, now=now - timedelta(minutes=5)).agent_id}"
    poll = re.search(r'id="newer"[^>]*hx-get="([^"]+)"', browser.get(PAGE + of_agent).text)
    assert poll
    url = PAGE + html.unescape(poll[1])
    assert "btn" not in browser.get(url, headers=HTMX).text
    for number in (2, 3):
        make_trace(project, number, now=now - timedelta(minutes=1))
    make_trace(project, 4, now=now, agent="another")
    answer = browser.get(url, headers=HTMX).text
    assert "2 new traces" in " ".join(answer.split())
    assert f'href="{of_agent}"' in answer


def test_it_costs_the_same_for_ten_rows_and_twenty(browser: Client, project: Project, now: datetime) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert browser.get(PAGE).status_code == 200
        return len(queries)

    make_session(project, "first", turns=10, now=now)
    ten = queries()
    make_session(project, "second", turns=10, first=11, now=now)
    assert queries() == ten


def test_it_never_says_zero_for_an_unknown_cost(browser: Client, project: Project, now: datetime) -> None:
    trace = make_trace(project, now=now)
    Trace.objects.filter(pk=trace.pk).update(cost=0, unpriced_count=1)
    text = browser.get(PAGE).text
    assert "unpriced" in text
    assert "$0<" not in text


def test_it_counts_from_hours_and_from_traces_alike(browser: Client, project: Project, now: datetime) -> None:
    make_session(project, turns=3, now=now)
    for key in ("1h", "1d", "7d"):
        assert "3</b> traces" in browser.get(f"{PAGE}?range={key}").text


@pytest.mark.parametrize("key", ["1h", "1d"])
def test_its_numbers_are_of_the_agent_but_other_agents_say_what_they_would_give(
    browser: Client, project: Project, now: datetime, key: str
) -> None:
    make_session(project, turns=3, now=now)
    other = make_trace(project, 9, now=now, agent="other-bot")
    text = browser.get(f"{PAGE}?range={key}&agent={other.agent_id}").text
    assert "<b>1</b> traces" in text
    assert [int(count) for count in re.findall(r"UTC: (\d+) traces", text) if count != "0"] == [1]
    assert re.findall(r"<output>(\d+)</output>", text) == ["1", "0", "3", "1"]


def test_it_says_when_it_did_not_look_at_all(
    browser: Client, project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers that hours can't tell are counted among the newest traces of the project only, the list reaches back."""
    top = timerange.floor(now, timerange.HOUR) + timerange.HOUR / 2
    for number, hours in enumerate((26, 25, 3, 2, 1), start=1):
        make_trace(project, number, now=top - hours * timerange.HOUR, said=("A refund?", "Yes."))
    whole = browser.get(PAGE, {"range": "7d", "q": "refund"}).content.decode()
    assert "of the newest traces only" not in whole
    assert "<b>5</b> traces" in whole
    monkeypatch.setattr(list_volumes, "MAX_COUNTED_TRACES", 3)
    text = browser.get(PAGE, {"range": "7d", "q": "refund"}).content.decode()
    since = f"{top - 24.5 * timerange.HOUR:%-d %b, %H:%M}"
    assert "<b>3</b> traces" in text
    assert f"of the newest traces only, since {since}" in " ".join(text.split())
    assert text.count('class="when"') == whole.count('class="when"')
    assert "of the newest traces only" not in browser.get(PAGE, {"range": "7d"}).content.decode()


def test_it_is_not_there_for_outsiders(client_as: Callable[[User], Client], charlie: User, project: Project) -> None:
    assert client_as(charlie).get(PAGE).status_code == 404


def test_it_shows_nothing_of_other_projects(
    client_as: Callable[[User], Client], charlie: User, project: Project, now: datetime
) -> None:
    trace = make_trace(project, now=now)
    text = client_as(charlie).get(f"/p/other/traces/?q={trace.hex_id}").text
    assert "Send your first trace" in text


def test_it_only_reads(browser: Client) -> None:
    assert browser.post(PAGE).status_code == 405


def test_its_address_says_which_traffic(browser: Client, project: Project, now: datetime) -> None:
    attributes: dict[str, Any] = {"tenant": "acme", "llm.model_name": "gpt-4o", "llm.token_count.prompt": 50}
    resource = {"service.name": "shop", "deployment.environment.name": "prod"}
    spans = [sent_span(1, trace=1, start=now, resource=resource, openinference__span__kind="LLM", **attributes)]
    spans += [sent_span(2, trace=2, start=now, resource={"service.name": "till"}, name="other")]
    pipeline.store(project.pk, spans, now)

    def listed(query: str) -> int:
        return browser.get(f"{PAGE}?{query}").text.count('class="open"')

    assert listed("") == 2
    for query in ("environment=prod", "service=shop", "model=gpt-4o", "min_tokens=50", "attribute=tenant=acme"):
        assert listed(query) == 1
    for query in ("environment=production", "max_duration_ms=1", "min_tokens=51", "attribute=tenant=acme&service=till"):
        assert listed(query) == 0
    for nonsense in ("min_tokens=many", "max_tokens=1&min_tokens=-1&max_tokens=no", "attribute=tenant", "model=%00"):
        assert listed(nonsense) == 2
    assert listed("min_tokens=many&service=shop") == 1


@pytest.mark.parametrize("path", [PAGE, "/p/default/sessions/"])
def test_what_its_address_says_is_shown_and_can_be_taken_back(
    browser: Client, project: Project, now: datetime, path: str
) -> None:
    make_session(project, now=now)
    query = "environment=prod&max_tokens=9&min_tokens=5&attribute=a%3Db%3Dc&attribute=d%3De"
    text = html.unescape(browser.get(f"{path}?{query}").text)
    for words, left in (
        ("environment is prod", "max_tokens=9&min_tokens=5&attribute=a%3Db%3Dc&attribute=d%3De"),
        ("uses 5 to 9 tokens", "environment=prod&attribute=a%3Db%3Dc&attribute=d%3De"),
        ("a is b=c", "environment=prod&max_tokens=9&min_tokens=5&attribute=d%3De"),
    ):
        assert f'<b>{words}</b></span><a href="?{left}"' in text
    assert 'name="environment" value="prod"' in text
    assert 'type="hidden" name="attribute" value="d=e"' in text
