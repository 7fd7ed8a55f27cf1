"""Each number of a list is the number of rows that its link lists. The links are read from the page."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from django.test import Client

from catalyst.core.models import Project
from signals.models import Label
from tests.factories import make_agent, make_label, make_signal, turn
from tests.page import Page
from tests.traces.sent import sent_span
from tests.traces.views.facets import facets_of
from traces.ingest import pipeline
from traces.models import Trace
from traces.otlp import Source
from traces.views import sessions, traces

pytestmark = [pytest.mark.slow, pytest.mark.real_clock]

PAGES = {"traces": "/p/default/traces/", "sessions": "/p/default/sessions/"}
RANGES = ("1h", "1d", "7d", "90d")
TRACES = 40
RESOURCES = (
    {"service.name": "shop", "deployment.environment.name": "prod"},
    {"service.name": "desk", "deployment.environment.name": "staging"},
    {"service.name": "desk"},
)


@pytest.fixture(params=range(2))
def chance(request: pytest.FixtureRequest, project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch) -> Random:
    """A stored past of random traces and labels, and the chance that made it."""
    monkeypatch.setattr(traces, "PAGE", 10 * TRACES)
    monkeypatch.setattr(sessions, "PAGE", 10 * TRACES)
    chance = Random(request.param)
    _store_traces(project, chance, now)
    _store_labels(project, chance, now)
    return chance


def _store_traces(project: Project, chance: Random, now: datetime) -> None:
    for number in range(1, TRACES + 1):
        past = timedelta(
            minutes=chance.choice((chance.randrange(60), chance.randrange(1440), chance.randrange(20_000)))
        )
        agent, session = chance.choice(("alpha", "beta", "")), chance.choice(("", "one", "two", f"own {number}"))
        user = chance.choice(("", "ann", "bob", f"user {number % 15}"))
        spans = turn(number, start=now - past, agent=agent, session=session, user=user)
        source = Source(chance.choice(RESOURCES), "scope", "1")
        for span in spans:
            span.source = source
        if chance.random() < 0.5:
            other: dict[str, Any] = {
                "openinference__span__kind": "LLM",
                "llm__model_name": chance.choice(("gpt-4.1", "o3")),
            }
            spans.append(sent_span(number * 16 + 5, number * 16 + 1, trace=number, start=now - past, **other))
        if chance.random() < 0.3:
            failed = sent_span(number * 16 + 1, trace=number, start=now - past, status="error", name="failed")
            spans = [failed, *spans[1:]]
        pipeline.store(project.pk, spans, now)


def _store_labels(project: Project, chance: Random, now: datetime) -> None:
    alpha, beta = make_agent(project, "alpha"), make_agent(project, "beta")
    of_traces = make_signal(alpha, name="Refund", active_since=now)
    of_spans = make_signal(beta, name="Steps", scope="span", labels=("good", "bad", "odd"), active_since=now)
    of_sessions = make_signal(alpha, name="Talk", scope="session", active_since=now)
    for trace in Trace.objects.filter(project=project).order_by("pk"):
        number, when = trace.trace_id.int, trace.start_time
        if chance.random() < 0.6:
            make_label(of_traces, number, value=chance.choice(("yes", "no", "")), now=when)
        for span in (1, 2):
            if chance.random() < 0.5:
                fields: dict[str, Any] = {
                    "scope": "span",
                    "span_id": number * 16 + span,
                    "target_key": f"{trace.hex_id}:{span}",
                }
                make_label(of_spans, number, value=chance.choice(("good", "bad", "odd")), now=when, **fields)
    for session in project.sessions.order_by("pk"):
        if chance.random() < 0.7:
            fields = {"scope": "session", "session_key": session.key, "trace_id": None, "target_key": session.key}
            make_label(of_sessions, value=chance.choice(("yes", "no")), now=session.end_time, **fields)
    Label.objects.filter(value="").update(status="failed", error="The judge is broken.")


NAMED = {
    "environment": ("prod", "staging", "none"),
    "service": ("shop", "desk"),
    "model": ("gpt-4o-mini", "gpt-4.1", "o3"),
    "user": ("ann", "bob", "user 3"),
}


def _queries(chance: Random, project: Project) -> Iterator[dict[str, Any]]:
    agents = list(project.agents.values_list("pk", flat=True))
    labels = [f"{pk}:{value}" for pk, value in Label.objects.labelled().values_list("signal_id", "value").distinct()]
    for key in RANGES:
        yield {"range": key}
        query: dict[str, Any] = {"range": key}
        query |= chance.choice(({}, {"status": chance.choice(("ok", "error"))}))
        query |= chance.choice(({}, {"agent": chance.choice([0, *agents])}))
        query |= chance.choice(({}, {"label": chance.sample(sorted(labels), chance.randint(1, 2))}))
        query |= chance.choice(({}, {"min_tokens": chance.choice((1, 200))}))
        for name, values in NAMED.items():
            query |= chance.choice(({}, {}, {name: chance.sample(values, chance.randint(1, 2))}))
        yield query


def listed(browser: Client, path: str, query: str | dict[str, Any]) -> int:
    response = browser.get(path + query) if isinstance(query, str) else browser.get(path, query)
    return len(Page(response.text).rows)


@pytest.mark.parametrize("noun", PAGES)
def test_each_facet_counts_the_rows_that_its_link_lists(
    browser: Client, project: Project, chance: Random, noun: str
) -> None:
    path, checked = PAGES[noun], Counter[str]()
    for query in _queries(chance, project):
        rows = listed(browser, path, query)
        for link in facets_of(browser, path, query).all("//aside//a"):
            # A click on a chosen value removes it, so its number is that of the list.
            is_chosen = link.element.get("aria-checked") == "true"
            expected = rows if is_chosen else listed(browser, path, link.attribute("href"))
            for count in link.all("./output"):
                assert int(count.text) == expected, (query, link.text)
                (name,) = link.all("ancestor::section/@aria-labelledby")
                checked[str(name.element)] += 1
    assert min(checked[f"by-{name}"] for name in ("status", *NAMED)) > 3


def test_the_headline_and_each_bar_count_the_rows_that_they_list(
    browser: Client, project: Project, chance: Random
) -> None:
    path = PAGES["traces"]
    for query in _queries(chance, project):
        page = Page(browser.get(path, query).text)
        (headline,) = page.all("//figure/figcaption/span/b")
        assert int(headline.text) == len(page.rows), query
        for link in page.all("//figure/figcaption/a"):
            assert int(link.text.split()[0]) == listed(browser, path, link.attribute("href")), query
        for bar in page.all("//figure//svg//a"):
            count = int(re.findall(r": ([0-9]+) trace", bar.text)[0])
            if count or chance.random() < 0.01:
                assert count == listed(browser, path, bar.attribute("href")), (query, bar.text)
