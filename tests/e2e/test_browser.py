"""A newcomer's way in the real Chromium: from the printed link to a label and its reason, with a silent console."""

import csv
import gzip
import json
import os
import signal
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.instance import Instance, replay, sign_in, sign_in_by_link
from tests.judge_server import Answer, Asked, JudgeServer, says
from tests.processes import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

OUTCOMES = {"1": "completed", "0": "failed"}
EXPIRE_LEASES = "UPDATE signals_label SET lease_until = now() WHERE status = 'running'"
LABELS = """
    SELECT l.session_key, l.value FROM signals_label l JOIN core_project p ON p.id = l.project_id
    WHERE p.slug = %s AND l.status = 'done'
"""


@pytest.fixture
def truth(shared: Path) -> dict[str, str]:
    """What became of each recorded session."""
    with (shared / "data" / "airline.truth.csv").open() as lines:
        return {row["session_id"]: OUTCOMES[row["reward"]] for row in csv.DictReader(lines)}


def longest_words(recording: Path) -> dict[str, str]:
    """By session, the longest line that its user says: enough to recognise it by."""
    said: dict[str, str] = defaultdict(str)
    with gzip.open(recording, "rt") as lines:
        requests = [json.loads(line) for line in lines]
    spans = [
        s for r in requests for group in r["resourceSpans"] for scope in group["scopeSpans"] for s in scope["spans"]
    ]
    for span in spans:
        if not span.get("parentSpanId"):
            attributes = {a["key"]: a["value"].get("stringValue", "") for a in span["attributes"]}
            line = max(attributes["input.value"].splitlines(), key=len)
            said[attributes["session.id"]] = max(said[attributes["session.id"]], line, key=len)
    return said


def knowing(truth: Mapping[str, str], said: Mapping[str, str], delay: float = 0) -> Callable[[Asked], Answer]:
    """A judge that recognises the conversation and tells the truth."""

    def answer(asked: Asked) -> Answer:
        (session,) = (session for session, words in said.items() if words in asked.recording)
        told = says(truth[session], f"Known of {session}.")
        return Answer(told.body, delay=delay)

    return answer


def create_task_outcome(page: Page, catalyst: Instance, project: str) -> None:
    page.goto(f"{catalyst.url}/p/{project}/signals/new/?template=task_outcome")
    page.get_by_role("button", name="Activate").click()
    expect(page.get_by_role("heading", name="Task outcome")).to_be_visible()


def test_it_leads_from_the_link_to_a_label_and_its_reason(
    catalyst: Instance, judge: JudgeServer, page: Page, recording: Path, truth: dict[str, str]
) -> None:
    project = "shop"
    (key,) = catalyst.new_projects(project)
    judge.script = knowing(truth, longest_words(recording))
    sign_in_by_link(page, catalyst)
    page.goto(f"{catalyst.url}/p/{project}/traces/")
    expect(page.get_by_text("/v1/traces").first).to_be_visible()
    replay(recording, catalyst, key)
    expect(page.get_by_text("Send your first trace")).to_be_hidden()  # the page leaves by itself
    page.goto(f"{catalyst.url}/p/{project}/traces/?range=14d")
    expect(page.get_by_text("AirlineSupport.run").first).to_be_visible()

    page.emulate_media(color_scheme="dark")  # the console stays silent in both themes
    create_task_outcome(page, catalyst, project)
    replay(recording, catalyst, key)  # only traffic that arrives after activation counts
    eventually(lambda: dict(catalyst.query(LABELS, project)) == truth, seconds=60)

    expect(page.get_by_text("Known of airline-").first).to_be_visible(timeout=15_000)  # without a reload
    page.locator("tr", has_text="Known of airline-").first.locator("a.open").click()
    page.wait_for_url("**/sessions/**")
    expect(page.get_by_text("Known of airline-").first).to_be_visible()


def test_it_labels_each_once_though_its_workers_are_killed(
    catalyst: Instance, judge: JudgeServer, page: Page, recording: Path, truth: dict[str, str]
) -> None:
    judge.script = knowing(truth, longest_words(recording), delay=0.2)
    (key,) = catalyst.new_projects("killed")
    replay(recording, catalyst, key)
    sign_in(page, catalyst)
    create_task_outcome(page, catalyst, "killed")
    replay(recording, catalyst, key)
    done = "SELECT count(*) FROM signals_label l JOIN core_project p ON p.id = l.project_id WHERE p.slug = 'killed'"
    eventually(lambda: catalyst.count(f"{done} AND status = 'running'") > 0, seconds=30)
    os.killpg(catalyst.pids["worker-judge"], signal.SIGKILL)
    catalyst.execute(EXPIRE_LEASES)  # rather than wait for half a minute
    eventually(lambda: catalyst.count(f"{done} AND status = 'done'") == len(truth), seconds=120)
    assert catalyst.count(done) == len(truth)
    assert dict(catalyst.query(LABELS, "killed")) == truth
