"""Which labels a worker takes for judging: what is due, live traffic first, within the budgets."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from catalyst.llms.models import Budget
from signals.judging import spending
from signals.models import Label, SignalRun
from signals.models.label import LabelQuerySet
from signals.models.label_queue import MAX_ATTEMPTS

DEADLY = 2


def has_work(now: datetime) -> bool:
    """Whether any label is due, within the budgets or not."""
    claimable = Label.objects.claimable(now)
    return any(claimable.filter(run__isnull=is_live).exists() for is_live in (True, False))  # an index each


@transaction.atomic
def claim(limit: int, lease: timedelta, now: datetime, *, without_models: Sequence[str] = ()) -> list[Label]:
    """Take up to `limit` labels for judging and return them with their versions; live traffic goes before manual runs.

    The attempt counts from here, so a target that kills its worker fails in the end, and is returned as failed; one
    that did so twice is taken alone, so that it takes no others with it. Judge models of `without_models` are left
    alone, and so is what is beyond a cap. What waits of a stopped run is left alone too, until it is out of the queue.
    """
    caps = list(Budget.objects.capped())
    due = _within_reach(Label.objects.claimable(now), spending.capped_signals(caps, now), without_models)
    stopped = Q(status=Label.Status.QUEUED, run__in=SignalRun.objects.stopped())
    labels: list[Label] = []
    for run in (Q(run=None), Q(run__isnull=False) & ~stopped):
        some = due.filter(run).order_by("not_before", "id").select_for_update(skip_locked=True, of=("self",))
        labels += some.select_related("version")[: limit - len(labels)]
    deadly = [label for label in labels if label.status == Label.Status.RUNNING and label.attempts >= DEADLY]
    labels = deadly[:1] or labels
    worn_out = [label for label in labels if label.attempts >= MAX_ATTEMPTS]
    Label.objects.give_up(worn_out)
    others = {label.pk: label for label in labels if label.attempts < MAX_ATTEMPTS}
    reserved = spending.reserve(others.values(), caps, now)
    leased = [others[pk] for pk in reserved]
    Label.objects.lease(leased, reserved, now + lease)
    return [*worn_out, *leased]


def _within_reach(
    labels: LabelQuerySet, blocked: Mapping[str, Sequence[int]], without_models: Sequence[str]
) -> LabelQuerySet:
    """Without what can't be judged now, so that it holds up nothing else."""
    if without_models:
        labels = labels.exclude(version__judge_model__in=without_models)
    for model, signals in blocked.items():
        labels = labels.exclude(version__judge_model=model, signal__in=signals)
    return labels
