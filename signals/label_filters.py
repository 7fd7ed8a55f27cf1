"""Which traces and sessions have a label, as conditions of lists, and which labels there are to choose from.

In a URL a label is `12:yes`, the value yes of signal 12; `12` is any value, `12!waiting` and `12!failed` are targets
without one. Of several versions the newest that has a label counts. A trace passes by a label of its own, of any of its
spans or of its session; a session by one of its own or of any of its traces.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q, QuerySet

from catalyst.core.models import Project
from catalyst.timerange import TimeRange
from signals.models import Label, LabelHour, Scope, Signal
from signals.rollups import cells
from traces.labels import Choice, Choices, Narrowing
from traces.models import Session, Trace

MOST_SIGNALS = 8
"""Whose labels a list offers: those that gave most."""
STATES = {
    "waiting": ("waits for a label", Q(status__in=["queued", "running"])),
    "failed": ("has no label: it failed", Q(status="failed")),
}
_KEY = re.compile(r"(?P<signal>[0-9]{1,18})(?::(?P<value>.+)|!(?P<state>waiting|failed))?", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a key: the signal it names, in words, and which of its labels pass."""

    signal: int
    words: str
    labels: Q


def key_of(signal_id: int, value: str) -> str:
    """A label as the URL of a list names it."""
    return f"{signal_id}:{value}"


def narrowings(project: Project, keys: Sequence[str]) -> Mapping[str, Narrowing]:
    """What these keys mean; those that name no signal of the project, or one that is archived, are left out."""
    parts = {key: part for key in keys if (part := _part(key))}
    shown = Signal.objects.for_project(project).unarchived().select_related("project")
    signals = shown.in_bulk([part.signal for part in parts.values()])
    return {key: _narrowing(key, part, signals[part.signal]) for key, part in parts.items() if part.signal in signals}


def choices(project: Project, time_range: TimeRange, agent: int | None) -> list[Choices]:
    """The labels of the range by signal, those of the signals that gave most."""
    signals = Signal.objects.for_project(project).unarchived().select_related("project")
    known = {signal.pk: signal for signal in (signals if agent is None else signals.filter(agent=agent))}
    hours, labels = LabelHour.objects.filter(signal__in=known), Label.objects.filter(signal__in=known)
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    for cell in cells(hours, labels, time_range):
        if cell.value:
            counts[cell.of][cell.value] += cell.count
    busiest = sorted(counts, key=lambda pk: (-counts[pk].total(), known[pk].name))
    return [_choices(known[pk], counts[pk]) for pk in busiest[:MOST_SIGNALS]]


def _part(key: str) -> Part | None:
    matched = _KEY.fullmatch(key)
    if matched is None:
        return None
    signal, value, state = int(matched["signal"]), matched["value"], matched["state"]
    if state:
        words, labels = STATES[state]
        return Part(signal, words, labels)
    return Part(signal, f"is {value}", Q(value=value)) if value else Part(signal, "has any label", ~Q(value=""))


def _narrowing(key: str, part: Part, signal: Signal) -> Narrowing:
    if signal.scope == Scope.SESSION:
        sessions = Q(Exists(_labels(signal, part, session_key="key").exclude(session_key="")))
        traces = Q(session__in=Session.objects.filter(sessions, project=signal.project_id))
    else:
        traces = Q(Exists(_labels(signal, part, trace_id="trace_id")))
        sessions = Q(Exists(Trace.objects.filter(traces, session=OuterRef("pk"))))
    return Narrowing(key, signal.name, part.words, traces=traces, sessions=sessions, href=signal.get_absolute_url())


def _labels(signal: Signal, part: Part, **target: str) -> QuerySet[Label]:
    """Those of the outer row's target, but for labels that a newer version has given anew."""
    of_signal = Label.objects.filter(signal=signal)
    same = {name: OuterRef(name) for name in ("project_id", *target, "target_key")}
    newer = of_signal.filter(**same, version__gt=OuterRef("version")).exclude(value="")
    of_target = {name: OuterRef(outer) for name, outer in target.items()}
    return of_signal.filter(part.labels, ~Exists(newer), project_id=OuterRef("project_id"), **of_target)


def _choices(signal: Signal, counts: Counter[str]) -> Choices:
    given = [Choice(key_of(signal.pk, value), value, count) for value, count in counts.most_common()]
    return Choices(signal.name, signal.scope, signal.get_absolute_url(), given)
