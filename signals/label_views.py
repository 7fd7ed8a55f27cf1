"""The labels of a signal, as a file."""

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.text import slugify
from django.views.decorators.http import require_safe

from catalyst import timerange
from catalyst.core.access import ProjectRequest
from signals import forms, label_lists

KINDS = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl"}


@require_safe
def label_export(request: ProjectRequest, pk: int) -> HttpResponseBase:
    """The labels that pass the filter of the page, as CSV or, with `as=jsonl`, JSON Lines."""
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    params = request.GET.dict()
    kind = "jsonl" if params.get("as") == "jsonl" else "csv"
    headers = {"Content-Disposition": f'attachment; filename="{slugify(signal.name) or "labels"}.{kind}"'}
    if request.method == "HEAD":
        return HttpResponse(content_type=KINDS[kind], headers=headers)
    time_range, wanted = timerange.parse(params, timezone.now()), forms.label_filter(params)
    lines = label_lists.exported(request.project, signal, wanted, time_range, kind)
    return StreamingHttpResponse(lines, content_type=KINDS[kind], headers=headers)
