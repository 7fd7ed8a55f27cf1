"""The demo's signals."""

from django.db import connection, transaction
from django.db.models import F

from catalyst.timerange import MINUTE
from signals.models import Label, Signal, SignalVersion, Verdict

LABELS_AT_ONCE = 500
# From the start of a target to the time at which it settles, and how late a label of the first week is at least.
SETTLES_AFTER_MINUTES = 5
LATE_MINUTES = 60
_MOVE = """
    WITH late AS (
        SELECT id, version_id, value, settled_at AS was, target_time + make_interval(mins => %s) AS moment
        FROM signals_label
        WHERE project_id = %s AND status = 'done' AND settled_live
            AND settled_at > target_time + make_interval(mins => %s)
        FOR UPDATE
    ), moved AS (
        UPDATE signals_label l SET settled_at = late.moment, labelled_at = late.moment FROM late WHERE l.id = late.id
        RETURNING late.version_id, late.value, late.was, late.moment
    )
    INSERT INTO signals_settledminute (version_id, minute, is_live, outcome, value, count, folded)
    SELECT m.version_id, date_bin('1 minute', c.moment, '2000-01-01 00:00+00'), true, 'done', m.value, sum(c.n), false
    FROM moved m CROSS JOIN LATERAL (VALUES (m.was, -1), (m.moment, 1)) AS c (moment, n)
    GROUP BY 1, 2, 5
"""


def has_judged_the_week(project_id: int) -> bool:
    """True if there are labels, and none of the first week waits any more."""
    labels = Label.objects.filter(project=project_id)
    late = labels.filter(settled_at__gt=F("target_time") + LATE_MINUTES * MINUTE)
    return labels.exists() and not late.filter(status__in=["queued", "running"]).exists()


@transaction.atomic
def live_through(project_id: int) -> None:
    """Let labels of the first week settle and be judged when their targets did, as if signals had been there.

    The week is stored within a minute, and alerts count by when targets settled.
    """
    for signal in Signal.objects.filter(project=project_id):
        SignalVersion.objects.filter(signal=signal, number=1).update(created_at=signal.activated_at)
    with connection.cursor() as cursor:
        cursor.execute(_MOVE, [SETTLES_AFTER_MINUTES, project_id, LATE_MINUTES])


def erase(project_id: int) -> None:
    """Delete all signals of a project. Labels go first, in batches."""
    labels = Label.objects.filter(project=project_id).order_by("pk").values_list("pk", flat=True)
    while batch := list(labels[:LABELS_AT_ONCE]):
        with transaction.atomic():
            Verdict.objects.filter(label_id__in=batch).delete()
            Label.objects.filter(pk__in=batch).delete()
    Signal.objects.filter(project=project_id).delete()
