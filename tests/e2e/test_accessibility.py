"""Axe finds nothing on any page, in both themes, wide and narrow."""

from pathlib import Path
from typing import Any

import pytest
from django.urls import resolve
from playwright.sync_api import Page

from tests.e2e import pages
from tests.e2e.instance import Instance
from tests.e2e.pages import Stop
from tests.test_urls import TABLE

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
GRAVE = {"serious", "critical"}

NO_PAGES = {"ops:healthz", "ops:readyz", "signals:label-export", "signals:exchange-detail", "signals:lately-show"}
"""What answers in plain text, with a file, or with a part that a page loads."""


def test_it_looks_at_every_page(stops: list[Stop]) -> None:
    looked_at = {resolve(stop.path.partition("?")[0]).view_name for stop in stops if stop.status != 404}
    assert {name for name, row in TABLE.items() if "200" in row.get} - looked_at == NO_PAGES


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(
    demo: Instance, page: Page, javascript: Path, stops: list[Stop], scheme: Any, width: int
) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": width, "height": 900})
    axe = (javascript / "node_modules" / "axe-core" / "axe.min.js").read_text()
    found: dict[str, list[str]] = {}
    for stop in pages.walk(page, demo, stops):
        page.evaluate(axe)
        result = page.evaluate("rules => axe.run(document, rules)", RULES)
        found |= {
            f"{stop.name}: {violation['id']}": [node["html"][:120] for node in violation["nodes"][:3]]
            for violation in result["violations"]
            if stop.name != "administration" or violation["impact"] in GRAVE
        }
    assert found == {}
