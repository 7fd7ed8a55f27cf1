"""A newcomer's way: from the printed link to what went wrong in the demo and why, then to a trace of their own."""

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.instance import Instance, sign_in_by_link
from tests.judge_server import JudgeServer, completion
from tests.processes import environment

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def reddest(page: Page) -> Locator:
    """The bar of the strip with the most errors, as its title says."""
    bars = page.locator("figure.strip svg a")
    errors = [int(re.findall(r"([\d,]+) with errors", title)[0]) for title in bars.all_text_contents()]
    return bars.nth(errors.index(max(errors)))


def run_copied_snippet(page: Page, folder: Path) -> None:
    """As its reader would: into a shell or a file, with a model to ask."""
    snippet = page.evaluate("navigator.clipboard.readText()")
    if "curl" in snippet:
        subprocess.run(["sh", "-c", snippet], cwd=folder, check=True, timeout=10)
        return
    (folder / "first.py").write_text(snippet)
    with JudgeServer(lambda _: completion("Hello, how can I help?")) as model:
        variables = environment(OPENAI_BASE_URL=model.url, OPENAI_API_KEY="none")
        subprocess.run([sys.executable, "first.py"], env=variables, cwd=folder, check=True, timeout=60)


def test_its_owner_can_open_the_demo(demo: Instance) -> None:
    with httpx.Client(base_url=demo.url, cookies=demo.cookies_of("owner"), timeout=30) as browser:
        assert "support.turn" in browser.get("/p/demo/traces/?range=7d").text
        assert "Task outcome" in browser.get("/p/demo/signals/").text


def test_a_newcomer_finds_the_bad_deploy_and_its_reason_then_sends_a_trace(
    demo: Instance, page: Page, tmp_path: Path
) -> None:
    sign_in_by_link(page, demo)
    page.get_by_role("link", name="Explore the Demo project").click()
    page.wait_for_url("**/p/demo/traces/**")
    reddest(page).click()
    page.wait_for_url("**from=**")
    page.locator(".facets").get_by_role("radio", name="Error").click()
    page.wait_for_url("**status=error**")
    page.get_by_role("row", name="support.turn").get_by_role("link", name=re.compile("^chat-")).first.click()

    outcome = page.get_by_role("region", name="Label Task outcome")
    expect(outcome).to_contain_text(re.compile("failed|abandoned"))
    expect(outcome.get_by_role("paragraph")).to_contain_text(re.compile("“.+”"))
    expect(page.get_by_text("ToolTimeout: orders-api did not answer").first).to_be_visible()

    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_label("Project Demo, switch").click()
    page.get_by_role("link", name="Default").click()
    page.get_by_role("button", name="Create key and copy snippet").click()
    expect(page.get_by_text("it won't be shown again")).to_be_visible()
    expect(page.get_by_text("Copied")).to_be_visible()
    run_copied_snippet(page, tmp_path)
    expect(page.get_by_role("row", name="turn")).to_contain_text("my-agent", timeout=15_000)
