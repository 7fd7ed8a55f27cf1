"""The whole way of a signal in the browser: tried, changed, tried again, live, over the past, in a second version."""

import json
import re
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.instance import Instance, sign_in
from tests.judge_server import Answer, Asked, JudgeServer, says

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

HOUR = 3600
PATIENCE = 60_000
"""Milliseconds for what a judge and workers do, on a machine that has more to do."""
COMPLAINT, DOUBT, CALM = "This is useless!", "Hm, not quite.", "Thanks, that helps."
WIDER = "Any doubt counts as frustration."
NARROWER = "Is there an open complaint?"
LABELS = "SELECT count(*) FROM signals_label l JOIN core_project p ON p.id = l.project_id WHERE p.slug = 'path'"


class Reader:
    """A judge that goes by the question it is asked. It can be told to stop after so many answers for a while."""

    def __init__(self) -> None:
        self.left = 10**6
        self.may_go_on = threading.Event()
        self._lock = threading.Lock()

    def hold_after(self, answers: int) -> None:
        self.left = answers
        self.may_go_on.clear()

    def __call__(self, asked: Asked) -> Answer:
        with self._lock:
            self.left -= 1
            waits = self.left < 0
        if waits:
            self.may_go_on.wait()
        words = [COMPLAINT, DOUBT] if WIDER in asked.instructions else [COMPLAINT]
        heard = next((said for said in words if said in asked.recording), None)
        return says("yes", f"The user says: {heard}") if heard else says("no", "Nobody complains.")


@pytest.fixture
def reader(judge: JudgeServer) -> Iterator[Reader]:
    judge.script = reader = Reader()
    yield reader
    reader.may_go_on.set()


def send(catalyst: Instance, key: str, said: Sequence[str], *, first: int, ago: int = 0) -> None:
    """A run of the agent for each line of its user, over HTTP as an SDK would; `ago` is in seconds."""
    ended = time.time_ns() - ago * 10**9
    spans = [
        {
            "traceId": f"{number + 1:032x}",
            "spanId": f"{number + 1:016x}",
            "name": "chat",
            "startTimeUnixNano": str(ended - 10**9),
            "endTimeUnixNano": str(ended),
            "attributes": [
                {"key": name, "value": {"stringValue": value}}
                for name, value in {
                    "openinference.span.kind": "AGENT",
                    "agent.name": "shop-bot",
                    "input.value": line,
                    "output.value": "I see.",
                }.items()
            ],
        }
        for number, line in enumerate(said, first)
    ]
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{catalyst.url}/v1/traces", body, headers)) as answer:
        assert answer.status == 200


def rows(within: Locator) -> Locator:
    """Those of a list, without what loads more of them."""
    return within.locator("tr", has=within.page.locator("a.open"))


def try_and_change(page: Page) -> None:
    """From a template: its question on stored traces, then a wider one on the same."""
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Signals").click()
    page.get_by_role("link", name="User frustration").click()
    page.wait_for_url("**/signals/new/**")
    page.get_by_role("radiogroup", name="Scope").get_by_text("Trace").click()
    sums, again = page.locator("#signal-test-sums"), page.get_by_role("button", name="Re-run on same targets")
    page.get_by_role("button", name="Test", exact=True).click()
    expect(page.locator("#signal-test-found")).to_contain_text("Only 6 traces available (asked for 10)")
    expect(again).to_be_visible(timeout=PATIENCE)
    expect(sums).to_contain_text("6 of 6 judged")
    expect(sums.get_by_role("img", name="yes 1, no 5")).to_be_visible()

    prompt = page.get_by_role("textbox", name="Prompt")
    prompt.fill(f"{prompt.input_value()}\n\n{WIDER}")
    again.click()
    expect(sums).to_contain_text("2 of 6 changed: no → yes", timeout=PATIENCE)
    expect(page.locator(".tried.flipped")).to_have_count(2)


def run_over_the_past(page: Page, *, found: str) -> Locator:
    """Start a run of the last week, of which the preview says this; its row."""
    page.get_by_role("navigation", name="Signal").get_by_role("link", name="Backfills").click()
    expect(page.locator("#run-preview")).to_contain_text(found, timeout=PATIENCE)
    page.get_by_role("button", name="Backfill", exact=True).click()
    expect(page.get_by_text("Backfill started")).to_be_visible()
    return page.locator("#run-rows tbody tr").first


def filter_traces(page: Page) -> None:
    """Those whose label is yes, and from there to the signal."""
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Traces").click()
    page.get_by_role("radiogroup", name="User frustration").get_by_role("radio", name="yes").click()
    expect(page).to_have_url(re.compile(r"label="))
    traces = rows(page.locator("#trace-rows"))
    expect(traces).to_have_count(4)
    assert sorted(traces.locator(".beside").all_text_contents()) == sorted([COMPLAINT, DOUBT, DOUBT, DOUBT])
    page.locator(".chip").get_by_role("link", name="User frustration", exact=True).click()


def compare(page: Page) -> None:
    """The second version with the first: what the three that it takes for calm had and have."""
    page.get_by_role("navigation", name="Signal").get_by_role("link", name="Versions").click()
    page.get_by_role("link", name="Compare with v1").click()
    expect(page.get_by_role("region", name="What changed from v1 to v2")).to_contain_text(NARROWER)
    moves = page.get_by_role("region", name="Label changes")
    expect(moves).to_contain_text("57.1% unchanged")
    moves.get_by_role("row", name="yes").get_by_role("link", name="3", exact=True).click()
    expect(page).to_have_url(re.compile(r"was=yes.*#flips"))
    flips = rows(page.get_by_role("region", name="Changed traces"))
    expect(flips).to_have_count(3)
    expect(flips.filter(has_text=DOUBT).filter(has_text="Nobody complains.")).to_have_count(3)


def test_a_signal_is_tried_activated_run_over_the_past_and_compared(
    catalyst: Instance, page: Page, reader: Reader
) -> None:
    (key,) = catalyst.new_projects("path")
    send(catalyst, key, [CALM, CALM, CALM, DOUBT, DOUBT, COMPLAINT], first=0, ago=HOUR)
    sign_in(page, catalyst)
    page.goto(f"{catalyst.url}/p/path/traces/")
    try_and_change(page)
    assert catalyst.count(LABELS) == 0

    page.get_by_role("button", name="Activate").click()
    expect(page.get_by_role("button", name="Backfill the 6 traces you have")).to_be_visible()
    send(catalyst, key, [DOUBT], first=100)
    labels = rows(page.locator("#label-rows"))
    expect(labels).to_have_count(1, timeout=PATIENCE)
    expect(labels).to_contain_text(f"The user says: {DOUBT}", timeout=PATIENCE)

    reader.hold_after(3)
    run = run_over_the_past(page, found="7 matching traces, 7 sampled at 100%: 6 to judge.")
    expect(run).to_contain_text("3 of 6 queued", timeout=PATIENCE)
    expect(run.get_by_role("progressbar", name="50 percent of what is queued")).to_be_visible()
    reader.may_go_on.set()
    expect(run).to_contain_text("Done", timeout=PATIENCE)
    run.get_by_role("link", name="6", exact=True).click()
    expect(page).to_have_url(re.compile(r"run=\d+"))
    expect(labels).to_have_count(6)

    filter_traces(page)
    page.get_by_role("link", name="Edit", exact=True).click()
    page.get_by_role("textbox", name="Prompt").fill(NARROWER)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("User frustration is saved")).to_be_visible()
    run = run_over_the_past(page, found="7 matching traces, 7 sampled at 100%: 7 to judge.")
    expect(run).to_contain_text("Done", timeout=PATIENCE)
    compare(page)
