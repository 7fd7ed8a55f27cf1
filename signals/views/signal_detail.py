"""The page of a signal."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_safe
from django_htmx.http import HttpResponseClientRefresh

from catalyst import timerange
from catalyst.core.access import ProjectRequest
from catalyst.htmx import STOP_POLLING, render, wants_partial
from catalyst.llms.amounts import Account
from catalyst.llms.budgets import spent_today
from catalyst.params import cursor
from catalyst.timerange import TimeRange
from signals import filters
from signals.filters import LabelFilter
from signals.judging import health, judges, spending
from signals.models import Signal, SignalVersion
from signals.models.label_rollup import LabelCount
from signals.results import charts, labels, summaries
from signals.results.queue_status import queue_status
from signals.results.rollups import CountsByBucket, sums
from signals.results.rows import load_rows
from signals.results.summaries import Summary
from signals.views.signal_list import IDLE_SECONDS, OPEN_SECONDS

PAGE = 30


@require_safe
def signal_detail(request: ProjectRequest, pk: int) -> HttpResponse:
    """What one signal found. Polled for its numbers and for its first rows while work is open, continued by `after`."""
    signal, now = get_object_or_404(request.project.signals.for_list(), pk=pk), timezone.now()
    time_range = timerange.parse(request.GET.dict(), now).in_bars(request.GET.get("bars", ""))
    wanted = filters.label_filter(request.GET.dict())
    of_version = LabelFilter(version=wanted.version, run=wanted.run)
    if request.htmx.target == "no-labels":
        return _refresh_if(signal.label_set.matching(of_version).exists())
    kept = sums(signal=signal).matching(of_version)
    versions, found = summaries.versions(signal), kept.totals(time_range)
    summary = summaries.summary(signal, versions, found)
    is_open = summaries.is_open(signal, summary.queued)
    every = OPEN_SECONDS if is_open else IDLE_SECONDS if signal.is_live else 0
    context = {"signal": signal, "tab": "results", "time_range": time_range, "wanted": wanted, "summary": summary}
    whole, numbers = not wants_partial(request), request.htmx.target == "signal-numbers"
    context |= {"is_open": is_open, "every": every, "polled": not whole}
    if whole or numbers:
        counts = kept.over_time(time_range)[signal.pk]
        context |= _numbers(request, summary, counts, time_range) | _sampled(summary, found, versions, wanted)
    if whole or not numbers:
        context |= _rows(request, signal, wanted, time_range)
    if whole:
        context |= _surroundings(signal, wanted, now, is_empty=not (context["rows"] or context["more"]))
    status, partial = 200 if whole or every else STOP_POLLING, "signal-numbers" if numbers else "label-rows"
    return render(request, "signals/detail.html", context, partial=partial, status=status)


def _refresh_if(changed: bool) -> HttpResponse:
    return HttpResponseClientRefresh() if changed else HttpResponse(status=204)


def _rows(request: ProjectRequest, signal: Signal, wanted: LabelFilter, time_range: TimeRange) -> dict[str, Any]:
    """A page of labels, each with the way to its target, and where the next page starts."""
    found = labels.page(signal, wanted, time_range, cursor(request.GET.get("after")), PAGE)
    shown = load_rows(request.project, signal.scope, found.labels)
    rows = [(row, labels.with_place(row, request.GET.dict())) for row in shown]
    return {"rows": rows, "more": found.more}


def _numbers(
    request: ProjectRequest, summary: Summary, counts: CountsByBucket, time_range: TimeRange
) -> dict[str, Any]:
    """The chart of the range, who judges, why nobody does, and how it goes."""
    version, now = summary.signal.current_version, timezone.now()
    shares = request.GET.get("show") == "share"
    return {
        "shares": shares,
        "figure": charts.over_time(summary.outcomes, counts, time_range, request.GET.dict(), shares=shares),
        "judge": judges.judge_of(version) if version else None,
        "trouble": health.outage_of(judges.judge_of(version)) if version else None,
        "stop": spending.caps_reached([version], now).get(version.pk) if version else None,
        "going": queue_status(summary.signal, now),
    }


def _surroundings(signal: Signal, wanted: LabelFilter, now: datetime, *, is_empty: bool) -> dict[str, Any]:
    """Where to look when the range is empty, and what judging cost."""
    newest = signal.hours.matching(wanted).newest() if is_empty else None
    return {
        "nearest": timerange.around(newest, now) if newest else None,
        "today": spent_today(Account(signal.project_id, signal.pk), now),
    }


def _sampled(
    summary: Summary, found: Iterable[LabelCount], versions: list[SignalVersion], wanted: LabelFilter
) -> dict[str, Any]:
    """What the labels were sampled from, and by which versions and runs."""
    runs, asked = summaries.runs(summary.signal), {cell.version for cell in found if cell.count}
    shown = [version for version in versions if version.pk in asked]
    estimate = summaries.estimate(summary, shown, runs, wanted)
    return {"estimate": estimate, "shown_versions": shown, "known_versions": versions, "known_runs": runs}
