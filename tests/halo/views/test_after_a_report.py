"""Pages that a report leads to: whether a fix worked, what is new, and a finding as text."""

from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import reverse

from catalyst.agents.models import Agent
from catalyst.core.models import Project, User
from halo.models import Run
from tests.factories import make_agent, make_citation, make_finding, make_issue, make_run, make_traces
from tests.page import Page
from traces.models import Trace

pytestmark = pytest.mark.real_clock
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def browser(client_as: Callable[[User], Client], bob: User) -> Client:
    return client_as(bob)


@pytest.fixture
def agent(project: Project) -> Agent:
    return make_agent(project)


def address(run: Run, name: str, **query: str) -> str:
    return f"{reverse(f'halo:{name}', args=[run.project.slug, run.pk])}?{urlencode(query)}"


def since(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M}"


class TestVerify:
    """A failure in 30 of 100 runs of a day that ended two days ago, and 60 good runs since."""

    @pytest.fixture
    def end(self, now: datetime) -> datetime:
        return now.replace(minute=0, second=0, microsecond=0) - 2 * DAY

    @pytest.fixture
    def run(self, project: Project, end: datetime) -> Run:
        make_traces(project, range(1, 31), now=end - HOUR, error="Timeout")
        make_traces(project, range(31, 101), now=end - HOUR)
        make_traces(project, range(101, 161), now=end + HOUR)
        run = make_run(Agent.objects.get(project=project), now=end)
        failed = list(Trace.objects.filter(error_count__gt=0).values_list("trace_id", flat=True))
        make_finding(run, failed, title="lookup fails", signature="recurring_failure|lookup||Timeout")
        make_finding(run, title="Answers are impolite", rank=2, claimed_count=4)
        return run

    def test_the_report_leads_to_it_and_it_asks_since_when(self, browser: Client, run: Run) -> None:
        report = Page(browser.get(run.get_absolute_url()).text)
        page = Page(browser.get(report.link("Verify fix")).text)
        assert "Fixed since (UTC)" in page.main.text
        assert "What else changed" not in page.headings

    def test_it_says_what_became_of_each_finding(self, browser: Client, run: Run, end: datetime) -> None:
        page = Page(browser.get(address(run, "verify", since=since(end))).text)
        assert "1 resolved, 1 can't tell" in page.headings
        facts = page.facts
        assert (facts["Before"], facts["After"]) == ("30 of 100 (30.0%)", "0 of 60 (0%)")
        assert facts["Difference"].startswith("\N{MINUS SIGN}")
        assert "with a probability of over 99.9%" in page.main.text
        assert "A signal that asks the same can tell" in page.main.text
        assert [row.cells[0] for row in page.table().rows][:2] == ["Failed runs", "Latency (p95)"]

    def test_its_count_is_what_a_click_lists(self, browser: Client, run: Run, end: datetime) -> None:
        page = Page(browser.get(address(run, "verify", since=since(end))).text)
        listed = Page(browser.get(page.link("30")).text)
        assert len(listed.table().rows) == 30

    @pytest.mark.parametrize("wrong", ["", "soon", "2020-01-01T00:00"])
    def test_a_wrong_time_is_told_beside_the_field(self, browser: Client, run: Run, wrong: str) -> None:
        response = browser.get(address(run, "verify", since=wrong))
        assert response.status_code == 422
        assert "Fixed since (UTC)" in Page(response.text).main.text

    def test_a_deploy_since_the_window_began_can_be_chosen(self, browser: Client, run: Run, end: datetime) -> None:
        about = {"project": run.project, "agent": run.agent, "first_seen_at": end}
        run.project.deploys.create(version="1.0", started_at=end - 3 * DAY, **about)
        run.project.deploys.create(version="1.1", started_at=end + timedelta(minutes=2, seconds=1), **about)
        page = Page(browser.get(address(run, "verify")).text)
        (chosen,) = [href for words, href in page.links if words.startswith("1.")]
        assert chosen == f"?since={since(end + timedelta(minutes=3)).replace(':', '%3A')}"

    def test_an_issue_is_checked_by_its_newest_finding(self, browser: Client, run: Run, end: datetime) -> None:
        issue = make_issue(run.agent, now=end, fixed_at=end)
        run.findings.filter(rank=1).update(issue=issue)
        at = reverse("halo:verify-issue", args=[run.project.slug, issue.pk])
        assert since(end) in browser.get(at).text
        assert "1 resolved" in Page(browser.get(f"{at}?since={since(end)}").text).headings


class TestCompare:
    def test_a_report_says_what_changed_since_the_last_one(self, browser: Client, agent: Agent, now: datetime) -> None:
        older, newer = make_run(agent, now=now - DAY), make_run(agent, now=now)
        make_finding(older, title="B is slow", signature="b")
        make_finding(newer, title="C costs much", signature="c")
        page = Page(browser.get(newer.get_absolute_url()).text)
        assert "Since the last report: 1 new, 0 again, 1 gone" in page.headings
        compared = Page(browser.get(page.link("Compare with another report")).text)
        assert compared.link("B is slow") == older.findings.get().get_absolute_url()
        assert compared.facts["New 1"] == "C costs much"

    def test_an_earlier_report_can_be_chosen(self, browser: Client, agent: Agent, now: datetime) -> None:
        first, _, newest = (make_run(agent, now=now - days * DAY) for days in (2, 1, 0))
        make_finding(first, title="Long gone", signature="a")
        page = Page(browser.get(address(newest, "report-compare", other=str(first.pk))).text)
        assert page.has_link("Long gone")
        assert browser.get(address(newest, "report-compare", other="0")).status_code == 404

    def test_the_first_report_has_nothing_to_compare_with(self, browser: Client, agent: Agent, now: datetime) -> None:
        run = make_run(agent, now=now)
        assert not Page(browser.get(run.get_absolute_url()).text).has_link("Compare with another report")
        assert "Nothing to compare with" in Page(browser.get(address(run, "report-compare")).text).headings


class TestText:
    HOSTILE = "lookup fails with </pre><script>alert(1)</script> [x](javascript:1) `a` *b*\n# Head"

    @pytest.fixture
    def run(self, agent: Agent, now: datetime) -> Run:
        run = make_run(agent, now=now)
        make_traces(agent.project, range(1, 2), now=now)
        trace = Trace.objects.get()
        found = make_finding(run, [trace.trace_id], title=self.HOSTILE, kind="recurring_failure", fix="Retry.")
        make_citation(run, found, trace.trace_id)
        return run

    def test_it_is_text_with_whole_addresses(self, browser: Client, run: Run) -> None:
        report = Page(browser.get(run.get_absolute_url()).text)
        page = Page(browser.get(report.link("As text of finding 1")).text)
        text = page.part("issue-text").element.text
        trace = Trace.objects.get()
        assert f"](http://testserver{trace.get_absolute_url()})" in text
        assert "**Fix.** Retry." in text
        assert f"(http://testserver{run.findings.get().get_absolute_url()})" in text
        assert page.part("issue-title").text.startswith(f"{run.agent}: lookup fails with </pre><script>")
        assert not page.all("//script[not(@src)]")

    def test_a_title_stays_text_in_markdown(self, browser: Client, run: Run) -> None:
        response = browser.get(reverse("halo:finding-markdown", args=[run.project.slug, run.pk, 1]))
        assert response.headers["Content-Type"] == "text/markdown; charset=utf-8"
        assert response.headers["Content-Disposition"].startswith('attachment; filename="lookup-fails')
        heading, *_ = response.text.splitlines()
        escaped = r"\</pre\>\<script\>alert(1)\</script\> \[x\](javascript:1) \`a\` \*b\* \# Head"
        assert heading == f"# lookup fails with {escaped}"
        assert browser.get(reverse("halo:finding-text", args=[run.project.slug, run.pk, 2])).status_code == 404
