"""Where a source of labels registers itself, so that pages of traces show labels without knowing who makes them.

A source calls `register(source)` in its app's `ready`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from catalyst.core.models import Project
from catalyst.timerange import TimeRange


@dataclass(frozen=True, slots=True)
class Pill:
    """One label of one target, as pages show it.

    `sentiment` is positive, negative or neutral, as it is coloured. `value` is empty while there is no label yet;
    `note` then says why, and otherwise what should be known beside the label. `count` is above one where equal
    labels of many spans are one.
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


@dataclass(frozen=True, slots=True)
class Walk:
    """The label that led to a page, and the addresses of its neighbours in the list it is from; empty at the ends."""

    name: str
    value: str
    sentiment: str
    reason: str
    back: str
    before: str
    after: str


class LabelSource(Protocol):
    """Gives the labels of targets of one project. Targets without a label may be left out."""

    def pills_for_traces(self, project: Project, trace_ids: Sequence[UUID]) -> Mapping[UUID, list[Pill]]:
        """Labels of traces, and those of their spans summed up. For lists: a constant number of queries, no reasons."""

    def pills_for_trace(self, project: Project, trace_id: UUID) -> list[Pill]:
        """Labels of one trace as a whole, with reasons and with what still waits or failed."""

    def pills_for_spans(self, project: Project, trace_id: UUID) -> Mapping[int, list[Pill]]:
        """Labels of the spans of one trace by span id, with reasons and with what still waits or failed."""

    def pills_for_sessions(self, project: Project, keys: Sequence[str]) -> Mapping[str, list[Pill]]:
        """Labels of sessions by session key, with reasons and with what still waits or failed."""

    def pills_for_agents(
        self, project: Project, agents: Sequence[int], time_range: TimeRange
    ) -> Mapping[int, list[Pill]]:
        """What is live for these agents, each with what it mostly says in the range. A constant number of queries."""

    def walk(self, project: Project, params: Mapping[str, str], now: datetime) -> Walk | None:
        """Where the query of a target's page says it was opened from; None if it says nothing."""


_sources: list[LabelSource] = []


def register(source: LabelSource) -> None:
    """Add a source; adding it again changes nothing."""
    if source not in _sources:
        _sources.append(source)


def pills_for_traces(project: Project, trace_ids: Sequence[UUID]) -> dict[UUID, list[Pill]]:
    """Labels of traces and of their spans, for lists."""
    return _merged(source.pills_for_traces(project, trace_ids) for source in _sources)


def pills_for_trace(project: Project, trace_id: UUID) -> list[Pill]:
    """Labels of one trace as a whole."""
    return [pill for source in _sources for pill in source.pills_for_trace(project, trace_id)]


def pills_for_spans(project: Project, trace_id: UUID) -> dict[int, list[Pill]]:
    """Labels of the spans of one trace, by span id."""
    return _merged(source.pills_for_spans(project, trace_id) for source in _sources)


def pills_for_sessions(project: Project, keys: Sequence[str]) -> dict[str, list[Pill]]:
    """Labels of sessions, by session key."""
    return _merged(source.pills_for_sessions(project, keys) for source in _sources)


def pills_for_agents(project: Project, agents: Sequence[int], time_range: TimeRange) -> dict[int, list[Pill]]:
    """What is live for agents, by their primary keys."""
    return _merged(source.pills_for_agents(project, agents, time_range) for source in _sources)


def walk(project: Project, params: Mapping[str, str], now: datetime) -> Walk | None:
    """The list of labels that a target's page was opened from, by its query."""
    return next((found for source in _sources if (found := source.walk(project, params, now))), None)


def _merged[Target](found: Iterable[Mapping[Target, list[Pill]]]) -> dict[Target, list[Pill]]:
    merged: dict[Target, list[Pill]] = {}
    for pills in found:
        for target, some in pills.items():
            merged.setdefault(target, []).extend(some)
    return merged
