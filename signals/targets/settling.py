"""Enqueue labels for due targets, in one transaction.

Ingest enqueues every trace and session that receives spans, with the time at which it settles. Settling deletes due
rows, enqueues labels for sampled targets, records the others and counts traces. A crash rolls back everything.
Concurrent settlers never read the same target. Projects take turns. A target that settles again only raises its wanted
revision, and is not counted again.

Signals may wait longer or shorter than the instance for a session to be quiet. Ingest goes by the shortest time.
Settling asks the signals whose time has come, and keeps the row for the next ones.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from catalyst import fairness
from signals.models import Signal, SignalVersion
from signals.models.label_queue import LabelRequest
from signals.targets import requeue
from signals.targets.base import SettledTarget
from signals.targets.pause import Pause
from signals.targets.sampler import sample_and_enqueue
from signals.targets.scopes import targets_of
from traces.filters import Filter
from traces.ingest import settled_minutes
from traces.models import Unsettled

LIMIT = 500


@dataclass(frozen=True, slots=True)
class ActiveVersion:
    version: SignalVersion
    agent_id: int
    scope: str
    activated_at: datetime
    traffic_filter: Filter
    quiet: timedelta


@dataclass(frozen=True, slots=True)
class Settled:
    targets: int
    labels: int


def has_work(now: datetime) -> bool:
    return bool(_waiting_projects(now))


def _waiting_projects(now: datetime) -> list[int]:
    return list(fairness.waiting_projects("due_at", Unsettled.objects.filter(due_at__lte=now)))


@transaction.atomic
def settle(now: datetime, limit: int = LIMIT) -> Settled:
    """Settle up to `limit` due targets, of each project those that are longest due."""
    requeue.share_signal_lock()  # before any row is locked, so that ingest never waits for a change of a signal
    due = Unsettled.objects.filter(due_at__lte=now).order_by("due_at", "id").select_for_update(skip_locked=True)
    rows = fairness.divide(
        limit, _waiting_projects(now), lambda project, most: list(due.filter(project=project)[:most]), {}
    )
    if not rows:
        return Settled(0, 0)
    active = _active_versions()
    rates = {each.version.pk: each.version.sample_rate for each in active}
    look = _Look(now)
    requests = list(look.requests(rows, active))
    Unsettled.objects.filter(id__in=[row.id for row in rows if row.id not in look.kept]).delete()
    Unsettled.objects.bulk_update(look.kept.values(), ["due_at", "looked_at"])
    queued = sample_and_enqueue(requests, rates, now).queued
    settled_minutes.count([row.target_id for row in rows if row.is_first], now)
    return Settled(len(rows), queued)


def _active_versions() -> list[ActiveVersion]:
    active: list[ActiveVersion] = []
    for signal in Signal.objects.live().select_related("current_version"):
        version, activated_at = signal.current_version, signal.activated_at
        if version and activated_at:
            active.append(
                ActiveVersion(
                    version, signal.agent_id, signal.scope, activated_at, version.traffic_filter, signal.quiet_time
                )
            )
    return active


class _Look:
    """Decides which labels settling requests at `now`. `kept`: rows of sessions that stay in the queue, by id."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.kept: dict[int, Unsettled] = {}

    def requests(self, rows: Sequence[Unsettled], active: Sequence[ActiveVersion]) -> Iterator[LabelRequest]:
        by_scope: dict[str, dict[int, list[ActiveVersion]]] = defaultdict(lambda: defaultdict(list))
        for active_version in active:
            by_scope[active_version.scope][active_version.agent_id].append(active_version)
        for scope, by_agent in by_scope.items():
            filters = [each.traffic_filter for each in active if each.scope == scope]
            for settled in targets_of(scope).settled(rows, filters):
                if settled.agent_id in by_agent:
                    yield from self._requests_for(settled, by_agent[settled.agent_id])

    def _requests_for(self, settled: SettledTarget, active: Iterable[ActiveVersion]) -> Iterator[LabelRequest]:
        asked = [each for each in active if settled.received_at >= each.activated_at]
        if settled.pause is not None:
            asked = self._due(settled.pause, asked)
        for active_version in asked:
            if active_version.traffic_filter.passes(settled.facts):
                yield settled.target.request_for(active_version.version)

    def _due(self, pause: Pause, active: Iterable[ActiveVersion]) -> list[ActiveVersion]:
        left = [each for each in active if not pause.is_over(each.quiet)]
        later = [pause.due_at(each.quiet) for each in left if pause.waits(each.quiet, self.now)]
        due = [each for each in left if not pause.waits(each.quiet, self.now)]
        if later:
            pause.row.due_at, pause.row.looked_at = min(later), self.now
            self.kept[pause.row.id] = pause.row
        return due
