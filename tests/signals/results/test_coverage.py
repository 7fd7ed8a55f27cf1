"""What became of what a signal looked at: every target once, and the parts add up."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from catalyst.core.models import Project, User
from catalyst.llms import availability
from catalyst.llms.availability import Outage
from catalyst.timerange import TimeRange, between, named
from signals import operations, retention
from signals.definitions.definition import Definition
from signals.models import Label, LabelHour, Signal
from signals.results import coverage
from signals.results.coverage import Reason, Row
from signals.runs import backfill
from signals.sampling import is_sampled
from signals.targets.settling import settle
from tests.factories import make_agent, make_signal, make_trace, settle_all
from tests.judge_server import JudgeServer
from tests.page import Page
from traces.filters import Filter

DAY = timedelta(days=1)
LATER = timedelta(hours=3)
HOUR, WEEK, YEAR = timedelta(hours=1), timedelta(days=7), timedelta(days=365)
pytestmark = [pytest.mark.slow, pytest.mark.django_db]


def days(now: datetime) -> TimeRange:
    return coverage.whole_days(between(now - 2 * DAY, now + DAY))


def total(signal: Signal, now: datetime) -> Row:
    return coverage.by_day(signal, days(now), now).total


def parts(signal: Signal, now: datetime) -> tuple[int, int, int]:
    """Matching, not sampled, sampled; that it is so before and after folding."""
    before = total(signal, now)
    LabelHour.objects.fold()
    after = total(signal, now)
    assert before == after
    return after.matching, after.unsampled, after.covered.sampled


def split(project: Project, numbers: range, rate: int) -> tuple[int, int]:
    """How many of these traces a rate leaves out, and how many it samples."""
    keys = [trace.trace_id.hex for trace in project.traces.filter(trace_id__in=[f"{n:032x}" for n in numbers])]
    sampled = sum(is_sampled(key, rate) for key in keys)
    return len(keys) - sampled, sampled


def send(project: Project, numbers: range, now: datetime, **about: object) -> None:
    for number in numbers:
        make_trace(project, number, now=now, **about)


def run_all(signal: Signal, now: datetime, rate: int) -> None:
    backfill.start(signal, start=now - DAY, end=now + DAY, sample_rate=rate, now=now + LATER)
    while backfill.step(now + LATER):
        Label.objects.exclude(run=None).update(status="done", value="no", labelled_at=now)


def test_each_target_counts_once_however_often_it_grows_and_settles(project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), sample_rate=40, active_since=now)
    for times in ("again", "and again"):
        send(project, range(1, 21), now)
        settle_all(now)
        send(project, range(1, 6), now, error=times, said=(f"More {times}?", "Yes."))
        settle_all(now)
    assert parts(signal, now) == (20, *split(project, range(1, 21), 40))


def test_spans_that_settle_before_their_trace_count_once(project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), scope="span", sample_rate=50, active_since=now)
    send(project, range(1, 13), now)
    settle(now)
    early = parts(signal, now)
    settle_all(now)
    assert parts(signal, now) == early
    assert early[0] == 12
    assert 0 < early[1] < 12


def test_versions_count_each_for_themselves_and_take_over_what_waits(project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), sample_rate=60, active_since=now)
    send(project, range(1, 21), now)
    settle_all(now)
    left_out, sampled = split(project, range(1, 21), 60)
    operations.publish_version(signal, Definition(type="binary", prompt="Is it so?", sample_rate=20))
    found = {row.version: (row.matching, row.unsampled) for row in coverage.by_day(signal, days(now), now).rows}
    kept = split(project, range(1, 21), 20)[1]
    assert found == {1: (left_out, left_out), 2: (sampled, sampled - kept)}
    send(project, range(1, 21), now, said=("And now?", "Now."), error="grown")
    settle_all(now)
    found = {row.version: (row.matching, row.unsampled) for row in coverage.by_day(signal, days(now), now).rows}
    assert found == {1: (left_out, left_out), 2: (20, 20 - kept)}


def test_a_run_takes_what_it_samples_from_what_was_left_out(project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), sample_rate=30, active_since=now)
    send(project, range(1, 21), now)
    settle_all(now)
    assert parts(signal, now) == (20, *split(project, range(1, 21), 30))
    run_all(signal, now, 70)
    assert parts(signal, now) == (20, *split(project, range(1, 21), 70))
    send(project, range(1, 21), now, said=("More?", "More."), error="grown")
    settle_all(now)
    assert parts(signal, now) == (20, *split(project, range(1, 21), 70))
    run_all(signal, now, 10)
    assert parts(signal, now) == (20, *split(project, range(1, 21), 70))


def test_a_run_of_a_draft_counts_what_it_looked_at(project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project))
    send(project, range(1, 21), now)
    settle_all(now)
    assert parts(signal, now) == (0, 0, 0)
    run_all(signal, now, 30)
    assert parts(signal, now) == (20, *split(project, range(1, 21), 30))


def test_what_comes_while_it_is_disabled_or_does_not_pass_is_not_looked_at(project: Project, now: datetime) -> None:
    signal = make_signal(
        make_agent(project), sample_rate=0, traffic_filter=Filter(attributes={"tool.name": "lookup"}), active_since=now
    )
    send(project, range(1, 4), now)
    send(project, range(4, 6), now, error="Down")
    settle_all(now)
    assert parts(signal, now) == (2, 2, 0)
    operations.disable(signal, now)
    send(project, range(6, 9), now, error="Down")
    settle_all(now)
    operations.activate(signal, now + LATER)
    assert parts(signal, now) == (2, 2, 0)
    send(project, range(9, 10), now + LATER, error="Down")
    settle_all(now + LATER)
    assert parts(signal, now) == (3, 3, 0)


def test_what_goes_with_its_age_or_signal_is_counted_no_more(project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), sample_rate=50, active_since=now)
    send(project, range(1, 11), now)
    settle_all(now)
    retention.delete_expired_labels(now + 10_000 * DAY)
    assert parts(signal, now) == (0, 0, 0)
    send(project, range(11, 21), now)
    settle_all(now)
    assert parts(signal, now)[0] == 10
    signal.delete()
    LabelHour.objects.fold()
    assert not LabelHour.objects.exists()


def test_the_page_shows_parts_that_add_up_with_reasons_that_lead_to_their_labels(
    client_as: Callable[[User], Client], alice: User, project: Project
) -> None:
    now = timezone.now()
    signal = make_signal(make_agent(project), sample_rate=50, active_since=now - DAY)
    send(project, range(1, 21), now)
    settle_all(now)
    some = list(Label.objects.values_list("pk", flat=True)[:3])
    Label.objects.filter(pk__in=some[:2]).update(status="failed", error="The judge refused.")
    Label.objects.filter(pk=some[2]).update(status="skipped", error="There is no text in it.")
    left_out, sampled = split(project, range(1, 21), 50)
    found = coverage.by_day(signal, coverage.whole_days(named("1d", now)), now)
    covered = found.total.covered
    assert (found.total.matching, found.total.unsampled) == (20, left_out)
    assert (covered.failed, covered.skipped, covered.waiting) == (2, 1, sampled - 3)
    page = Page(client_as(alice).get(reverse("signals:coverage-show", args=[project.slug, signal.pk])).text)
    for words in ("The judge refused.", "There is no text in it.", "Total"):
        assert words in page.text
    addresses = [address for _, address in page.main.links if "status=failed" in address]
    assert addresses
    assert all("version=1" in address for address in addresses)


def test_the_page_folds_days_that_are_all_labelled_and_shows_the_others_by_what_is_not(
    client_as: Callable[[User], Client], alice: User, project: Project
) -> None:
    now = timezone.now()
    signal = make_signal(make_agent(project), active_since=now - 9 * DAY)
    lost = (0, 1, 0, 3, 2)  # by days ago
    for ago, count in enumerate(lost):
        send(project, range(10 * ago + 1, 10 * ago + 5), now - ago * DAY)
        settle_all(now - ago * DAY)
        new = list(Label.objects.filter(status="queued").values_list("pk", flat=True))
        Label.objects.filter(pk__in=new).update(status="done", value="yes", labelled_at=now)
        Label.objects.filter(pk__in=new[:count]).update(status="failed", value="", error="The judge refused.")
    path = reverse("signals:coverage-show", args=[project.slug, signal.pk])
    page = Page(client_as(alice).get(f"{path}?range=7d").text)
    shown = page.table("Days and versions with unlabelled traces, the most first")
    folded = page.table("Days and versions without unlabelled traces, newest first")
    assert [row["Failed"] for row in shown.rows if row["Version"] == "v1"] == ["3 failed", "2 failed", "1 failed"]
    assert [row["Failed"] for row in folded.rows if row["Version"] == "v1"] == ["0 failed", "0 failed"]
    assert "2 of 5 days in which every sampled trace has a label" in page.part("all-labelled").text
    assert "counts once for each version" not in page.region("Coverage").text
    assert page.all("//details[@open]") == []
    first = now - 7 * DAY
    assert f"{first.day} {first:%b}" in page.region("Coverage").text
    assert f"to {now.day} {now:%b %Y}, whole UTC days" in page.region("Coverage").text
    assert "The other tabs count the last 7 days only." in page.text


def test_it_says_that_labels_wait_for_a_judge_that_does_not_answer(
    project: Project, now: datetime, judge: JudgeServer
) -> None:
    signal = make_signal(make_agent(project), active_since=now - DAY)
    send(project, range(1, 3), now)
    settle_all(now)
    assert [row.reasons for row in coverage.by_day(signal, days(now), now).rows] == [[]]
    availability.pause(Outage("judge-1", "It is overloaded.", now), now)
    (row,) = coverage.by_day(signal, days(now), now).rows
    assert row.reasons == [Reason("waiting", "judge-1 does not answer: It is overloaded.", 2)]


def test_days_are_whole_and_at_most_ninety(now: datetime) -> None:
    found = coverage.whole_days(between(now - 400 * DAY, now))
    assert (found.end - found.start, found.start.hour) == (90 * DAY, 0)
    assert found.end - DAY < now <= found.end


def test_it_names_its_days() -> None:
    noon = datetime(2026, 11, 30, 12, tzinfo=UTC)
    named_days = [coverage.text_of_days(coverage.whole_days(between(noon - age, noon))) for age in (HOUR, WEEK, YEAR)]
    assert named_days == [
        "30 Nov 2026, a whole UTC day",
        "23 Nov to 30 Nov 2026, whole UTC days",
        "2 Sep to 30 Nov 2026, whole UTC days",
    ]
    new_year = datetime(2027, 1, 2, 12, tzinfo=UTC)
    across = coverage.whole_days(between(new_year - WEEK, new_year))
    assert coverage.text_of_days(across) == "26 Dec 2026 to 2 Jan 2027, whole UTC days"
