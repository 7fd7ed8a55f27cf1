"""Claims: due jobs within the budgets. Tests go first. Projects take turns; of each, live traffic goes before runs."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from catalyst import fairness
from catalyst.llms.models import Budget
from signals.judging import budget_checks
from signals.judging.judges import model_for
from signals.models import Job, Label, SignalRun, SignalTest, SignalTestItem
from signals.models.label import LabelQuerySet
from signals.models.label_queue import JudgeJobQuerySet
from signals.models.label_states import MAX_ATTEMPTS, Status

CRASHES_TO_ISOLATE = 2
NONE_HELD: Mapping[int, int] = {}
CAPPED = "The daily spending cap leaves no room for another call, so the rest was not judged."
UNPRICED = "A daily spending cap can't hold for a model without a public price, so the rest was not judged."


def has_work(now: datetime) -> bool:
    """Return whether a test is running or a label is due. Ignores budgets."""
    return SignalTest.objects.running().exists() or bool(_waiting_projects(now))


def _waiting_projects(now: datetime) -> list[int]:
    claimable = Label.objects.claimable(now)
    # An index each.
    return list(
        fairness.waiting_projects("not_before", claimable.filter(run=None), claimable.filter(run__isnull=False))
    )


@transaction.atomic
def claim(
    limit: int,
    lease: timedelta,
    now: datetime,
    *,
    held: Mapping[int, int] = NONE_HELD,
    without_models: Sequence[str] = (),
) -> list[Label]:
    """Claim labels and return them with their versions.

    `limit`: how many the caller may hold. `held`: how many it holds, by project. Projects take turns and have equal
    shares of the limit; for one that holds less, the sum may exceed the limit.

    Excluded: models in `without_models`, labels over a cap, and queued labels of stopped runs. Labels that used up all
    attempts are returned as failed.
    """
    caps = list(Budget.objects.capped())
    due = _exclude_blocked(Label.objects.claimable(now), budget_checks.capped_signals(caps, now), without_models)
    stopped = Q(status=Label.Status.QUEUED, run__in=SignalRun.objects.stopped())
    free = due.order_by("not_before", "id").select_for_update(skip_locked=True, of=("self",))
    jobs = free.select_related("version", "signal")

    def take(project: int, most: int) -> list[Label]:
        live = list(jobs.filter(project=project, run=None)[:most])
        of_runs = jobs.filter(Q(run__isnull=False) & ~stopped, project=project)
        return live + list(of_runs[: most - len(live)])

    labels = fairness.divide(limit, _waiting_projects(now), take, held)
    claimed, _ = _lease(Label.objects.all(), labels, caps, now, lease)
    return claimed


def claim_test_items(
    limit: int, lease: timedelta, now: datetime, *, without_models: Sequence[str] = ()
) -> list[SignalTestItem]:
    """Claim up to `limit` targets of tests. Tests take turns.

    Stops tests whose next call exceeds a cap, and ends tests without open items.
    """
    running = SignalTest.objects.running()
    if not running.exists():
        return []
    running.end(now)
    claimed, refused = _claim_test_items(limit, lease, now, without_models)
    for test in refused:
        is_priced = budget_checks.max_call_cost(model_for(test), now) is not None
        running.filter(pk=test.pk).stop(now, CAPPED if is_priced else UNPRICED)
    return claimed


@transaction.atomic
def _claim_test_items(
    limit: int, lease: timedelta, now: datetime, without_models: Sequence[str]
) -> tuple[list[SignalTestItem], set[SignalTest]]:
    due = SignalTestItem.objects.claimable(now).filter(test__state=SignalTest.State.RUNNING)
    if without_models:
        due = due.exclude(test__judge_model__in=without_models)
    due = due.order_by("position", "id").select_for_update(skip_locked=True, of=("self",))
    items = list(due.select_related("test")[:limit])
    claimed, refused = _lease(SignalTestItem.objects.all(), items, list(Budget.objects.capped()), now, lease)
    return claimed, {item.test for item in refused}


def _lease[Item: Job](
    queue: JudgeJobQuerySet[Item], jobs: list[Item], caps: Sequence[Budget], now: datetime, lease: timedelta
) -> tuple[list[Item], list[Item]]:
    """Start a try of these locked jobs. Return the claimed ones and those over a cap.

    The claimed ones include jobs that just failed because their workers died.
    """
    jobs = _isolate_crashed(jobs)
    exhausted: list[Item] = [job for job in jobs if job.attempts >= MAX_ATTEMPTS]
    queue.give_up(exhausted)
    remaining = [job for job in jobs if job not in exhausted]
    reserved = budget_checks.reserve(remaining, caps, now)
    leased: list[Item] = [job for job in remaining if job.pk in reserved]
    queue.lease(leased, reserved, now + lease)
    return [*exhausted, *leased], [job for job in remaining if job.pk not in reserved]


def _isolate_crashed[Item: Job](jobs: list[Item]) -> list[Item]:
    # A job that kills its worker must take no others with it.
    crashed = [job for job in jobs if job.status == Status.RUNNING and job.attempts >= CRASHES_TO_ISOLATE]
    return crashed[:1] or jobs


def _exclude_blocked(
    labels: LabelQuerySet, blocked: Mapping[str, Sequence[int]], without_models: Sequence[str]
) -> LabelQuerySet:
    if without_models:
        labels = labels.exclude(version__judge_model__in=without_models)
    for model, signals in blocked.items():
        labels = labels.exclude(version__judge_model=model, signal__in=signals)
    return labels
