"""From the printed link to a labelled trace of one's own: how many clicks it takes, and nothing typed in a shell."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.conftest import database_copy
from tests.e2e import instance
from tests.e2e.instance import Instance
from tests.e2e.test_newcomer import run_copied_snippet
from tests.judge_server import JudgeServer, says

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.xdist_group("few-clicks")]


class Clicks:
    """Counts the clicks that a person needs."""

    count = 0

    def on(self, target: Locator) -> None:
        target.click()
        self.count += 1


@pytest.fixture
def model() -> Iterator[JudgeServer]:
    with JudgeServer(lambda _: says("yes", "The user asks where an order is.")) as server:
        yield server


@pytest.fixture
def fresh(tmp_path: Path, model: JudgeServer) -> Iterator[Instance]:
    """An instance as `make up` starts it for the first time, with one private address opened for a model."""
    target = model.url.removeprefix("http://").removesuffix("/v1")
    with (
        database_copy("few_clicks") as url,
        instance.started(tmp_path, DATABASE_URL=url, CATALYST_ALLOWED_PRIVATE_TARGETS=target) as started,
    ):
        yield started


def send_first_trace(page: Page, fresh: Instance, clicks: Clicks, folder: Path) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(fresh.login_url)
    clicks.on(page.get_by_role("button", name="Sign in"))
    page.wait_for_url("**/traces/")
    clicks.on(page.get_by_role("button", name="Create key and copy snippet"))
    expect(page.get_by_text("Copied")).to_be_visible()
    run_copied_snippet(page, folder)
    expect(page.get_by_role("row", name="turn")).to_contain_text("my-agent", timeout=15_000)


def test_the_offline_judge_labels_it_after_five_clicks(fresh: Instance, page: Page, tmp_path: Path) -> None:
    clicks = Clicks()
    send_first_trace(page, fresh, clicks, tmp_path)
    clicks.on(page.get_by_role("link", name="User frustration"))
    clicks.on(page.get_by_role("button", name="Activate", exact=True))
    clicks.on(page.get_by_role("button", name="Backfill the 1 span you have"))
    expect(page.get_by_role("row").filter(has_text="Where is my order?")).to_contain_text("no", timeout=15_000)
    assert clicks.count == 5


def test_a_model_labels_it_by_ones_own_prompt_after_nine(
    fresh: Instance, page: Page, model: JudgeServer, tmp_path: Path
) -> None:
    clicks = Clicks()
    send_first_trace(page, fresh, clicks, tmp_path)
    clicks.on(page.get_by_role("link", name="Your own prompt"))
    page.get_by_label("Name", exact=True).fill("Asks for an order")
    page.get_by_role("textbox", name="Prompt").fill("Does the user ask where an order is?")
    page.keyboard.press("Tab")
    clicks.on(page.get_by_role("region", name="Judge").get_by_role("link", name="Add a model connection"))
    clicks.on(page.get_by_role("link", name="OpenAI", exact=True))
    page.get_by_label("Base URL").fill(model.url)
    page.get_by_label("API key").fill("sk-first-1234567890")
    clicks.on(page.get_by_role("button", name="Save and test"))
    expect(page.get_by_text("answered in")).to_be_visible()
    clicks.on(page.get_by_role("link", name="Continue where you left off"))
    expect(page.get_by_role("textbox", name="Prompt")).to_have_value("Does the user ask where an order is?")
    clicks.on(page.get_by_role("button", name="Activate", exact=True))
    clicks.on(page.get_by_role("button", name="Backfill the 1 trace you have"))
    expect(page.get_by_role("row").filter(has_text="Where is my order?")).to_contain_text("yes", timeout=15_000)
    assert clicks.count == 9
