"""The list of signals of a project."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from catalyst import params, timerange
from catalyst.core.access import ProjectRequest, editor_required
from catalyst.htmx import STOP_POLLING, redirect_back, render, wants_partial
from catalyst.llms.amounts import Account
from catalyst.llms.budgets import spent_today
from signals import operations
from signals.definitions.templates import TEMPLATES
from signals.filters import ARCHIVED, ONLY, SignalFilter, SignalFilterForm
from signals.judging.budget_checks import CapReached
from signals.models import Signal
from signals.models.signal import SignalQuerySet
from signals.operations import BulkAction
from signals.results import summaries
from signals.results.summaries import Summary
from signals.views.signal_actions import is_unjudged

# Polling intervals: while labels are queued, and while a signal is live.
OPEN_SECONDS, IDLE_SECONDS = 5, 30
# Signals on the page, the first ones by name.
MAX_SELECTED = 100
# Sortable columns besides the name, in order.
COLUMNS = {"volume": "Labels", "waiting": "Pending", "failed": "Failed", "cost": "Cost", "last": "Last label"}


@require_safe
def signal_list(request: ProjectRequest) -> HttpResponse:
    """List signals with their labels in the range. Without signals: an introduction and the templates."""
    now = timezone.now()
    time_range, filter_form = timerange.parse(request.GET.dict(), now), SignalFilterForm(request.GET)
    signal_filter = filter_form.signal_filter
    all_signals = request.project.signals.all()
    archived = "archived" in request.GET or signal_filter.state == ARCHIVED
    signals = list(_matching(all_signals, signal_filter, archived).for_list()[: MAX_SELECTED + 1])
    if not signals and not all_signals.exists():
        context = {"templates": TEMPLATES.values(), "has_agents": request.project.agents.exists()}
        return render(request, "signals/first_signal.html", context)
    rows = summaries.listed(signals[:MAX_SELECTED], time_range, now)
    shown = [row for row in rows if _ONLY[signal_filter.only](row)]
    refresh_seconds = _refresh_seconds(rows, signals)
    context = {
        "time_range": time_range,
        "archived": archived,
        "signal_filter": signal_filter,
        "summaries": summaries.ordered(shown, signal_filter.sort),
        "only": ONLY.get(signal_filter.only, ""),
        "more": len(signals) > MAX_SELECTED,
        "refresh_seconds": refresh_seconds,
        # One banner instead of a word in each row.
        "judge_troubles": summaries.judge_troubles(rows),
        "unjudged_count": sum(row.is_unjudged for row in rows),
        "totals": summaries.total(shown),
    }
    if wants_partial(request):
        status = 200 if refresh_seconds else STOP_POLLING
        return render(request, "signals/list.html", context, partial="signal-rows", status=status)
    filter_form.offer_agents(all_signals.agents())
    context |= _page_context(request, archived) | {"filter_form": filter_form, "project_stop": _project_stop(rows)}
    return render(request, "signals/list.html", context)


def _matching(signals: SignalQuerySet, wanted: SignalFilter, archived: bool) -> SignalQuerySet:
    if wanted.state == ARCHIVED:
        wanted = replace(wanted, state="")
    return (signals.archived() if archived else signals.unarchived()).matching(wanted)


_ONLY: Mapping[str, Callable[[Summary], bool]] = {
    "": lambda _: True,
    "failed": lambda row: row.coverage.failed > 0,
    "waiting": lambda row: row.waiting > 0,
    "unjudged": lambda row: row.is_unjudged,
}


def _project_stop(rows: Iterable[Summary]) -> CapReached | None:
    return next((row.cap_reached for row in rows if row.cap_reached and row.cap_reached.of_project), None)


def _refresh_seconds(rows: Iterable[Summary], signals: Iterable[Signal]) -> int:
    if any(row.queued for row in rows):
        return OPEN_SECONDS
    return IDLE_SECONDS if any(signal.is_live for signal in signals) else 0


def _page_context(request: ProjectRequest, archived: bool) -> dict[str, Any]:
    signals = request.project.signals.all()
    return {
        "sorts": COLUMNS.items(),
        "today": spent_today(Account(request.project.pk), timezone.now()),
        "archived_count": 0 if archived else signals.archived().count(),
    }


@require_POST
@editor_required
def signal_bulk(request: ProjectRequest) -> HttpResponse:
    """Activate, disable or archive the selected signals. Archiving asks for confirmation."""
    action = request.POST.get("do", "")
    pks = [int(pk) for pk in request.POST.getlist("signal")[:MAX_SELECTED] if params.is_id(pk)]
    signals = list(request.project.signals.unarchived().filter(pk__in=pks).for_list())
    if signals and action == "archive" and "sure" not in request.POST:
        return render(request, "signals/archive.html", {"signals": signals})
    if signals and action in BULK:
        _change_several(request, signals, action)
    else:
        messages.error(request, "Select at least one signal")
    return redirect_back(request, reverse("signals:signal-list", args=[request.project.slug]))


BULK: dict[str, str] = {
    BulkAction.ACTIVATE: "active",
    BulkAction.DISABLE: "disabled. Existing labels stay.",
    BulkAction.ARCHIVE: "archived. Existing labels stay.",
}


def _change_several(request: ProjectRequest, signals: Iterable[Signal], action: str) -> None:
    changed, refused = operations.change_several(signals, action, timezone.now(), request.actor)
    for signal, reason in refused:
        messages.error(request, f"{signal.name}: {reason}")
    if changed:
        messages.success(request, f"{len(changed)} signal{'' if len(changed) == 1 else 's'} {BULK[action]}")
    if unjudged := [signal.name for signal in changed if is_unjudged(signal)]:
        messages.warning(
            request, f"{', '.join(unjudged)}: no model is connected that judges them, so their labels fail."
        )
