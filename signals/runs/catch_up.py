"""Catching up: labels held back by a daily limit are judged today, beyond the limit.

The limit itself stays. Only today's budget allows more calls.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.db import transaction

from catalyst.core.actor import SYSTEM, Actor
from catalyst.core.audit import record
from catalyst.core.models import Project
from catalyst.formats import roughly
from catalyst.llms.amounts import Account, Calls, Cap, Remaining, budget_day
from catalyst.llms.models import Budget
from signals.judging import budget_checks
from signals.judging.budget_checks import CapReached
from signals.models import Label, LabelHour, Signal, SignalVersion
from signals.runs import estimates
from signals.runs.estimates import MAX_EXAMPLES, Estimate
from signals.targets import target


@dataclass(frozen=True, slots=True)
class HeldLabels:
    """Labels of a version that a cap holds back and that no other cap would."""

    version: SignalVersion
    cap_reached: CapReached
    labels: int

    @property
    def max_cost(self) -> Decimal | None:
        """The maximum cost in US dollars; None without a known price."""
        return None if self.cap_reached.needed is None else self.labels * self.cap_reached.needed


@dataclass(frozen=True, slots=True)
class CatchUpEstimate:
    """The labels that a cap holds back, with their maximum and expected cost."""

    cap: Cap
    held: tuple[HeldLabels, ...]
    estimates: tuple[Estimate, ...]

    @property
    def labels(self) -> int:
        return sum(group.labels for group in self.held)

    @property
    def max_cost(self) -> Decimal | None:
        """The maximum cost in US dollars; None if a model has no known price."""
        return _sum(group.max_cost for group in self.held)

    @property
    def cost(self) -> Decimal | None:
        """The expected cost in US dollars; None if a model has no known price."""
        return _sum(estimate.cost for estimate in self.estimates)

    @property
    def takes(self) -> str:
        return roughly(sum((estimate.duration for estimate in self.estimates), timedelta()))


def offer(project: Project, signal: Signal | None, now: datetime) -> CatchUpEstimate | None:
    """Return the labels held back by the signal's cap, or by the project's without a signal. None if there are none."""
    budget = Budget.objects.capped().of(_account(project, signal)).first()
    held = tuple(_held(budget, now)) if budget else ()
    if budget is None or not held:
        return None
    return CatchUpEstimate(budget.cap, held, tuple(_estimate(group, now) for group in held))


@transaction.atomic
def catch_up(project: Project, signal: Signal | None, labels: int, now: datetime, by: Actor = SYSTEM) -> int:
    """Allow judging up to `labels` held-back labels today. Return how many.

    Raises ValidationError if there are none.
    """
    budget = Budget.objects.of(_account(project, signal)).lock().first()
    held_count = sum(group.labels for group in _held(budget, now)) if budget else 0
    count = min(labels, held_count)
    if budget is None or count < 1:
        raise ValidationError("No labels are held back by this limit.")
    spent = budget.spent_on(now)
    budget.calls, budget.spent = spent.made, spent.dollars
    budget.day = max(budget.day, budget_day(now))
    budget.allowed_calls = budget.calls + count
    budget.save(update_fields=["day", "calls", "spent", "allowed_calls"])
    record(by, "caught up with", signal or project, detail=f"{count:,} labels beyond the cap of {budget.cap.text}")
    return count


def _account(project: Project, signal: Signal | None) -> Account:
    return Account(project.pk, signal.pk if signal else None)


def _held(budget: Budget, now: datetime) -> Iterator[HeldLabels]:
    of_signals = Budget.objects.capped().filter(project=budget.project_id, subject_id__isnull=False)
    room_by_signal = {}
    if budget.subject_id is None:
        # What the caps of the signals hold back stays held back.
        room_by_signal = {signal_budget.subject_id: signal_budget.remaining(now) for signal_budget in of_signals}
    hours = LabelHour.objects.filter(signal__project=budget.project_id)
    waiting = (hours.filter(signal=budget.subject_id) if budget.subject_id else hours).waiting_by_version()
    for version in SignalVersion.objects.filter(pk__in=waiting).select_related("signal").order_by("pk"):
        cap = budget_checks.cap_reached(budget, version, now)
        if cap is None or cap.is_unpriced:
            continue
        labels = _take_room(room_by_signal, version.signal_id, waiting[version.pk], cap.needed)
        if labels:
            yield HeldLabels(version, cap, labels)


def _take_room(
    room_by_signal: dict[int | None, Remaining], signal_id: int, labels: int, dollars_per_call: Decimal | None
) -> int:
    remaining = room_by_signal.get(signal_id)
    if not remaining:
        return labels
    room = remaining.max_calls(dollars_per_call)
    labels = labels if room is None else min(labels, room)
    room_by_signal[signal_id] = remaining - Calls(labels, labels * (dollars_per_call or Decimal(0)))
    return labels


def _estimate(held: HeldLabels, now: datetime) -> Estimate:
    waiting = held.version.signal.label_set.filter(version=held.version, status=Label.Status.QUEUED)
    examples = [target.of_label(label) for label in waiting.newest()[:MAX_EXAMPLES]]
    return estimates.estimate_calls(held.version, held.labels, examples, now)


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    total = Decimal(0)
    for amount in amounts:
        if amount is None:
            return None
        total += amount
    return total
