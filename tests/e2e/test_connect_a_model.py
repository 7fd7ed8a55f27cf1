"""A newcomer connects a model in the browser, and has a prompt of their own judged by it, without a restart."""

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.conftest import database_copy
from tests.e2e import instance
from tests.e2e.instance import Instance, sign_in
from tests.judge_server import JudgeServer, error, says
from tests.processes import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.xdist_group("connect"), pytest.mark.timeout(600)]

KEY, NEW_KEY = "sk-first-1234567890", "sk-second-1234567890"
LABELS = "SELECT count(*) FROM signals_label WHERE value = 'yes'"


@pytest.fixture(scope="module")
def model() -> Iterator[JudgeServer]:
    """A model at a private address. It takes both keys until a test says otherwise."""
    with JudgeServer(lambda _: says("yes", "The user asks for a refund.")) as server:
        yield server


@pytest.fixture(scope="module")
def unconnected(tmp_path_factory: pytest.TempPathFactory, model: JudgeServer) -> Iterator[Instance]:
    """An instance whose operator connected no model, but opened this address."""
    target = model.url.removeprefix("http://").removesuffix("/v1")
    with (
        database_copy("connect") as url,
        instance.started(
            tmp_path_factory.mktemp("connect"),
            DATABASE_URL=url,
            CATALYST_ALLOWED_PRIVATE_TARGETS=target,
            CATALYST_SETTLE_TRACE_SECONDS="1",
        ) as started,
    ):
        yield started


def send(to: Instance, number: int) -> None:
    """A trace of an agent, as an SDK would send it."""
    now = int(datetime.now(UTC).timestamp() * 1e9)
    attributes = {"openinference.span.kind": "LLM", "agent.name": "shop", "input.value": "I want my money back."}
    span = {
        "traceId": f"{number:032x}",
        "spanId": f"{number:016x}",
        "name": "chat",
        "startTimeUnixNano": str(now - 10**9),
        "endTimeUnixNano": str(now),
        "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()],
    }
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    headers = {"Authorization": f"Bearer {to.ingest_key}"}
    httpx.post(f"{to.url}/v1/traces", json=body, headers=headers, timeout=30).raise_for_status()


def test_a_model_that_is_connected_in_the_browser_judges_without_a_restart(
    unconnected: Instance, page: Page, model: JudgeServer
) -> None:
    send(unconnected, 1)
    pids = unconnected.now().pids
    sign_in(page, unconnected)
    eventually(lambda: unconnected.count("SELECT count(*) FROM agents_agent") == 1)
    page.goto(f"{unconnected.url}/p/default/signals/new/")
    page.get_by_role("textbox", name="Prompt").fill("Does the user want money back?")
    page.get_by_role("textbox", name="Prompt").press("Tab")
    page.get_by_role("region", name="Judge").get_by_role("link", name="Add a model connection").click()
    page.get_by_role("link", name="OpenAI", exact=True).click()
    page.get_by_label("Base URL").fill(model.url)
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Save and test").click()
    expect(page.get_by_text(re.compile(r"answered in \d+ ms"))).to_be_visible()
    assert KEY not in page.content()

    page.goto(f"{unconnected.url}/p/default/signals/new/")
    expect(page.get_by_label("Judge model")).to_have_value(re.compile(":gpt-4o-mini$"))
    page.get_by_label("Name", exact=True).fill("Refund wanted")
    page.get_by_role("textbox", name="Prompt").fill("Does the user want money back?")
    page.get_by_role("button", name="Activate", exact=True).click()
    page.wait_for_url(re.compile(r"/signals/\d+/$"))
    send(unconnected, 2)
    eventually(lambda: unconnected.count(LABELS) == 1)
    assert model.asked[-1].headers["authorization"] == f"Bearer {KEY}"

    # The key is replaced while the model refuses the old one: labels wait, and are judged within seconds.
    model.script = lambda asked: says("yes") if NEW_KEY in asked.headers["authorization"] else error(401, "Wrong key.")
    send(unconnected, 3)
    eventually(lambda: f"Bearer {KEY}" in {asked.headers["authorization"] for asked in model.asked[2:]})
    page.goto(f"{unconnected.url}/p/default/settings/models/")
    page.get_by_role("link", name="OpenAI", exact=True).first.click()
    page.get_by_label("API key").fill(NEW_KEY)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("is saved")).to_be_visible()
    started = time.monotonic()
    eventually(lambda: unconnected.count(LABELS) == 2)
    assert time.monotonic() - started < 5
    assert unconnected.now().pids == pids
