"""Registry of findings, so that other apps can use their traces without importing who makes them.

Lists show the traces that a finding touches. A signal that measures a finding is tested on the traces that it cites.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from django.db.models import Q

from catalyst.core.models import Project


@dataclass(frozen=True, slots=True)
class TraceGroup:
    """The traces that a finding touches. `finding=12` narrows a list to them.

    `size`: how many it touched, of which some may have expired. `query`: the range in which they all began, as
    parameters of a list. `href`: the page that shows it.
    """

    key: int
    text: str
    traces: Q
    size: int = 0
    query: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True)
class Examples:
    """Traces on which to test a signal that measures a finding.

    `cited`: they show it. `others`: a sample of those that it does not touch, of the same agent (an id) and window.
    """

    key: int
    text: str
    href: str
    agent: int
    start: datetime
    end: datetime
    cited: Sequence[UUID]
    others: Sequence[UUID]


class GroupSource(Protocol):
    def group(self, project: Project, key: int) -> TraceGroup | None:
        """The finding of this project with this id, if there is one. Constant number of queries."""

    def examples(self, project: Project, key: int, count: int) -> Examples | None:
        """Up to `count` traces of each kind. The same ones each time. Constant number of queries."""

    def measure(self, project: Project, key: int, signal: int, now: datetime) -> None:
        """Remember which signal measures the finding, in the caller's transaction."""


_sources: list[GroupSource] = []


def register(source: GroupSource) -> None:
    """Add a source. Idempotent."""
    if source not in _sources:
        _sources.append(source)


def group(project: Project, key: int) -> TraceGroup:
    """An unknown finding matches nothing."""
    found = (source.group(project, key) for source in _sources)
    unknown = TraceGroup(key, f"{key}, which {project.name} does not have", Q(pk__in=[]))
    return next((each for each in found if each), unknown)


def examples(project: Project, key: int, count: int) -> Examples | None:
    found = (source.examples(project, key, count) for source in _sources)
    return next((each for each in found if each), None)


def measure(project: Project, key: int, signal: int, now: datetime) -> None:
    for source in _sources:
        source.measure(project, key, signal, now)
