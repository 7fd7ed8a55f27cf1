"""Which labels a worker takes for judging: what is due, live traffic first, within the budgets."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import connection, transaction
from django.db.models import F, Q

from signals import spending
from signals.models import Label, SignalRun
from signals.querysets import MAX_ATTEMPTS, WORKER_DIED, LabelQuerySet
from signals.spending import Work

DEADLY = 2

_LEASE = """
    UPDATE signals_label l SET status = 'running', attempts = attempts + 1, lease_until = %s, reserved = c.reserved
    FROM unnest(%s::bigint[], %s::numeric[]) AS c (id, reserved)
    WHERE l.id = c.id
"""


def has_work(now: datetime) -> bool:
    """Whether any label is due, within the budgets or not."""
    claimable = Label.objects.claimable(now)
    return any(claimable.filter(run__isnull=is_live).exists() for is_live in (True, False))  # an index each


@transaction.atomic
def claim(limit: int, lease: timedelta, now: datetime, *, without_models: Sequence[str] = ()) -> list[int]:
    """Take up to `limit` labels for judging and return their ids; live traffic goes before manual runs.

    The attempt counts from here, so a target that kills its worker fails in the end; one that did so twice is taken
    alone, so that it takes no others with it. Judge models of `without_models` are left alone, and so is what is beyond
    a cap. What waits of a stopped run is left alone too, until it is out of the queue.
    """
    due = _within_reach(Label.objects.claimable(now), now, without_models)
    stopped = Q(status=Label.Status.QUEUED, run__in=SignalRun.objects.stopped())
    rows: list[tuple[str, int, Work]] = []
    for run in (Q(run=None), Q(run__isnull=False) & ~stopped):
        some = due.filter(run).order_by("not_before", "id").select_for_update(skip_locked=True, of=("self",))
        about = some.values_list("status", "attempts", "id", "project_id", "signal_id", "version__judge_model")
        found = about[: limit - len(rows)]
        rows += [
            (status, tries, Work(pk, project, signal, model)) for status, tries, pk, project, signal, model in found
        ]
    deadly = [row for row in rows if row[0] == Label.Status.RUNNING and row[1] >= DEADLY]
    rows = deadly[:1] or rows
    worn_out = [work.label for _, tries, work in rows if tries >= MAX_ATTEMPTS]
    _give_up(worn_out)
    reserved = spending.reserve([work for _, tries, work in rows if tries < MAX_ATTEMPTS], now)
    _lease(reserved, now + lease)
    return [*worn_out, *reserved]


def _within_reach(labels: LabelQuerySet, now: datetime, without_models: Sequence[str]) -> LabelQuerySet:
    """Without what can't be judged now, so that it holds up nothing else."""
    if without_models:
        labels = labels.exclude(version__judge_model__in=without_models)
    for model, signals in spending.blocked(now).items():
        labels = labels.exclude(version__judge_model=model, signal__in=signals)
    return labels


def _give_up(labels: Sequence[int]) -> None:
    if labels:
        worn_out = Label.objects.filter(id__in=labels)
        worn_out.update(
            status="failed", lease_until=None, reserved=0, error=WORKER_DIED, judged_revision=F("wanted_revision")
        )


def _lease(reserved: dict[int, Decimal], until: datetime) -> None:
    if reserved:
        with connection.cursor() as cursor:
            cursor.execute(_LEASE, [until, list(reserved), list(reserved.values())])
