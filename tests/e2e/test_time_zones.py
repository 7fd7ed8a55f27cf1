"""Times in the zone of the reader, or in UTC by choice."""

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.instance import Instance, sign_in

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

TRAFFIC = """
from datetime import UTC, datetime, timedelta
from django.utils import timezone
from catalyst.core.models import Project
from tests.factories import make_trace
now = timezone.now()
make_trace(Project.objects.get(slug="zones"), 1, now=now)
print((now - timedelta(seconds=2)).strftime("%H:%M:%S"))
"""


def test_times_are_local_and_name_their_zone(chromium: Browser, catalyst: Instance) -> None:
    catalyst.new_projects("zones")
    utc = catalyst.shell(TRAFFIC)
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, timezone_id="Asia/Tokyo")
    page = context.new_page()
    sign_in(page, catalyst)
    page.goto(f"{catalyst.url}/p/zones/traces/{1:032x}/")
    started = page.locator("dl.facts time").first
    expect(started).to_have_text(re.compile(r"\d+ \w+ \d\d:\d\d:\d\d GMT\+9$"))
    expect(started).to_have_attribute("title", re.compile(" UTC$"))
    page.get_by_label("Account of").click()
    page.get_by_role("button", name="Times in Asia/Tokyo: show UTC").click()
    expect(started).to_have_text(re.compile(rf"{utc} UTC$"))
    page.reload()
    expect(started).to_have_text(re.compile(rf"{utc} UTC$"))
    context.close()
