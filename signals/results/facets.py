"""Labels as filters of trace and session lists.

In a URL, `12:yes` is the value yes of signal 12. `12` is any value. `12!waiting` and `12!failed` are targets without
one. Only effective labels count. A trace matches by its own labels and those of its spans and session. A session
matches by its own labels and those of its traces.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Q, Subquery

from catalyst.core.models import Project
from catalyst.timerange import TimeRange
from signals.definitions.choices import Scope
from signals.models import Label, Signal, SignalVersion
from signals.models.label import LabelQuerySet
from signals.results import summaries
from signals.results.rollups import sums
from signals.targets.scopes import targets_of
from traces.label_sources import Dimension, Facet, FacetValue, LabelCondition

MAX_SIGNALS = 8  # signals that a list offers: those with the most labels
_KEY = re.compile(r"(?P<signal>[0-9]{1,18})(?::(?P<value>.+)|!(?P<state>waiting|failed))?", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Part:
    text: str
    short: str
    labels: Q


ANY = Part("has any label", "any", ~Q(value=""))
STATES = {
    "waiting": Part("waits for a label", "no label yet", Q(status__in=["queued", "running"], value="")),
    "failed": Part("failed to be judged", "judging failed", Q(status="failed", value="")),
}


def key_of(signal_id: int, value: str, state: str = "") -> str:
    return f"{signal_id}:{value}" if value else f"{signal_id}!{state}"


def conditions(project: Project, keys: Sequence[str]) -> Mapping[str, LabelCondition]:
    """The conditions of these keys. Invalid keys and keys of archived signals are ignored."""
    parts = {key: parsed for key in keys if (parsed := _parse(key))}
    shown = Signal.objects.for_project(project).unarchived().select_related("project")
    signals = shown.in_bulk([pk for pk, _ in parts.values()])
    return {key: _narrowing(key, part, signals[pk]) for key, (pk, part) in parts.items() if pk in signals}


def load(project: Project, time_range: TimeRange, agent: int | None) -> list[Facet]:
    """Label counts in the range, for the MAX_SIGNALS signals with most labels."""
    signals = Signal.objects.for_project(project).unarchived().select_related("project", "agent")
    known = {signal.pk: signal for signal in (signals if agent is None else signals.filter(agent=agent))}
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    for cell in sums(signal__in=known).totals(time_range):
        if cell.count and (cell.value or cell.state in STATES):
            counts[cell.signal][key_of(cell.signal, cell.value, cell.state)] += cell.count
    busiest = sorted(counts, key=lambda pk: (-counts[pk].total(), known[pk].name))
    names = Counter(known[pk].name for pk in busiest)
    return [_facet(known[pk], counts[pk], is_alone=names[known[pk].name] == 1) for pk in busiest[:MAX_SIGNALS]]


def dimensions(project: Project, agent: int) -> list[Dimension]:
    # A run has many spans, so signals about spans are excluded.
    signals = Signal.objects.for_project(project).unarchived().exclude(scope=Scope.SPAN)
    listed = signals.filter(agent=agent).for_list()
    return [_dimension(signal, signal.current_version) for signal in listed if signal.current_version]


def _dimension(signal: Signal, version: SignalVersion) -> Dimension:
    labels = targets_of(signal.scope).of_outer_trace(_labels(signal, ANY))
    outcomes = summaries.outcomes(signal, version.sentiments, {})
    return Dimension(
        str(signal.pk),
        signal.name,
        signal.scope,
        signal.get_absolute_url(),
        {outcome.value: outcome.tone for outcome in outcomes},
        value=Subquery(labels.values("value")[:1]),
    )


def _parse(key: str) -> tuple[int, Part] | None:
    matched = _KEY.fullmatch(key)
    if matched is None:
        return None
    value, state = matched["value"], matched["state"]
    part = STATES[state] if state else Part(f"is {value}", value, Q(value=value)) if value else ANY
    return int(matched["signal"]), part


def _narrowing(key: str, part: Part, signal: Signal) -> LabelCondition:
    traces, sessions = targets_of(signal.scope).conditions(signal.project_id, _labels(signal, part))
    return LabelCondition(key, signal.name, part.text, traces=traces, sessions=sessions, href=signal.get_absolute_url())


def _labels(signal: Signal, part: Part) -> LabelQuerySet:
    return Label.objects.filter(signal=signal).effective().filter(part.labels)


def _facet(signal: Signal, counts: Counter[str], *, is_alone: bool) -> Facet:
    # Of equal counts the database gives now one first, now another.
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    given = [FacetValue(key, parsed[1].short, count) for key, count in ordered if (parsed := _parse(key))]
    # Add the agent if several signals have this name.
    name = signal.name if is_alone else f"{signal.name} of {signal.agent}"
    return Facet(name, signal.scope, signal.get_absolute_url(), given)
