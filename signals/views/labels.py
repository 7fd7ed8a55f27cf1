"""Export of labels, and the page of one label."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.text import slugify
from django.views.decorators.http import require_POST, require_safe

from catalyst import timerange
from catalyst.core.access import ProjectRequest, editor_required
from catalyst.htmx import redirect_back, render
from catalyst.server.downloads import download
from signals import operations, retention
from signals.filters import LabelFilterForm
from signals.judging import exchanges
from signals.judging.answers import MAX_ANSWER
from signals.models import Label
from signals.results import labels, verdicts
from signals.results.rows import load_rows

CONTENT_TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl"}


@require_safe
def label_export(request: ProjectRequest, pk: int) -> HttpResponseBase:
    """Export labels that match the page's filter as CSV or, with `as=jsonl`, JSON Lines."""
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    params = request.GET.dict()
    kind = "jsonl" if params.get("as") == "jsonl" else "csv"
    headers = {"Content-Disposition": f'attachment; filename="{slugify(signal.name) or "labels"}.{kind}"'}
    if request.method == "HEAD":
        return HttpResponse(content_type=CONTENT_TYPES[kind], headers=headers)
    time_range, label_filter = timerange.parse(params, timezone.now()), LabelFilterForm(request.GET).label_filter
    lines = labels.exported(request.project, signal, label_filter, time_range, kind, request.actor)
    return download(request.user.pk, lines, CONTENT_TYPES[kind], headers)


@require_safe
def label_detail(request: ProjectRequest, pk: int, label: int) -> HttpResponse:
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    label_row = get_object_or_404(signal.label_set.for_list(), pk=label)
    rows = verdicts.rows(label_row)
    row = load_rows(request.project, signal.scope, [label_row])[0]
    context = {
        "signal": signal,
        "tab": "results",
        "time_range": timerange.parse(request.GET.dict(), timezone.now()),
        "row": row,
        "href": labels.href_in_list(row, request.GET.dict()),
        "label": label_row,
        "verdicts": rows[: verdicts.MAX_VERDICTS],
        "are_more": len(rows) > verdicts.MAX_VERDICTS,
        "exchange_days": retention.exchange_days(request.project),
    }
    return render(request, "signals/label.html", context)


@require_POST
@editor_required
def label_again(request: ProjectRequest, pk: int, label: int) -> HttpResponse:
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    label_row = get_object_or_404(signal.label_set, pk=label)
    try:
        queued = operations.retry_labels(signal, Label.objects.filter(pk=label_row.pk), timezone.now(), request.actor)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        if queued:
            messages.success(request, "The label will be judged again")
        else:
            messages.info(request, "This label hasn't failed, so there is nothing to retry")
    return redirect_back(request, reverse("signals:label-detail", args=[request.project.slug, pk, label]))


@require_safe
@editor_required
def exchange_detail(request: ProjectRequest, pk: int, label: int, verdict: int) -> HttpResponse:
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    label_row = get_object_or_404(Label.objects.select_related("version"), signal=signal, pk=label)
    exchange = exchanges.find_exchange(label_row, verdict)
    if exchange is None:
        raise Http404("No such exchange")
    prompt_and_reply = exchanges.prompt_and_reply(exchange)
    context = {
        "signal": signal,
        "tab": "results",
        "time_range": timerange.parse(request.GET.dict(), timezone.now()),
        "label": label_row,
        "exchange": exchange,
        "prompt_and_reply": prompt_and_reply,
        "is_cut": len(prompt_and_reply.answer) == MAX_ANSWER,
    }
    return render(request, "signals/exchange.html", context, partial="exchange")
