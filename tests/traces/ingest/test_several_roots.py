"""A trace with several roots failed if one of them did, and lasts from the first to the last of them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import permutations

import pytest
from django.test import Client
from django.utils import timezone

from catalyst.core.models import Project
from tests.page import Page
from tests.traces.sent import sent_span
from traces.ingest import pipeline
from traces.models import AgentHour, AgentHourLatency, Trace
from traces.otlp import DecodedSpan
from traces.summary import bucket_duration_us

NOON = datetime.fromisoformat("2026-11-20T12:00:00+00:00")


def root(number: int, after: float, seconds: float | None, status: str = "unset") -> DecodedSpan:
    start = NOON + timedelta(seconds=after)
    return sent_span(number, start=start, seconds=seconds, status=status, name=f"try {number}")


CHILD = sent_span(9, 1, start=NOON + timedelta(seconds=3), seconds=60, status="error")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("spans", "status", "seconds", "outcome"),
    [
        ([root(1, 0, 0.1), root(2, 9.9, 0.1, "error")], "error", 10, "failure"),
        ([root(1, 0, 0.1, "error"), root(2, 9.9, 0.1, "ok")], "error", 10, "failure"),
        ([root(1, 0, 10, "ok"), root(2, 1, 1)], "ok", 10, "success"),
        ([root(1, 0, 1), root(2, 9, 1, "ok")], "unset", 10, "unknown"),
        # What is below a root decides neither.
        ([root(1, 0, 1, "ok"), root(2, 9, 1, "ok"), CHILD], "ok", 10, "success"),
        ([root(1, 0, 10, "ok"), CHILD], "ok", 10, "success"),
        ([root(1, 0, 1, "ok"), root(2, 2, 1, "ok"), root(3, 8, 2, "error")], "error", 10, "failure"),
    ],
)
def test_it_is_the_same_in_any_order_and_batches(
    spans: Sequence[DecodedSpan], status: str, seconds: int, outcome: str
) -> None:
    for number, order in enumerate(permutations(spans)):
        project = Project.objects.create(name="p", slug=f"p{number}")
        batches = [order] if number % 2 else [(span,) for span in order]
        for batch in batches:
            pipeline.store(project.pk, batch, NOON + timedelta(minutes=2))
        trace = project.traces.get()
        assert (trace.status, trace.duration_us, trace.outcome) == (status, seconds * 1_000_000, outcome)
        assert (trace.name, trace.root_ended) == ("try 1", True)
        assert AgentHour.objects.get(project=project).error_trace_count == (status == "error")
        (latency,) = AgentHourLatency.objects.filter(project=project, trace_count__gt=0)
        assert bucket_duration_us(latency.bucket) == pytest.approx(seconds * 1_000_000, rel=0.05)


@pytest.mark.django_db
def test_it_is_open_until_all_its_roots_have_ended(project: Project) -> None:
    pipeline.store(project.pk, [root(1, 0, 1), root(2, 4, None)], NOON)
    trace = Trace.objects.get()
    assert (trace.root_ended, trace.duration_us) == (False, 4_000_000)
    pipeline.store(project.pk, [root(2, 4, 2, "error")], NOON)
    trace.refresh_from_db()
    assert (trace.root_ended, trace.duration_us, trace.status) == (True, 6_000_000, "error")


@pytest.mark.django_db
def test_the_filter_of_errors_finds_it(browser: Client, project: Project) -> None:
    start = timezone.now() - timedelta(minutes=1)
    spans = [sent_span(1, start=start, name="tried twice"), sent_span(2, start=start, status="error")]
    spans.append(sent_span(3, trace=2, start=start, name="fine"))
    pipeline.store(project.pk, spans, timezone.now())
    failed, fine = (
        Page(browser.get(f"/p/{project.slug}/traces/", {"status": which}).text) for which in ("error", "ok")
    )
    assert failed.has_link("tried twice")
    assert not failed.has_link("fine")
    assert fine.has_link("fine")
    assert not fine.has_link("tried twice")
