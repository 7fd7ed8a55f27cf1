"""Channels are told what a scheduled report brings, once, and only if there is news."""

from datetime import datetime
from typing import Any

import pytest

from alerts.models import Channel, Delivery
from catalyst.agents.models import Agent
from catalyst.core.models import Project
from catalyst.notifications import Message
from halo.choices import RunStatus
from halo.models import Run, Schedule
from halo.schedules import firing, writes
from tests.factories import make_agent, make_channel, make_finding
from tests.halo.schedules.definitions import DAY, HOUR, end, fire, make_schedule, with_traces

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent(project: Project, now: datetime) -> Agent:
    return with_traces(make_agent(project), now)


@pytest.fixture
def channel(project: Project, now: datetime) -> Channel:
    return make_channel(project, now=now)


@pytest.fixture
def nightly(agent: Agent, channel: Channel, now: datetime) -> Schedule:
    return make_schedule(agent, now=now, channels=[channel.pk])


class Nights:
    """A schedule, night by night."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def report(self, *findings: dict[str, Any], status: str = RunStatus.COMPLETED, **columns: Any) -> Run:
        """The report of the next night, and what becomes of it."""
        self.now += DAY
        (run,) = fire(self.now)
        return self.ended(run, *findings, status=status, **columns)

    def ended(self, run: Run, *findings: dict[str, Any], status: str = RunStatus.COMPLETED, **columns: Any) -> Run:
        for rank, about in enumerate(findings, 1):
            make_finding(run, rank=rank, **about)
        end(run, self.now, status, **columns)
        firing.work(self.now)
        return Run.objects.get(pk=run.pk)


@pytest.fixture
def nights(nightly: Schedule, now: datetime) -> Nights:
    return Nights(now)


def messages() -> list[Message]:
    rows = Delivery.objects.order_by("pk").values_list("message", flat=True)
    return [Message.model_validate(row) for row in rows]


SLOW = {"title": "Lookups are slow", "signature": "slow lookup", "severity": "medium"}
FAILS = {"title": "Refunds fail", "signature": "refund fails", "severity": "high"}


def test_it_tells_findings_and_links(nights: Nights, channel: Channel, nightly: Schedule) -> None:
    run = nights.report(FAILS | {"trace_count": 12}, SLOW, lede="Refunds fail.", trace_count=80)
    assert run.news_count == 2
    delivery = Delivery.objects.get()
    assert (delivery.channel, delivery.kind, delivery.event_key) == (channel, "halo.report", f"halo-report-{run.pk}")
    (message,) = messages()
    assert (message.title, message.text, message.severity) == ("Nightly: 2 new", "Refunds fail.", "warning")
    facts = {fact.name: fact.value for fact in message.facts}
    assert (facts["Findings"], facts["Traces"]) == ("2 new of 2 findings", "80")
    assert [(each.label, each.reason, each.text) for each in message.excerpts] == [
        ("High, new", "Refunds fail", "12 of 100 traces"),
        ("Medium, new", "Lookups are slow", ""),
    ]
    assert message.excerpts[0].link.url.endswith(f"/reports/{run.pk}/#finding-1")
    assert message.links[0].url.startswith("http")
    assert message.links[0].url.endswith(run.get_absolute_url())
    assert message.links[1].url.endswith(nightly.get_absolute_url())


def test_it_is_silent_about_what_is_known(nights: Nights) -> None:
    nights.report(FAILS, SLOW)
    assert nights.report(SLOW, FAILS).news_count == 0
    assert nights.report(FAILS | {"severity": "low"}).news_count == 0
    assert nights.report().news_count == 0
    assert len(messages()) == 1


def test_it_tells_what_is_worse(nights: Nights) -> None:
    nights.report(FAILS, SLOW)
    run = nights.report(FAILS | {"severity": "critical"}, SLOW)
    message = messages()[-1]
    assert (run.news_count, message.title, message.severity) == (1, "Nightly: 0 new, 1 worse", "critical")
    assert [each.label for each in message.excerpts] == ["Critical, was high"]


def test_a_model_gives_no_signature(nights: Nights) -> None:
    words = {"signature": "", "title": "Refunds  fail", "category": "reliability"}
    nights.report(words)
    assert nights.report(words | {"title": "refunds FAIL"}).news_count == 0
    assert nights.report(words | {"category": "cost"}).news_count == 1


def test_reports_that_did_not_complete_are_not_compared(nights: Nights) -> None:
    nights.report(FAILS)
    assert nights.report(SLOW, status=RunStatus.TIMED_OUT).news_count is None
    assert nights.report(FAILS).news_count == 0
    assert len(messages()) == 1


def test_a_report_that_somebody_started_is_theirs_to_read(nights: Nights, nightly: Schedule) -> None:
    """What it found first is still news to the channels."""
    by_hand = writes.run_now(nightly, nights.now)
    assert nights.ended(by_hand, FAILS).news_count is None
    assert nights.report(FAILS).news_count == 1


def test_it_is_told_once(nights: Nights) -> None:
    nights.report(FAILS)
    for _ in range(3):
        firing.work(nights.now + HOUR)
    Run.objects.update(noted_at=None)
    firing.work(nights.now + HOUR)
    assert len(messages()) == 1


def test_many_findings_are_counted(nights: Nights) -> None:
    nights.report(*({**SLOW, "signature": str(number)} for number in range(7)))
    (message,) = messages()
    assert len(message.excerpts) == 3
    assert message.text.endswith("4 more are in the report.")


def test_without_channels_nobody_is_told(agent: Agent, now: datetime) -> None:
    make_schedule(agent, now=now)
    assert Nights(now).report(FAILS).news_count == 1
    assert messages() == []


def test_a_pause_is_told(nights: Nights, nightly: Schedule) -> None:
    for _ in range(3):
        nights.report(status=RunStatus.FAILED, error="The model did not answer.")
    (message,) = messages()
    assert (message.title, message.severity) == ("Nightly is paused", "warning")
    assert "The model did not answer. It starts no more reports until somebody enables it." in message.text
    assert message.links[0].url.endswith(nightly.get_absolute_url())
