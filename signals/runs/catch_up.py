"""Labels that a cap keeps waiting until the next day: what judging them takes, and letting just as many through.

On this one day the budget then bears so many calls more than its cap. The cap stays as it is.
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
from signals.judging import spending
from signals.judging.spending import CapReached
from signals.models import Label, LabelHour, Signal, SignalVersion
from signals.runs import estimates
from signals.runs.estimates import READ, Estimate
from signals.targets import target


@dataclass(frozen=True, slots=True)
class Held:
    """Labels of a version that wait behind a cap, as many of them as could be judged if it were not there."""

    version: SignalVersion
    stop: CapReached
    labels: int

    @property
    def most(self) -> Decimal | None:
        """What judging them may cost in US dollars; None for a model without a price."""
        return None if self.stop.needed is None else self.labels * self.stop.needed


@dataclass(frozen=True, slots=True)
class Offer:
    """What judging all that waits behind a cap takes: US dollars at most, and each version's as expected."""

    cap: Cap
    held: tuple[Held, ...]
    estimates: tuple[Estimate, ...]

    @property
    def labels(self) -> int:
        """All of them."""
        return sum(each.labels for each in self.held)

    @property
    def most(self) -> Decimal | None:
        """US dollars, were every call as dear as may be; None where a model has no public price."""
        return _sum(each.most for each in self.held)

    @property
    def cost(self) -> Decimal | None:
        """US dollars, as expected; None where a model has no public price."""
        return _sum(each.cost for each in self.estimates)

    @property
    def takes(self) -> str:
        """How long it takes when nothing else is judged, in words."""
        return roughly(sum((each.takes for each in self.estimates), timedelta()))


def offer(project: Project, signal: Signal | None, now: datetime) -> Offer | None:
    """What waits behind the cap of a signal; without one, of the project. None where nothing does."""
    budget = Budget.objects.capped().of(_account(project, signal)).first()
    held = tuple(_held(budget, now)) if budget else ()
    if budget is None or not held:
        return None
    return Offer(budget.cap, held, tuple(_estimate(each, now) for each in held))


@transaction.atomic
def catch_up(project: Project, signal: Signal | None, labels: int, now: datetime, by: Actor = SYSTEM) -> int:
    """Have up to so many of the labels judged today that wait behind this cap; returns how many.

    Raises ValidationError when nothing waits.
    """
    budget = Budget.objects.of(_account(project, signal)).lock().first()
    count = min(labels, sum(each.labels for each in _held(budget, now))) if budget else 0
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


def _held(budget: Budget, now: datetime) -> Iterator[Held]:
    """What waits behind a budget; behind that of a project only what the caps of its signals leave room for."""
    of_signals = Budget.objects.capped().filter(project=budget.project_id, subject_id__isnull=False)
    own = {each.subject_id: each.remaining(now) for each in of_signals} if budget.subject_id is None else {}
    hours = LabelHour.objects.filter(signal__project=budget.project_id)
    waiting = (hours.filter(signal=budget.subject_id) if budget.subject_id else hours).waiting_by_version()
    for version in SignalVersion.objects.filter(pk__in=waiting).select_related("signal").order_by("pk"):
        stop = spending.cap_reached(budget, version, now)
        if stop is None or stop.is_unpriced:
            continue
        labels = _take_room(own, version.signal_id, waiting[version.pk], stop.needed)
        if labels:
            yield Held(version, stop, labels)


def _take_room(own: dict[int | None, Remaining], signal_id: int, labels: int, dollars_per_call: Decimal | None) -> int:
    """Of so many labels of a signal, how many its own cap leaves room for; takes that room."""
    left = own.get(signal_id)
    if not left:
        return labels
    room = left.max_calls(dollars_per_call)
    labels = labels if room is None else min(labels, room)
    own[signal_id] = left - Calls(labels, labels * (dollars_per_call or Decimal(0)))
    return labels


def _estimate(held: Held, now: datetime) -> Estimate:
    """By its newest targets: what waits longest is judged first."""
    waiting = held.version.signal.label_set.filter(version=held.version, status=Label.Status.QUEUED)
    examples = [target.of_label(label) for label in waiting.newest()[:READ]]
    return estimates.of_calls(held.version, held.labels, examples, now)


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    known = list(amounts)
    return None if None in known else sum((each for each in known if each is not None), Decimal(0))
