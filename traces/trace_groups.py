"""Registry of findings, so that lists can show the traces that one touches without importing who makes them."""

from dataclasses import dataclass
from typing import Protocol

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


class GroupSource(Protocol):
    def group(self, project: Project, key: int) -> TraceGroup | None:
        """The finding of this project with this id, if there is one. Constant number of queries."""


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
