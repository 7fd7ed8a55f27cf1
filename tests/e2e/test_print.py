"""A page on paper: what was found, without the frame around it."""

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.instance import Instance, sign_in

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

TRAFFIC = """
from django.utils import timezone
from catalyst.core.models import Project
from tests.factories import make_trace
make_trace(Project.objects.get(slug="paper"), 1, now=timezone.now(), said=("word " * 2000, "word " * 2000))
"""


@pytest.fixture
def paper(catalyst: Instance, page: Page) -> Page:
    """A long conversation, as the printer sees it."""
    catalyst.new_projects("paper")
    catalyst.shell(TRAFFIC)
    sign_in(page, catalyst)
    page.goto(f"{catalyst.url}/p/paper/traces/{1:032x}/")
    page.emulate_media(media="print", color_scheme="dark")
    return page


def test_it_prints_what_was_said_and_leaves_the_frame_out(paper: Page) -> None:
    for frame in (paper.get_by_role("navigation", name="Main"), paper.locator("header.top"), paper.locator(".btn")):
        assert not any(each.is_visible() for each in frame.all())
    expect(paper.get_by_role("table")).to_be_visible()
    expect(paper.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")
    folded = paper.locator("details.cut-off:not([open]) .prose")
    expect(folded).to_be_visible()
    assert paper.evaluate("document.body.scrollHeight > 1000")
