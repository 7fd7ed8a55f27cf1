"""A hundred recorded conversations: the agent's and the sessions' pages show the plain sums over the file."""

import gzip
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import batched
from math import ceil
from pathlib import Path

import pytest
from django.test import Client

from catalyst import formats
from catalyst.core.models import Project, User
from tests.page import Page
from tests.traces.recorded import recording
from tests.traces.views.agent_page import numbers, table
from traces.ingest import pipeline
from traces.models import Session

pytestmark = pytest.mark.slow

FILE = "data/airline.otlp.jsonl.gz"
MODEL = "gpt-4o-2024-08-06"
INPUT_PRICE, OUTPUT_PRICE = 2.50, 10.00
"""US dollars for a million tokens, as OpenAI publishes them; the recording has no cached tokens."""


@dataclass(frozen=True)
class RawSpan:
    """A span as the file has it."""

    trace: str
    parent: str
    start: int
    end: int
    failed: bool
    attributes: dict[str, str]

    @property
    def kind(self) -> str:
        return self.attributes["openinference.span.kind"]

    @property
    def microseconds(self) -> int:
        return (self.end - self.start) // 1000


@pytest.fixture(scope="module")
def raw(shared: Path) -> list[RawSpan]:
    """Every span of the file, read without the product."""
    with gzip.open(shared / FILE, "rt") as lines:
        requests = [json.loads(line) for line in lines]
    return [
        RawSpan(
            trace=span["traceId"],
            parent=span.get("parentSpanId", ""),
            start=int(span["startTimeUnixNano"]),
            end=int(span["endTimeUnixNano"]),
            failed=span["status"]["code"] == 2,
            attributes={each["key"]: next(iter(each["value"].values())) for each in span["attributes"]},
        )
        for request in requests
        for resource in request["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


@pytest.fixture
def browser(client_as: Callable[[User], Client], alice: User, project: Project, shared: Path, now: datetime) -> Client:
    """Alice's browser, with the recording in her project."""
    for spans in batched(recording(shared / FILE), 500, strict=False):
        pipeline.store(project.pk, spans, now)
    return client_as(alice)


# One test, because storing the recording takes seconds.
def test_its_pages_show_the_sums_of_the_file(browser: Client, project: Project, raw: list[RawSpan]) -> None:
    assert_the_agent_page_shows_the_sums(browser, project, raw)
    assert_the_agent_page_shows_each_model_and_tool(browser, project, raw)
    assert_the_session_pages_show_the_sums(browser, project, raw)


def assert_the_agent_page_shows_the_sums(browser: Client, project: Project, raw: list[RawSpan]) -> None:
    agent = project.agents.get()
    first = datetime.fromtimestamp(min(span.start for span in raw) / 1e9, UTC)
    last = datetime.fromtimestamp(max(span.end for span in raw) / 1e9, UTC) + timedelta(hours=1)
    range_ = {"from": first.isoformat(), "to": last.isoformat()}
    found = numbers(Page(browser.get(f"/p/default/agents/{agent.pk}/", range_).text))
    roots = [span for span in raw if not span.parent]
    failed = sum(span.failed for span in roots)
    assert [found[name] for name in ("Runs", "Runs OK", "Runs Error")] == [
        str(len(roots)),
        str(len(roots) - failed),
        str(failed),
    ]
    assert found["Error rate aside"] == f"{failed} of {len(roots)} runs with errors"
    shown = [seconds(found[name]) for name in ("Latency", "Latency p95")]
    assert shown == pytest.approx([rank(roots, 0.5), rank(roots, 0.95)], rel=0.06)
    read, written = tokens_of(raw)
    assert [found[f"Tokens{name}"] for name in ("", " in", " out", " cached")] == [
        formats.short(read + written),
        formats.short(read),
        formats.short(written),
        "",
    ]
    assert [found[f"Cost{name}"] for name in ("", " in", " cache", " out")] == [
        formats.usd(cost_of(raw)),
        formats.usd(read * INPUT_PRICE / 1e6),
        "$0",
        formats.usd(written * OUTPUT_PRICE / 1e6),
    ]
    assert "Cost not split" not in found
    assert found["Cost aside"] == ""


def assert_the_agent_page_shows_each_model_and_tool(browser: Client, project: Project, raw: list[RawSpan]) -> None:
    agent = project.agents.get()
    start = datetime.fromtimestamp(min(span.start for span in raw) / 1e9, UTC)
    page = Page(browser.get(f"/p/default/agents/{agent.pk}/", {"from": start.isoformat()}).text)
    calls = [span for span in raw if span.kind == "LLM"]
    assert {span.attributes["llm.model_name"] for span in calls} == {MODEL}
    ((name, cells),) = table(page, "Models").items()
    assert name == MODEL
    assert cells[:2] == [f"{len(calls):,}", formats.percent(sum(span.failed for span in calls), len(calls))]
    assert cells[4:] == [formats.short(sum(tokens_of(calls))), formats.usd(cost_of(calls))]
    by_tool = defaultdict(list)
    for span in raw:
        if span.kind == "TOOL":
            by_tool[span.attributes["tool.name"]].append(span)
    tools = table(page, "Tools")
    expected = {name: [f"{len(each):,}", formats.percent(failures(each), len(each))] for name, each in by_tool.items()}
    assert {name: cells[:2] for name, cells in tools.items()} == expected
    assert [int(cells[0]) for cells in tools.values()] == sorted(map(len, by_tool.values()), reverse=True)
    for name, each in [(MODEL, calls), *by_tool.items()]:
        shown = cells[2:4] if name == MODEL else tools[name][2:4]
        assert [seconds(text) for text in shown] == pytest.approx([rank(each, 0.5), rank(each, 0.95)], rel=0.06)
    causes = {name: failures(each) for name, each in by_tool.items() if failures(each)}
    # The name of a tool has no spaces. Its most frequent message follows.
    listed = {words.split()[0]: int(cells[1]) for words, cells in table(page, "Failed model and tool calls").items()}
    assert list(listed.values()) == sorted(causes.values(), reverse=True)[:5]
    assert listed.items() <= causes.items()


def assert_the_session_pages_show_the_sums(browser: Client, project: Project, raw: list[RawSpan]) -> None:
    turns = defaultdict(list)
    for span in raw:
        turns[span.trace].append(span)
    sessions = defaultdict(list)
    for spans in turns.values():
        (root,) = (span for span in spans if not span.parent)
        sessions[root.attributes["session.id"]].append((root, spans))
    assert len(sessions) == 100
    pages = dict(Session.objects.filter(project=project).values_list("key", "pk"))
    assert pages.keys() == sessions.keys()
    for key, members in sessions.items():
        page = Page(browser.get(f"/p/default/sessions/{pages[key]}/").text)
        whole = [span for _, spans in members for span in spans]
        begin, end = (
            min(span.start // 1000 for span in whole),
            max(span.start // 1000 + span.microseconds for span in whole),
        )
        facts = page.facts
        assert facts["Turns"] == str(len(members))
        assert facts["Duration"] == formats.duration(end - begin)
        assert facts["Tokens"] == formats.short(sum(tokens_of(whole)))
        assert facts["Cost"] == formats.usd(cost_of(whole))
        assert facts.get("Failed spans", "0") == str(failures(whole))
        members.sort(key=lambda member: member[0].start)
        for number, (root, spans) in enumerate(members[:50], 1):
            (meter,) = page.region(f"Turn {number}").all("div[1]")
            expected = [formats.duration(root.microseconds)]
            if sum(tokens_of(spans)):
                expected += [formats.usd(cost_of(spans)), f"{formats.short(sum(tokens_of(spans)))} tok"]
            assert " ".join(expected) in meter.text


def tokens_of(spans: Iterable[RawSpan]) -> tuple[int, int]:
    """Input and output tokens of the model calls."""
    said = [span.attributes for span in spans if span.kind == "LLM"]
    read, written = (sum(int(each[f"llm.token_count.{side}"]) for each in said) for side in ("prompt", "completion"))
    return read, written


def cost_of(spans: Iterable[RawSpan]) -> float:
    """US dollars."""
    read, written = tokens_of(spans)
    return (read * INPUT_PRICE + written * OUTPUT_PRICE) / 1e6


def failures(spans: Iterable[RawSpan]) -> int:
    """How many failed."""
    return sum(span.failed for span in spans)


def rank(spans: Sequence[RawSpan], share: float) -> float:
    """The duration in seconds that this share of spans did not exceed."""
    return sorted(span.microseconds for span in spans)[ceil(share * len(spans)) - 1] / 1e6


def seconds(text: str) -> float:
    """A duration as the page writes it."""
    number, unit = text.removeprefix("≈").split()
    return float(number) * {"s": 1.0, "ms": 1e-3, "µs": 1e-6}[unit]
