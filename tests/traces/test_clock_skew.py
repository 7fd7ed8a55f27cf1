"""Traces whose clock is far off are marked, found by when they arrived, and named by the doctor."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client

from catalyst.core.models import Project
from catalyst.timerange import DAY, MINUTE
from tests.factories import make_trace_rows
from tests.page import Page
from tests.traces.sent import sent_span
from tests.traces.views.facets import facets_of
from traces import clocks, probes
from traces.ingest import pipeline
from traces.models import Span, Trace
from traces.span_store import span_store

pytestmark = [pytest.mark.real_clock, pytest.mark.django_db]

LIST = "/p/default/traces/"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def in_unit(moment: datetime, size: int) -> datetime:
    """A start that was sent in a unit of so many nanoseconds."""
    return EPOCH + (moment - EPOCH) / size


def store(
    project: Project, start: datetime, received: datetime, *, trace: int = 1, span: int = 1, name: str = "step"
) -> Trace:
    pipeline.store(project.pk, [sent_span(span, trace=trace, start=start, name=name)], received)
    return project.traces.get(trace_id__endswith=f"{trace:012x}")


def midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


class TestMark:
    """Which traces are skewed."""

    @pytest.mark.parametrize("gap", [timedelta(), 5 * MINUTE, -timedelta(hours=1), -3 * DAY, -30 * DAY], ids=str)
    def test_a_trace_that_is_merely_late_is_not(self, project: Project, now: datetime, gap: timedelta) -> None:
        assert not store(project, now + gap, now).skewed

    @pytest.mark.parametrize(
        "gap", [5 * MINUTE + SECOND, timedelta(hours=2), 400 * DAY, -32 * DAY, -365 * DAY], ids=str
    )
    def test_a_trace_that_is_ahead_or_too_old_to_be_kept_is(
        self, project: Project, now: datetime, gap: timedelta
    ) -> None:
        assert store(project, now + gap, now).skewed

    def test_the_oldest_day_that_is_kept_counts_as_a_whole(self, project: Project, now: datetime) -> None:
        first = midnight(now) - 30 * DAY
        assert not store(project, first, now).skewed
        assert store(project, first - SECOND, now, trace=2).skewed

    def test_an_import_whose_days_were_made_is_not(self, project: Project, now: datetime) -> None:
        old = now - 90 * DAY
        span_store().import_days(old.date(), old.date(), now)
        assert not store(project, old, now).skewed
        assert not Span.objects.get().skewed
        assert store(project, old - 2 * DAY, now, trace=2).skewed

    @pytest.mark.parametrize("order", [(1, 2), (2, 1)])
    def test_it_goes_by_the_earliest_span_in_any_order(
        self, project: Project, now: datetime, order: tuple[int, int]
    ) -> None:
        starts = {1: now + 2 * 60 * MINUTE, 2: now - SECOND}
        marks = [store(project, starts[span], now, span=span).skewed for span in order]
        assert marks == [order[0] == 1, False]
        assert store(project, EPOCH + SECOND, now, span=3).skewed


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (timedelta(hours=2, minutes=3), "started 2h 03m after it arrived. The sender's clock is probably ahead."),
        (timedelta(minutes=6), "started 6m 00s after it arrived. The sender's clock is probably ahead."),
        (400.5 * DAY, "400 days after it arrived. The sender's clock is probably ahead."),
        (-60 * DAY, "The sender's clock is probably behind"),
    ],
)
def test_the_page_says_how_far_the_clock_is_off(
    browser: Client, project: Project, now: datetime, start: timedelta, words: str
) -> None:
    trace = store(project, now + start, now)
    assert words in Page(browser.get(trace.get_absolute_url()).text).text


@pytest.mark.parametrize(
    ("size", "unit", "day"),
    [
        (10**9, "seconds", "1 January 1970"),
        (10**6, "milliseconds", "1 January 1970"),
        (10**3, "microseconds", "21 January 1970"),
    ],
)
def test_the_page_names_the_unit_that_was_sent(
    browser: Client, project: Project, now: datetime, size: int, unit: str, day: str
) -> None:
    trace = store(project, in_unit(now, size), now)
    page = Page(browser.get(trace.get_absolute_url()).text)
    assert f"The sender probably sends {unit} where nanoseconds are expected." in page.text
    assert f"started on {day}" in page.text
    assert "1970" in page.facts["Started"]


def test_the_page_of_a_late_trace_says_nothing(browser: Client, project: Project, now: datetime) -> None:
    trace = store(project, now - 3 * DAY, now)
    assert "clock" not in Page(browser.get(trace.get_absolute_url()).text).main.text


@pytest.mark.parametrize("moment", ["1980-01-06", "2000-01-01"])
def test_a_clock_that_was_never_set_is_no_other_unit(now: datetime, moment: str) -> None:
    assert "probably behind" in clocks.explanation(datetime.fromisoformat(f"{moment}T00:00:00+00:00"), now)


class TestList:
    """The filter of the page and of `traces.list`."""

    def test_it_lists_skewed_traces_by_when_they_arrived(
        self, browser: Client, project: Project, now: datetime
    ) -> None:
        store(project, in_unit(now, 10**6), now - 2 * MINUTE, trace=1, name="in milliseconds")
        store(project, now + 2 * DAY, now - MINUTE, trace=2, name="ahead")
        store(project, now - MINUTE, now, trace=3, name="right")
        store(project, now, now - 2 * DAY, trace=4, name="arrived earlier")
        page = Page(browser.get(LIST).text)
        assert not page.has_link("ahead")
        page = Page(browser.get(LIST + facets_of(browser, LIST).link("Clock skew 2")).text)
        rows = page.table().rows
        assert [row["Name"] for row in rows] == ["ahead", "in milliseconds"]
        assert [row["Status"] for row in rows] == ["OK clock skew", "OK clock skew"]
        assert [row["Arrived"] for row in rows] == ["1 min ago", "2 min ago"]
        assert "go by when they arrived" in page.text

    def test_it_pages_and_counts_newer_ones(self, browser: Client, project: Project, now: datetime) -> None:
        # All of a batch arrive at once.
        make_trace_rows(project, range(1, 41), now=now)
        Trace.objects.update(skewed=True, start_time=EPOCH)
        first = Page(browser.get(LIST, {"skewed": "1"}).text)
        second = Page(browser.get(LIST + first.link("Load more"), headers={"HX-Request": "true"}).text)
        names = [row.links[0][1] for row in [*first.table().rows, *second.rows] if row.links[0][0] != "Load more"]
        assert len(names) == len(set(names)) == 40
        cursor = f"{(now - DAY).isoformat()}_1"
        newer = browser.get(LIST, {"skewed": "1", "newer": cursor}, headers={"HX-Request": "true"}).text
        assert "40" in newer

    def test_it_combines_with_other_filters(self, browser: Client, project: Project, now: datetime) -> None:
        for number, status in enumerate(("ok", "error"), start=1):
            span = sent_span(1, trace=number, start=EPOCH + SECOND, status=status, name=status)
            pipeline.store(project.pk, [span], now)
        page = Page(browser.get(LIST, {"skewed": "1", "status": "error"}).text)
        assert [row["Name"] for row in page.table().rows] == ["error"]

    def test_it_says_where_the_newest_one_is(self, browser: Client, project: Project, now: datetime) -> None:
        store(project, EPOCH + SECOND, now - 5 * DAY)
        page = Page(browser.get(LIST, {"skewed": "1"}).text)
        assert "The newest one arrived in the last 7 days." in page.text

    @pytest.mark.parametrize("query", ["", "skewed=False", "skewed=false", "skewed="])
    def test_it_is_off_without_a_yes(self, browser: Client, project: Project, now: datetime, query: str) -> None:
        store(project, EPOCH + SECOND, now, trace=1)
        store(project, now - SECOND, now, trace=2, name="right")
        assert [row["Name"] for row in Page(browser.get(f"{LIST}?{query}", follow=True).text).table().rows] == ["right"]

    def test_no_choice_is_shown_where_every_clock_is_right(
        self, browser: Client, project: Project, now: datetime
    ) -> None:
        store(project, now - SECOND, now)
        assert "Clock" not in facets_of(browser, LIST).text

    def test_its_index_answers(self, project: Project) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
        skewed = project.traces.filter(skewed=True).newest(by="first_received_at")[:31]
        assert "traces_trace_skewed" in skewed.explain()
        assert "Sort" not in skewed.explain()


class TestDoctor:
    """The probe that names senders."""

    def test_it_names_the_senders_of_the_last_day(
        self, project: Project, other_project: Project, now: datetime
    ) -> None:
        for number in range(3):
            store(project, EPOCH + SECOND, now - MINUTE, trace=number + 1)
        store(other_project, now + DAY, now)
        store(project, now + 9 * DAY, now - 2 * DAY, trace=9)
        store(project, now - DAY, now, trace=10)
        senders = probes.skewed_senders(now)
        (check,) = probes.check_clocks(senders, now)
        assert check.state == "warn"
        assert "4 traces of the last 24 hours" in check.text
        assert "3 of shop in Default; 1 of shop in Other" in check.text
        assert "Clock skew" in check.advice
        (metric,) = probes.clock_metrics(senders, now)
        assert metric.samples == (({"project": "default"}, 3), ({"project": "other"}, 1))

    def test_it_names_a_few_and_counts_the_others(self, project: Project, now: datetime) -> None:
        for number in range(1, 9):
            span = sent_span(1, trace=number, start=EPOCH + SECOND, resource={"service.name": f"cron {number}"})
            pipeline.store(project.pk, [span], now)
        (check,) = probes.check_clocks(probes.skewed_senders(now), now)
        assert check.text.endswith("1 of cron 5 in Default; and 3 more senders")

    def test_it_is_content_with_right_clocks(self, project: Project, now: datetime) -> None:
        store(project, now - 3 * DAY, now)
        (check,) = probes.check_clocks(probes.skewed_senders(now), now)
        assert (check.state, check.advice) == ("ok", "")
