"""Signals with a budget or call limit of their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from catalyst.core.models import Project
from catalyst.llms.amounts import SpentToday
from catalyst.llms.models import Budget
from signals.models import Signal

# Signals that are shown, the first ones by name.
MAX_BUDGETS = 100


@dataclass(frozen=True, slots=True)
class SignalBudget:
    signal: Signal
    today: SpentToday


def own_budgets(project: Project, now: datetime, limit: int = MAX_BUDGETS) -> Sequence[SignalBudget]:
    """Return up to `limit` signals of a project with their limits, by name."""
    capped = Budget.objects.capped().filter(project=project, subject_id__isnull=False)
    signals = list(project.signals.filter(pk__in=capped.values("subject_id")).for_list()[:limit])
    by_signal = {budget.subject_id: budget for budget in capped.filter(subject_id__in=[each.pk for each in signals])}
    return [SignalBudget(signal, by_signal[signal.pk].today(now)) for signal in signals if signal.pk in by_signal]
