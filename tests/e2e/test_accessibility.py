"""Axe finds nothing on any page, in both themes, wide and narrow; and focus can be seen on everything."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from django.urls import resolve
from playwright.sync_api import Browser, Page

from tests.e2e import pages
from tests.e2e.conftest import silent_window
from tests.e2e.instance import Instance
from tests.e2e.pages import Stop
from tests.test_urls import TABLE

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
COLOR_RULES = ["color-contrast", "link-in-text-block"]
"""Rules whose outcome depends on the theme."""
WIDTH_RULES = [
    "target-size",
    "scrollable-region-focusable",
    # Some buttons, links and fields are visible only in narrow windows.
    "button-name",
    "link-name",
    "label",
]
"""Rules whose outcome depends on the width."""
FINISH_TRANSITIONS = """
    () => document.getAnimations().filter((each) => each instanceof CSSTransition).forEach((each) => each.finish())
"""
"""Colors half-way between two themes have no contrast; Django's administration fades them."""
# Selectors, and the elements that pass, take most of the time of a long page.
RUN_AXE = """
    async (rules) => {
        const options = { runOnly: rules, resultTypes: ["violations"], selectors: false };
        return (await axe.run(document, options)).violations;
    }
"""
GRAVE = {"serious", "critical"}

NO_PAGES = {
    "halo:finding-markdown",
    "halo:report-markdown",
    "ops:healthz",
    "ops:readyz",
    "signals:agent-choices",
    "signals:label-export",
    "signals:exchange-detail",
    "signals:lately-show",
    "signals:trial-exchange",
    "traces:attachment-show",
    "traces:span-json",
}
"""What answers in plain text, with a file, or with a part that a page loads."""


@dataclass(frozen=True)
class Look:
    """A theme and a width, and the rules that axe checks there."""

    scheme: Literal["light", "dark"]
    width: int
    rules: list[str]
    """Names of rules, or tags of rules."""

    def violations(self, page: Page) -> list[dict[str, Any]]:
        """The rules that a page violates in this look."""
        page.emulate_media(color_scheme=self.scheme, reduced_motion="reduce")
        page.set_viewport_size({"width": self.width, "height": 900})
        page.evaluate(FINISH_TRANSITIONS)
        return list(page.evaluate(RUN_AXE, self.rules))

    def __str__(self) -> str:
        return f"{self.scheme} {self.width}"


LOOKS = (
    Look("light", 1440, TAGS),
    Look("dark", 1440, COLOR_RULES),
    Look("dark", 390, COLOR_RULES),
    Look("light", 390, COLOR_RULES + WIDTH_RULES),
)


UNSEEN_FOCUS = """
    () => {
        const looks = (element) => JSON.stringify([element, element.parentElement].flatMap((each) =>
            [null, "::after"].map((part) => {
                const { outline, boxShadow, borderColor, translate } = getComputedStyle(each, part);
                return [outline, boxShadow, borderColor, translate];
            })));
        const able = "a[href], button, input, select, textarea, summary, [tabindex='0']";
        const all = [...document.querySelectorAll(able)].filter((element) =>
            element.checkVisibility() && !element.disabled && element.tabIndex >= 0 && element.type !== "hidden");
        const unseen = [];
        for (const element of all) {
            document.activeElement.blur();
            const before = looks(element);
            element.focus({ focusVisible: true, preventScroll: true });
            const focused = document.activeElement === element;
            if (focused && looks(element) === before) unseen.push(element.outerHTML.slice(0, 120));
        }
        document.activeElement.blur();
        return [all.length, [...new Set(unseen)].slice(0, 5)];
    }
"""


def test_it_looks_at_every_page(stops: list[Stop]) -> None:
    looked_at = {resolve(stop.path.partition("?")[0]).view_name for stop in stops if stop.status != 404}
    assert {name for name, row in TABLE.items() if "200" in row.get} - looked_at == NO_PAGES


@pytest.fixture(scope="module")
def axe(javascript: Path) -> str:
    """The script that checks a page."""
    return (javascript / "node_modules" / "axe-core" / "axe.min.js").read_text()


@dataclass
class Findings:
    """What is wrong, by page."""

    violations: dict[str, list[str]]
    unseen_focus: dict[str, list[str]]


@pytest.fixture(scope="module")
def findings(demo: Instance, chromium: Browser, axe: str, stops: list[Stop]) -> Findings:
    """The findings of one walk through all pages, because loading them takes half a minute."""
    findings = Findings({}, {})
    with silent_window(chromium) as page:
        page.emulate_media(reduced_motion="reduce")
        for stop in pages.walk(page, demo, stops):
            if stop.name != "administration":
                count, findings.unseen_focus[stop.name] = page.evaluate(UNSEEN_FOCUS)
                assert count or stop.status >= 400, stop
            findings.violations |= violations(page, axe, stop)
            page.set_viewport_size({"width": 1440, "height": 900})
    return findings


def violations(page: Page, axe: str, stop: Stop) -> dict[str, list[str]]:
    """The violations of a page in every look."""
    found: dict[str, list[str]] = {}
    page.evaluate(axe)
    for look in LOOKS:
        violations = look.violations(page)
        if stop.name == "administration":
            violations = [violation for violation in violations if violation["impact"] in GRAVE]
        found |= {f"{stop.name}, {look}: {violation['id']}": nodes(violation) for violation in violations}
    return found


def test_axe_finds_nothing(findings: Findings) -> None:
    assert findings.violations == {}


def test_focus_can_be_seen_on_everything(findings: Findings) -> None:
    assert {name: found for name, found in findings.unseen_focus.items() if found} == {}


def nodes(violation: dict[str, Any]) -> list[str]:
    """The first elements that violate a rule."""
    return [node["html"][:120] for node in violation["nodes"][:3]]
