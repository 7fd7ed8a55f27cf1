"""Claims: due jobs within the budgets. Tests go first. Projects take turns; of each, live traffic goes before runs."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from catalyst import fairness
from catalyst.llms.endpoints import ModelKey
from catalyst.llms.models import Budget, ModelConnection
from signals.judging import budget_checks
from signals.judging.judges import model_for
from signals.models import Job, Label, SignalRun, SignalTest, SignalTestItem
from signals.models.label import LabelQuerySet
from signals.models.label_queue import JudgeJobQuerySet
from signals.models.label_states import MAX_ATTEMPTS, Status

CRASHES_TO_ISOLATE = 2
NONE_HELD: Mapping[int, int] = {}
CAPPED = "The budget or call limit leaves no room for another call, so the rest was not judged."
UNPRICED = "A budget can't hold for a model without a known price, so the rest was not judged."


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
    without_models: Sequence[ModelKey] = (),
    room: "Room | None" = None,
) -> list[Label]:
    """Claim labels and return them with their versions.

    `limit`: how many the caller may hold. `held`: how many it holds, by project. Projects take turns and have equal
    shares of the limit; for one that holds less, the sum may exceed the limit.

    `room`: how many calls of each connection the caller may hold.

    Excluded: models in `without_models`, connections whose key was revoked, labels over a cap, and queued labels of
    stopped runs. Labels that used up all attempts are returned as failed.
    """
    caps = list(Budget.objects.capped())
    room = room or Room()
    due = _exclude_blocked(Label.objects.claimable(now), budget_checks.capped_signals(caps, now), without_models)
    if silent := [*_revoked(), *room.full]:
        due = due.exclude(version__connection__in=silent)
    stopped = Q(status=Label.Status.QUEUED, run__in=SignalRun.objects.stopped())
    free = due.order_by("not_before", "id").select_for_update(skip_locked=True, of=("self",))
    jobs = free.select_related("version__connection", "signal")

    def take(project: int, most: int) -> list[Label]:
        live = list(jobs.filter(project=project, run=None)[:most])
        of_runs = jobs.filter(Q(run__isnull=False) & ~stopped, project=project)
        return room.admit(live + list(of_runs[: most - len(live)]))

    labels = fairness.divide(limit, _waiting_projects(now), take, held)
    claimed, _ = _lease(Label.objects.all(), labels, caps, now, lease)
    return claimed


def claim_test_items(
    limit: int, lease: timedelta, now: datetime, *, without_models: Sequence[ModelKey] = ()
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
    limit: int, lease: timedelta, now: datetime, without_models: Sequence[ModelKey]
) -> tuple[list[SignalTestItem], set[SignalTest]]:
    due = SignalTestItem.objects.claimable(now).filter(test__state=SignalTest.State.RUNNING)
    if without_models:
        due = due.exclude(_asks(without_models, "test"))
    due = due.order_by("position", "id").select_for_update(skip_locked=True, of=("self",))
    items = list(due.select_related("test__connection")[:limit])
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
    labels: LabelQuerySet, blocked: Mapping[ModelKey, Sequence[int]], without_models: Sequence[ModelKey]
) -> LabelQuerySet:
    if without_models:
        labels = labels.exclude(_asks(without_models, "version"))
    for key, signals in blocked.items():
        labels = labels.exclude(_asks([key], "version"), signal__in=signals)
    return labels


def _asks(models: Sequence[ModelKey], path: str) -> Q:
    names: dict[int | None, list[str]] = defaultdict(list)
    for connection, name in models:
        names[connection].append(name)
    asks = Q()
    for connection, known in names.items():
        asks |= Q(**{f"{path}__connection": connection, f"{path}__judge_model__in": known})
    return asks


def _revoked() -> list[int]:
    return list(ModelConnection.objects.undeleted().exclude(revoked_at=None).values_list("pk", flat=True))


class Room:
    """How many more calls of each connection a worker may hold, so that a slow one holds back no other.

    `held`: the calls that it holds, by connection. `ahead`: claims for each call at once.
    """

    def __init__(self, held: Mapping[ModelConnection, int] | None = None, ahead: int = 1) -> None:
        self._held = Counter(held or {})
        self._ahead = ahead

    @property
    def full(self) -> list[int]:
        return [connection.pk for connection in self._held if self._free(connection) <= 0]

    def admit(self, labels: Sequence[Label]) -> list[Label]:
        """Return those for which there is room, and count them."""
        return [label for label in labels if self._take(label.version.connection)]

    def _take(self, connection: ModelConnection | None) -> bool:
        if connection is None:
            return True
        has_room = self._free(connection) > 0
        self._held[connection] += has_room
        return has_room

    def _free(self, connection: ModelConnection) -> int:
        return connection.concurrency * self._ahead - self._held[connection]
