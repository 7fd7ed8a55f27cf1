"""What an app adds to the registry appears everywhere, and no file of another app knows of it."""

from collections.abc import Callable, Iterator
from datetime import datetime

import pytest
from django.apps import AppConfig
from django.test import Client

from catalyst import registry
from catalyst.core.models import Project, User
from catalyst.health import Check
from catalyst.ops import scheduler, tasks
from catalyst.ops.demo import loader
from catalyst.ops.models import PeriodicRun
from catalyst.ops.monitoring import snapshot
from catalyst.ops.processes import prepare
from catalyst.registry import PeriodicTask
from tests.factories import make_agent, make_signal
from tests.page import Page
from tests.sample_app.registrations import REGISTRATIONS, calls
from traces.store import partitions

HERE = {"host": "127.0.0.1:8799"}


@pytest.fixture(autouse=True)
def sample_app(project: Project) -> Iterator[None]:
    """The app, as if it were among the INSTALLED_APPS."""
    AppConfig.create("tests.sample_app.apps.SampleConfig").ready()
    calls.clear()
    yield
    registry.unregister(*REGISTRATIONS)


def test_its_periodic_work_is_enqueued(now: datetime) -> None:
    work = registry.entries(PeriodicTask)
    PeriodicRun.objects.register([each.name for each in work], now)
    assert "birds" in scheduler.tick(now, work)


def test_its_maintenance_and_retention_run_every_minute() -> None:
    tasks.minute.call()
    assert calls == ["maintenance", "retention"]


def test_its_maintenance_runs_before_the_processes_start(now: datetime) -> None:
    prepare.tables(now)
    assert calls == ["maintenance"]


def test_the_doctor_shows_its_checks(now: datetime) -> None:
    partitions.ensure(now)
    assert snapshot.collect(now).checks()[-1] == Check("Birds", "cage", "warn", "7 birds", "Open the cage.")


def test_operators_see_its_checks_and_metrics(client_as: Callable[[User], Client], alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    browser = client_as(alice)
    assert "Birds, cage: 7 birds. Open the cage." in Page(browser.get("/operator/").text).text
    assert "# TYPE catalyst_birds gauge\ncatalyst_birds 7.0\n" in browser.get("/metrics", headers=HERE).text


def test_people_see_its_section_and_its_tabs(
    client_as: Callable[[User], Client], alice: User, bob: User, project: Project, now: datetime
) -> None:
    signal = make_signal(make_agent(project), active_since=now)
    browser = client_as(alice)
    page = Page(browser.get("/p/default/settings/").text)
    sections = page.region("Main")
    assert sections.link("Birds") == "/p/default/settings/members/"
    assert [key.attribute("data-key") for key in sections.all(".//a[normalize-space()='Birds']")] == ["b"]
    assert page.main.link("Birds") == "/p/default/settings/keys/"
    agent = f"/p/default/agents/{signal.agent_id}/"
    assert Page(browser.get(agent).text).main.link("Birds") == f"{agent}traces/?"
    assert Page(browser.get(signal.get_absolute_url()).text).main.has_link("Birds")
    assert not Page(client_as(bob).get("/p/default/settings/").text).main.has_link("Birds")


def test_its_data_is_part_of_the_demo(alice: User, now: datetime) -> None:
    demo = loader.make(alice, now)
    loader.renew(demo, now, scale=0.01)
    assert calls == ["erase", "load"]
