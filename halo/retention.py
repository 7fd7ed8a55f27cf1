"""Deletion of expired reports, of the traces that findings list, and of folders that dead workers left."""

import shutil
from datetime import datetime

from django.conf import settings
from django.db.models import Exists, OuterRef

from catalyst import timerange
from catalyst.core.models import Project
from halo.choices import OPEN_STATUSES, Origin
from halo.models import Conversation, FindingTrace, Run
from halo.runs import folders

MAX_BATCHES = 20
RUNS = 50
TRACES = 10_000


def delete_expired_reports(now: datetime, batches: int = MAX_BATCHES) -> int:
    """Delete reports older than `KEEP_LABELS_DAYS`, in up to `batches` batches. Return how many."""
    kept_since, deleted = timerange.kept_since(now, settings.KEEP_LABELS_DAYS), 0
    for _ in range(batches):
        expired = Run.objects.filter(created_at__lt=kept_since).exclude(status__in=OPEN_STATUSES)
        ids = list(expired.order_by("created_at").values_list("pk", flat=True)[:RUNS])
        if not ids:
            break
        # Questions go with their report.
        of_them = Run.objects.filter(conversation__runs__in=ids, origin=Origin.FOLLOW_UP)
        ids += of_them.values_list("pk", flat=True)
        deleted += Run.objects.filter(pk__in=ids).delete()[1].get("halo.Run", 0)
    runs = Run.objects.filter(conversation=OuterRef("pk"))
    Conversation.objects.filter(~Exists(runs), created_at__lt=kept_since).delete()
    return deleted


def delete_expired_lists(now: datetime, batches: int = MAX_BATCHES) -> int:
    """Delete the rows that list the traces of findings once these have expired. The findings keep their numbers."""
    deleted = 0
    for project in Project.objects.order_by("pk"):
        kept_since = timerange.kept_since(now, project.kept_days)
        for run in Run.objects.filter(project=project, lists_traces=True, window_end__lt=kept_since)[:batches]:
            count = _delete_batch(run)
            deleted += count
            if count < TRACES:
                Run.objects.filter(pk=run.pk).update(lists_traces=False)
    return deleted


def _delete_batch(run: Run) -> int:
    rows = FindingTrace.objects.filter(finding__run=run).values_list("pk", flat=True)[:TRACES]
    return FindingTrace.objects.filter(pk__in=list(rows)).delete()[0]


def delete_leftovers(_now: datetime) -> None:
    """Delete folders of runs that have ended: their workers died."""
    found = list(folders.parent().glob("*"))
    open_runs = {str(pk) for pk in Run.objects.open().values_list("pk", flat=True)} if found else set()
    for path in found:
        if path.name not in open_runs:
            shutil.rmtree(path, ignore_errors=True)
