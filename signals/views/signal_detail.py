"""The results tab of a signal."""

from dataclasses import dataclass, replace
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
from signals.definitions.choices import Scope
from signals.filters import LabelFilter, LabelFilterForm
from signals.forms.caps import CapForm
from signals.judging import budget_checks, health, judges
from signals.models import Signal, SignalRun
from signals.results import charts, counted, labels, summaries
from signals.results.counted import CountedWindow
from signals.results.facets import key_of
from signals.results.queue_status import queue_status
from signals.results.rollups import CountsByBucket, sums
from signals.results.rows import load_rows
from signals.results.summaries import Summary
from signals.runs.backfill import stored_targets
from signals.targets.volume import recent_volume
from signals.views.signal_list import IDLE_SECONDS, OPEN_SECONDS

PAGE = 30


@require_safe
def signal_detail(request: ProjectRequest, pk: int) -> HttpResponse:
    """Show results. The page polls numbers and first rows while labels are queued; `after` loads more rows."""
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    filter_form = LabelFilterForm(request.GET)
    label_filter = filter_form.label_filter
    if request.htmx.target == "no-labels":
        return _refresh_if(signal.label_set.matching(_of_version(label_filter)).exists())
    page = _Page(request, signal, filter_form)
    if not wants_partial(request):
        rows = page.rows()
        is_empty = not (rows["rows"] or rows["more"])
        return page.render(page.numbers() | rows | page.surroundings(is_empty=is_empty))
    if request.htmx.target == "signal-numbers":
        return page.render(page.numbers(), partial="signal-numbers")
    return page.render(page.rows(), partial="label-rows")


def _of_version(label_filter: LabelFilter) -> LabelFilter:
    return replace(label_filter, value="", status="", text="", counted=None)


class _Page:
    def __init__(self, request: ProjectRequest, signal: Signal, filter_form: LabelFilterForm) -> None:
        self.request, self.signal = request, signal
        self.filter_form, self.label_filter = filter_form, filter_form.label_filter
        self.now = timezone.now()
        self.time_range = timerange.parse(request.GET.dict(), self.now).with_bucket_width(request.GET.get("bars", ""))
        self.sums = sums(signal=signal).matching(_of_version(self.label_filter))
        self.versions, self.totals = summaries.versions(signal), self.sums.totals(self.time_range)
        self.summary = summaries.summary(signal, self.versions, self.totals)
        self.window = counted.window(signal, self.label_filter)

    def render(self, context: dict[str, Any], partial: str = "") -> HttpResponse:
        unsettled = summaries.unsettled(self.signal)
        is_open = self.summary.queued > 0 or unsettled > 0
        idle = IDLE_SECONDS if self.signal.is_live else 0
        refresh_seconds = OPEN_SECONDS if is_open else idle
        shared = {
            "signal": self.signal,
            "tab": "results",
            "time_range": self.time_range,
            "filter_form": self.filter_form,
            "label_filter": self.label_filter,
            "summary": self.summary,
            "is_open": is_open,
            "max_unsettled": summaries.MAX_UNSETTLED,
            "unsettled": unsettled if self.time_range.end >= self.now else 0,
            "refresh_seconds": refresh_seconds,
            "window": self.window,
            "is_polled": bool(partial),
            "judge": judges.judge_of(version) if (version := self.signal.current_version) else None,
        }
        status = STOP_POLLING if partial and not refresh_seconds else 200
        return render(self.request, "signals/detail.html", shared | context, partial=partial, status=status)

    def numbers(self) -> dict[str, Any]:
        counts = self.sums.over_time(self.time_range)[self.signal.pk]
        runs = summaries.runs(self.signal)
        self.filter_form.offer([version.number for version in self.versions], [run.pk for run in runs])
        chart = _numbers(self.request, self.summary, counts, self.time_range)
        if self.label_filter.counted is None:
            choices = label_choices(self.summary, self.label_filter)
        else:
            choices = _counted_choices(self.window, self.label_filter)
        known = {"known_versions": self.versions, "known_runs": runs, "label_choices": choices}
        return chart | self._sampled(runs) | known

    def _sampled(self, runs: list[SignalRun]) -> dict[str, Any]:
        version_ids = {cell.version for cell in self.totals if cell.count}
        shown_versions = [version for version in self.versions if version.pk in version_ids]
        current = self.signal.current_version
        is_other_prompt = current and all(version.prompt != current.prompt for version in shown_versions)
        shown = {"shown_versions": shown_versions, "is_other_prompt": is_other_prompt}
        if self.label_filter.pools_versions:
            return shown
        estimate = summaries.estimate(self.summary, shown_versions, runs, self.label_filter)
        shown_run = next((run for run in runs if run.pk == self.label_filter.run), None)
        return shown | {"estimate": estimate, "shown_run": shown_run}

    def rows(self) -> dict[str, Any]:
        after = cursor(self.request.GET.get("after"))
        page = labels.page(self.signal, self.label_filter, self.time_range, after, PAGE)
        loaded = load_rows(self.request.project, self.signal.scope, page.labels)
        rows = [(row, labels.href_in_list(row, self.request.GET.dict())) for row in loaded]
        return {"rows": rows, "more": page.more}

    def surroundings(self, *, is_empty: bool) -> dict[str, Any]:
        in_range = is_empty and self.label_filter.counted is None
        newest = self.signal.hours.matching(self.label_filter).newest() if in_range else None
        is_unlabelled = is_empty and not newest and not self.label_filter.narrows
        needs_sessions = is_unlabelled and self.signal.scope == Scope.SESSION
        flagged = _flagged(self.summary, self.label_filter)
        today = spent_today(Account(self.signal.project_id, self.signal.pk), self.now)
        return {
            "has_no_sessions": needs_sessions and recent_volume(self.signal.agent, self.now).has_no_sessions,
            "nearest": timerange.around(newest, self.now) if newest else None,
            "stored": stored_targets(self.signal, self.now) if is_unlabelled else None,
            "today": today,
            "flagged": flagged,
            "flagged_key": key_of(self.signal.pk, flagged) if flagged else "",
            "cap_form": CapForm(cap=today.cap),
        }


@dataclass(frozen=True, slots=True)
class LabelChoice:
    """A filter of the table and the number of rows that it lists."""

    text: str
    count: int
    label: str | None = None
    status: str | None = None
    is_chosen: bool = False


def label_choices(summary: Summary, wanted: LabelFilter) -> list[LabelChoice]:
    covered = summary.coverage
    by_label = [(outcome.value, outcome.count, outcome.value, None) for outcome in summary.outcomes]
    by_status = [
        ("Labelled", summary.labelled, None, "labelled"),
        ("Pending", covered.waiting, None, "waiting"),
        ("Failed", covered.failed, None, "failed"),
        ("Skipped", covered.skipped, None, "skipped"),
        ("Up to date", covered.done, None, "done"),
    ]
    # Statuses that list nothing, or what another choice lists, are offered only while they are chosen.
    told = {0, covered.sampled}
    shown = [
        each
        for each in by_status
        if each[3] == wanted.status or (each[1] not in told and each[3] != "done") or (each[1] and each[3] == "failed")
    ]
    offered = [("All", covered.sampled, None, None), *by_label, *shown]
    chosen = wanted.value or None, wanted.status or None
    return [LabelChoice(*each, is_chosen=(each[2], each[3]) == chosen) for each in offered]


def _counted_choices(window: CountedWindow, wanted: LabelFilter) -> list[LabelChoice]:
    by_label = [(value, count, value) for value, count in window.values.items()]
    offered = [("All", window.labelled, None), *by_label]
    return [
        LabelChoice(text, count, value, is_chosen=value == (wanted.value or None)) for text, count, value in offered
    ]


def _flagged(summary: Summary, wanted: LabelFilter) -> str:
    """The label whose targets are worth a report: the chosen one, else the first bad one. Empty without one."""
    given = {outcome.value: outcome.color_class for outcome in summary.outcomes if outcome.count}
    if wanted.value in given:
        return wanted.value
    return next((value for value, color in given.items() if color.startswith("negative")), "")


def _refresh_if(changed: bool) -> HttpResponse:
    return HttpResponseClientRefresh() if changed else HttpResponse(status=204)


def _numbers(
    request: ProjectRequest, summary: Summary, counts: CountsByBucket, time_range: TimeRange
) -> dict[str, Any]:
    version, now = summary.signal.current_version, timezone.now()
    shares = request.GET.get("show") == "share"
    judge = judges.judge_of(version) if version else None
    queue = queue_status(summary.signal, now)
    is_judged = summary.signal.is_live or queue.waiting > 0
    return {
        "shares": shares,
        "figure": charts.over_time(summary.outcomes, counts, time_range, shares=shares),
        "trouble": health.outage_of(judge) if judge else None,
        "stop": budget_checks.caps_reached([version], now).get(version.pk) if version and is_judged else None,
        "queue_status": queue,
    }
