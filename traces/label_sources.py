"""Where a source of labels registers itself, so that pages of traces show labels without knowing who makes them.

A source calls `register(source)` in its app's `ready`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from django.db.models import Q
from django.db.models.expressions import Combinable

from catalyst.core.models import Project
from catalyst.timerange import TimeRange


@dataclass(frozen=True, slots=True)
class Pill:
    """One label of one target, as pages show it.

    `sentiment` is positive, negative or neutral, as it is coloured. `value` is empty while there is no label yet;
    `note` then says why, and otherwise what should be known beside the label. `count` is above one where equal
    labels of many spans are one. `key` names the label in the query of a list that is narrowed to it.
    """

    name: str
    value: str
    sentiment: str = "neutral"
    reason: str = ""
    href: str = ""
    judged_by: str = ""
    labelled_at: datetime | None = None
    status: str = "done"
    note: str = ""
    count: int = 1
    key: str = ""


@dataclass(frozen=True, slots=True)
class LabelNavigation:
    """The label that led to a page, and the addresses of its neighbours in the list it is from; empty at the ends."""

    name: str
    value: str
    sentiment: str
    reason: str
    back: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class LabelCondition:
    """A label that a list is narrowed to: its key in the URL, in words, and what passes. `href` is about the label."""

    key: str
    name: str
    text: str
    traces: Q
    sessions: Q
    href: str = ""


@dataclass(frozen=True, slots=True)
class FacetValue:
    """One label that lists can be narrowed to, and how many targets in the range have it."""

    key: str
    value: str
    count: int


@dataclass(frozen=True, slots=True)
class Facet:
    """The labels of one origin: what it is called, what its targets are (`span`, `trace` or `session`)."""

    name: str
    scope: str
    href: str
    values: Sequence[FacetValue]


@dataclass(frozen=True, slots=True)
class Dimension:
    """What runs of an agent are broken down by: at most one label each.

    `value` is which label a trace has, null without one; `colors` are the colours of the values, in order.
    """

    key: str
    name: str
    scope: str
    href: str
    colors: Mapping[str, str]
    value: Combinable


class LabelSource(Protocol):
    """Gives the labels of targets of one project. Targets without a label may be left out."""

    def pills_for_traces(self, project: Project, trace_ids: Sequence[UUID]) -> Mapping[UUID, list[Pill]]:
        """Labels of traces, and those of their spans summed up. For lists: a constant number of queries, no reasons."""

    def pills_for_trace(self, project: Project, trace_id: UUID) -> Mapping[int | None, list[Pill]]:
        """Labels of the spans of one trace by span id, those of the trace as a whole under None.

        With reasons and with what still waits or failed.
        """

    def pills_for_sessions(self, project: Project, keys: Sequence[str]) -> Mapping[str, list[Pill]]:
        """Labels of sessions by session key, with reasons and with what still waits or failed."""

    def pills_for_agents(
        self, project: Project, agents: Sequence[int], time_range: TimeRange
    ) -> Mapping[int, list[Pill]]:
        """What is live for these agents, each with what it mostly says in the range. A constant number of queries."""

    def conditions(self, project: Project, keys: Sequence[str]) -> Mapping[str, LabelCondition]:
        """What these keys mean. A constant number of queries; keys of other projects, or of nothing, are left out."""

    def facets(self, project: Project, time_range: TimeRange, agent: int | None) -> list[Facet]:
        """The labels that were given in the range, by agent if one is named. A constant number of queries."""

    def dimensions(self, project: Project, agent: int) -> list[Dimension]:
        """What the runs of an agent can be broken down by. A constant number of queries."""

    def navigation(self, project: Project, params: Mapping[str, str], now: datetime) -> LabelNavigation | None:
        """Where the query of a target's page says it was opened from; None if it says nothing."""


_sources: list[LabelSource] = []


def register(source: LabelSource) -> None:
    """Add a source; adding it again changes nothing."""
    if source not in _sources:
        _sources.append(source)


def pills_for_traces(project: Project, trace_ids: Sequence[UUID]) -> dict[UUID, list[Pill]]:
    """Labels of traces and of their spans, for lists."""
    return _merged(source.pills_for_traces(project, trace_ids) for source in _sources)


def pills_for_trace(project: Project, trace_id: UUID) -> dict[int | None, list[Pill]]:
    """Labels of the spans of one trace by span id, those of the trace as a whole under None."""
    return _merged(source.pills_for_trace(project, trace_id) for source in _sources)


def pills_for_sessions(project: Project, keys: Sequence[str]) -> dict[str, list[Pill]]:
    """Labels of sessions, by session key."""
    return _merged(source.pills_for_sessions(project, keys) for source in _sources)


def given(pills: Iterable[Pill]) -> list[Pill]:
    """Those that are labels, without what waits or failed: a part of the page that its source serves tells of that."""
    return [pill for pill in pills if pill.value]


def pills_for_agents(project: Project, agents: Sequence[int], time_range: TimeRange) -> dict[int, list[Pill]]:
    """What is live for agents, by their primary keys."""
    return _merged(source.pills_for_agents(project, agents, time_range) for source in _sources)


def conditions(project: Project, keys: Sequence[str]) -> tuple[LabelCondition, ...]:
    """What a list is narrowed to by these keys, all of them; one that means nothing lets nothing pass."""
    known = {key: found for source in _sources for key, found in source.conditions(project, keys).items()}
    return tuple(known.get(key) or _nothing(key) for key in dict.fromkeys(keys))


def facets(project: Project, time_range: TimeRange, agent: int | None = None) -> list[Facet]:
    """The labels that lists can be narrowed to."""
    return [each for source in _sources for each in source.facets(project, time_range, agent)]


def dimensions(project: Project, agent: int) -> list[Dimension]:
    """What the runs of an agent can be broken down by."""
    return [each for source in _sources for each in source.dimensions(project, agent)]


def navigation(project: Project, params: Mapping[str, str], now: datetime) -> LabelNavigation | None:
    """The list of labels that a target's page was opened from, by its query."""
    return next((found for source in _sources if (found := source.navigation(project, params, now))), None)


def _nothing(key: str) -> LabelCondition:
    return LabelCondition(key, "label", f"{key}, which nothing here gives", traces=Q(pk__in=[]), sessions=Q(pk__in=[]))


def _merged[Target](found: Iterable[Mapping[Target, list[Pill]]]) -> dict[Target, list[Pill]]:
    merged: dict[Target, list[Pill]] = {}
    for pills in found:
        for target, some in pills.items():
            merged.setdefault(target, []).extend(some)
    return merged
