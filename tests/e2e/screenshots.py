"""`make screenshots`: the main pages of a fresh demo as pictures for the README, in `docs/screenshots`."""

import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from tests.e2e import pages
from tests.e2e.instance import Instance, browser, sign_in, started_with_demo
from tests.processes import ROOT

FOLDER = ROOT / "docs" / "screenshots"
WIDE = {"agent": "agent", "traces": "traces", "trace": "trace", "signal": "signal"}
NARROW = {"agent-narrow": "agent", "trace-narrow": "trace"}
"""Names of pictures, and of the pages they show."""


def take(chromium: Browser, demo: Instance, pictures: dict[str, str], size: tuple[int, int], scheme: Any) -> None:
    """One window, one picture after the other."""
    paths = {stop.name: stop.path for stop in pages.every(demo)}
    context = chromium.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    page = context.new_page()
    sign_in(page, demo)
    for name, shown in pictures.items():
        page.goto(demo.url + paths[shown])
        page.wait_for_load_state("networkidle")
        page.screenshot(path=FOLDER / f"{name}.png", animations="disabled")
    context.close()


def main() -> None:
    """Take them all; the demo's data is thrown away."""
    with tempfile.TemporaryDirectory() as data, started_with_demo(Path(data)) as demo, browser() as chromium:
        take(chromium, demo, WIDE, (1440, 900), "light")
        take(chromium, demo, {f"{name}-dark": shown for name, shown in WIDE.items()}, (1440, 900), "dark")
        take(chromium, demo, NARROW, (390, 844), "light")


if __name__ == "__main__":
    main()
