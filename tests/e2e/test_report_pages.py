"""Reports in the browser: from an agent to a cited span in a few clicks, and a report that is watched while it runs."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.instance import Instance, sign_in

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

AGENT = "SELECT id FROM agents_agent WHERE identity = 'demo-support'"
# Held by a lease, so that no worker takes it.
RUNNING = """
from datetime import timedelta
from django.utils import timezone
from catalyst.core.models import Project
from tests.factories import make_agent, make_run, make_run_event
now = timezone.now()
agent = make_agent(Project.objects.get(slug="watched"))
held = {"leased_until": now + timedelta(days=1), "engine": "model", "model_name": "gpt-4o", "turn": 3}
run = make_run(agent, now=now, status="running", **held)
make_run_event(run, "Looks for errors", at=now)
print(run.pk)
"""
ENDED = """
from django.utils import timezone
from uuid import UUID
from halo.models import Run
from tests.factories import make_citation, make_finding, make_trace
now = timezone.now()
run = Run.objects.get(pk={run})
trace = make_trace(run.project, 1, now=now, said=("Where is my parcel?", "Here."))
make_citation(run, make_finding(run, [trace.trace_id], title="It times out"), trace.trace_id, 18)
Run.objects.filter(pk=run.pk).update(status="completed", ended_at=now, lede="One failure.")
"""


def test_from_an_agent_to_a_cited_span_in_five_clicks(demo: Instance, page: Page) -> None:
    ((agent,),) = demo.query(AGENT)
    sign_in(page, demo)
    page.goto(f"{demo.url}/p/demo/agents/{agent}/?range=7d")
    page.get_by_role("link", name="Analysis", exact=True).click()
    # Where another test has connected a model, that one is chosen.
    page.get_by_label("Analyst").select_option(label="Offline analyst (rules, no model)")
    expect(page.locator("#report-preview")).to_contain_text("The offline analyst reads all of them, for free.")
    page.get_by_role("button", name="Run report").click()
    expect(page).to_have_url(re.compile(r"/reports/\d+/$"))
    finding = page.get_by_role("article").filter(has=page.get_by_role("heading", level=3)).locator(".finding").first
    expect(finding).to_be_visible(timeout=120_000)
    expect(page.locator("#report .state").first).to_have_text("Completed")
    finding.get_by_role("link", name="Open these traces").or_(finding.locator("a.cite")).first.hover()
    finding.locator("a.cite").first.click()
    expect(page).to_have_url(re.compile(r"/traces/[0-9a-f]{32}/"))
    expect(page.get_by_role("table")).to_be_visible()


def test_the_number_of_a_finding_is_what_its_list_counts(demo: Instance, page: Page) -> None:
    ((report,),) = demo.query(
        "SELECT f.run_id FROM halo_finding f JOIN agents_agent a ON a.id = f.agent_id "
        "WHERE a.identity = 'demo-support' AND f.kind <> '' AND f.trace_count > 0 ORDER BY f.id LIMIT 1"
    )
    sign_in(page, demo)
    page.goto(f"{demo.url}/p/demo/reports/{report}/")
    reach = page.locator(".finding .reach").filter(has_text="Open these traces").first
    number = reach.locator("b").inner_text()
    reach.get_by_role("link", name="Open these traces").click()
    expect(page.locator(".strip b").first).to_have_text(number)


@pytest.fixture
def watched(catalyst: Instance, page: Page) -> str:
    """The id of a running report, whose page is open."""
    catalyst.new_projects("watched")
    run = catalyst.shell(RUNNING)
    sign_in(page, catalyst)
    page.goto(f"{catalyst.url}/p/watched/reports/{run}/")
    return run


def test_a_running_report_becomes_the_report_without_a_reload(catalyst: Instance, page: Page, watched: str) -> None:
    expect(page.get_by_role("list", name="What each agent does")).to_have_text(re.compile("analyst Looks for errors"))
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    page.evaluate("window.isKept = true")
    catalyst.shell(ENDED.format(run=watched))
    expect(page.get_by_role("heading", name="It times out")).to_be_visible()
    expect(page.locator("#report-said")).to_have_text("The report has ended: completed.")
    expect(page.locator(f"#history-{watched}")).to_contain_text("1 finding")
    assert page.evaluate("window.isKept")
    cited = page.locator("a.cite").first
    summary = page.get_by_role("tooltip").first
    expect(summary).to_be_hidden()
    cited.focus()
    expect(summary).to_be_visible()
    expect(summary).to_contain_text("Where is my parcel?")
    page.emulate_media(media="print")
    expect(page.get_by_role("heading", name="It times out")).to_be_visible()
    expect(page.locator(".history-pane")).to_be_hidden()
    expect(page.get_by_role("button", name="Print")).to_be_hidden()


def test_what_was_typed_survives_a_removed_filter(demo: Instance, page: Page) -> None:
    ((agent,),) = demo.query(AGENT)
    sign_in(page, demo)
    page.goto(f"{demo.url}/p/demo/agents/{agent}/analysis/new/?range=7d&status=error")
    page.get_by_role("textbox", name="Question").fill("Why do refunds fail?")
    page.get_by_label("Window").select_option("3d")
    page.get_by_role("link", name="Remove filter status is error").click()
    expect(page).to_have_url(re.compile(r"\?range=7d$"))
    expect(page.get_by_role("textbox", name="Question")).to_have_value("Why do refunds fail?")
    expect(page.get_by_label("Window")).to_have_value("3d")
