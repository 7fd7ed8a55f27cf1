"""The version of a service is on its traces, and the first run of an agent with it is a deploy."""

from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from catalyst.agents.models import Agent
from catalyst.core.models import Project
from tests.page import Page
from tests.traces.sent import sent_span
from traces.ingest import moves, pipeline
from traces.models import Deploy, Trace

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


def store(
    project: Project,
    trace: int,
    version: str,
    *,
    start: datetime,
    agent: str = "bot",
    now: datetime,
    service: str = "shop",
) -> None:
    resource = {"service.name": service} | ({"service.version": version} if version else {})
    pipeline.store(project.pk, [sent_span(1, trace=trace, start=start, agent__id=agent, resource=resource)], now)


def deploys() -> dict[str, datetime]:
    return dict(Deploy.objects.values_list("version", "started_at"))


def test_the_trace_keeps_the_version_of_its_service(project: Project, now: datetime) -> None:
    store(project, 1, "1.4.2", start=now, now=now)
    assert (Trace.objects.get().service, Trace.objects.get().service_version) == ("shop", "1.4.2")


@pytest.mark.parametrize("first", [1, 2])
def test_it_is_that_of_the_root_whatever_comes_first(project: Project, now: datetime, first: int) -> None:
    root = sent_span(1, start=now, resource={"service.name": "shop"})
    child = sent_span(2, 1, start=now, resource={"service.name": "search", "service.version": "9"})
    for span in sorted((root, child), key=lambda span: span.span_id != first):
        pipeline.store(project.pk, [span], now)
    assert (Trace.objects.get().service, Trace.objects.get().service_version) == ("shop", "")


def test_the_first_run_with_a_version_is_a_deploy(project: Project, now: datetime) -> None:
    for trace, version in enumerate(["1", "1", "2", "1", "2"]):
        store(project, trace + 1, version, start=now + trace * MINUTE, now=now + trace * MINUTE)
    assert deploys() == {"1": now, "2": now + 2 * MINUTE}


def test_a_run_that_arrives_late_moves_it_back(project: Project, now: datetime) -> None:
    for trace, start in enumerate([now, now - 2 * MINUTE, now - MINUTE], start=1):
        store(project, trace, "1", start=start, now=now)
        assert deploys() == {"1": min(now, start, deploys()["1"])}


def test_within_one_request_the_earliest_counts(project: Project, now: datetime) -> None:
    resource = {"service.name": "shop", "service.version": "1"}
    spans = [
        sent_span(1, trace=trace, start=now - after * MINUTE, agent__id="bot", resource=resource)
        for trace, after in enumerate([1, 3, 2], start=1)
    ]
    pipeline.store(project.pk, spans, now)
    assert deploys() == {"1": now - 3 * MINUTE}


@pytest.mark.parametrize("off", [timedelta(days=-9_000), timedelta(hours=2)])
def test_a_clock_that_is_off_tells_no_time(project: Project, now: datetime, off: timedelta) -> None:
    store(project, 1, "1", start=now + off, now=now)
    assert deploys() == {"1": now}


def test_agents_and_services_have_their_own(project: Project, other_project: Project, now: datetime) -> None:
    store(project, 1, "1", start=now, now=now)
    store(project, 2, "1", start=now, now=now, agent="other")
    store(project, 3, "1", start=now, now=now, service="search")
    store(other_project, 4, "1", start=now, now=now)
    assert Deploy.objects.count() == 4
    assert project.deploys.count() == 3


def test_without_an_agent_or_a_version_there_is_none(project: Project, now: datetime) -> None:
    store(project, 1, "", start=now, now=now)
    pipeline.store(project.pk, [sent_span(1, trace=2, start=now, resource={"service.version": "1"})], now)
    assert not Deploy.objects.exists()


def test_only_so_many_are_kept_in_an_hour(project: Project, now: datetime, settings: Settings) -> None:
    settings.MAX_NEW_NAMES = 2
    for trace in range(1, 4):
        store(project, trace, f"1.{trace}", start=now, now=now)
    assert deploys().keys() == {"1.1", "1.2"}
    store(project, 4, "1.3", start=now, now=now + timedelta(hours=1))
    assert deploys().keys() == {"1.1", "1.2", "1.3"}


def test_they_go_along_when_agents_are_merged(project: Project, now: datetime) -> None:
    store(project, 1, "1", start=now, now=now, agent="a")
    store(project, 2, "1", start=now - MINUTE, now=now, agent="b")
    store(project, 3, "2", start=now, now=now, agent="b")
    agents = {agent.identity: agent for agent in Agent.objects.all()}
    moves.merge([agents["b"]], agents["a"], now)
    while moves.step(now + moves.GRACE):
        pass
    assert deploys() == {"1": now - MINUTE, "2": now}
    assert {deploy.agent for deploy in Deploy.objects.all()} == {agents["a"]}


def test_charts_mark_versions_that_follow_another(browser: Client, project: Project) -> None:
    now = timezone.now()
    store(project, 1, "1.0 <b>", start=now - 3 * MINUTE, now=now)
    store(project, 2, "1.1 <b>", start=now - 2 * MINUTE, now=now)
    page = Page(browser.get(f"/p/{project.slug}/agents/{Agent.objects.get().pk}/").text)
    assert "1.1 <b> since" in page.text
    assert "1.0 <b> since" not in page.text
    for figure in page.figures.values():
        assert [each["text"] for each in figure["layout"]["annotations"]] == ["1.1 &lt;b&gt;"]
        assert len(figure["layout"]["shapes"]) == 1
