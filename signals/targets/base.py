"""The interface of the classes for one scope of targets."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from django.db.models import Q

from catalyst.agents.models import Agent
from catalyst.core.models import Project
from catalyst.pagination import Cursor
from signals.definitions.choices import Scope
from signals.models import Job, Label
from signals.models.label import LabelQuerySet
from signals.targets.inputs import JudgeInput
from signals.targets.pause import Pause
from signals.targets.target import Target
from traces.filters import EVERYTHING, Facts, Filter
from traces.models import Session, Trace, Unsettled


@dataclass(frozen=True, slots=True)
class Chunk:
    targets: list[Target]
    last: Cursor


@dataclass(frozen=True, slots=True)
class SettledTarget:
    """`pause` is None if the target settles for all signals at the same time."""

    target: Target
    agent_id: int | None
    received_at: datetime
    facts: Facts
    pause: Pause | None = None


@dataclass(frozen=True, slots=True)
class Link:
    title: str
    href: str


@dataclass(frozen=True, slots=True)
class Targets(ABC):
    """Stored targets of an agent that began in [start, end) and pass a filter.

    Unsettled targets are included. Those with a span since `live_since`, the last activation of a live signal, are
    excluded: live judging will evaluate them. `quiet` is the signal's own quiet time.
    """

    scope: ClassVar[Scope]
    # The rows that the settle queue names. A span waits with its trace.
    settling: ClassVar[type[Trace] | type[Session]]
    rows_at_once: ClassVar[int] = 1_000

    agent: Agent
    start: datetime
    end: datetime
    traffic_filter: Filter = EVERYTHING
    live_since: datetime | None = None
    quiet: timedelta | None = None

    @abstractmethod
    def count(self) -> int: ...

    @abstractmethod
    def newest(self, limit: int) -> list[Target]: ...

    def among(self, keys: Sequence[str]) -> list[Target]:
        """Targets with these keys, in the order of the keys. Invalid keys are ignored."""
        by_key = {target.target_key: target for target in self._with_keys(keys)}
        return [by_key[key] for key in dict.fromkeys(keys) if key in by_key]

    def chunks(self, after: Cursor | None = None) -> Iterator[Chunk]:
        """All targets from behind `after`, roughly newest first. Holds one chunk in memory.

        A target that changes meanwhile may come twice. No target stored at the start is missed.
        """
        while chunk := self._next_chunk(after):
            yield chunk
            after = chunk.last

    @abstractmethod
    def _with_keys(self, keys: Sequence[str]) -> Iterator[Target]:
        """At least the targets with these keys."""

    @abstractmethod
    def _next_chunk(self, after: Cursor | None) -> Chunk | None: ...

    @classmethod
    @abstractmethod
    def settled(cls, rows: Sequence[Unsettled], filters: Collection[Filter]) -> Iterator[SettledTarget]:
        """The targets of these rows of the settle queue, with the facts for the filters."""

    @classmethod
    def count_unsettled(cls, agent_id: int, quiet: timedelta | None, most: int) -> int:
        """Count up to `most` rows of `settling` that have yet to settle."""
        return cls.settling._default_manager.filter(cls.unsettled(quiet), agent_id=agent_id)[:most].count()

    @classmethod
    @abstractmethod
    def unsettled(cls, quiet: timedelta | None) -> Q:
        """Rows of `settling` that a signal with this quiet time has yet to evaluate. None: the instance's."""

    def _not_live(self) -> Q:
        if self.live_since is None:
            return Q()
        return Q(last_received_at__lt=self.live_since) | ~self.unsettled(self.quiet)

    @classmethod
    @abstractmethod
    def passing(cls, labels: Sequence[Label], wanted: Filter) -> set[str]:
        """The keys of targets that pass the filter now. The labels must be of one project."""

    @classmethod
    @abstractmethod
    def load(cls, jobs: Sequence[Job]) -> Iterator[tuple[Job, Callable[[], JudgeInput | None]]]:
        """Each job with a function that reads its target. It returns None if the target is no longer stored.

        Rows and spans are read for all jobs at once. Texts are read on a call, for several jobs at once.
        """

    @classmethod
    @abstractmethod
    def links(cls, project: Project, jobs: Sequence[Job]) -> Mapping[str, Link]:
        """Links by target key. Targets that are no longer stored are missing."""

    @classmethod
    @abstractmethod
    def id_of(cls, job: Job) -> str:
        """The id of the target as its sender wrote it."""

    @classmethod
    @abstractmethod
    def labels_about(cls, project: Project, target: Target) -> LabelQuerySet: ...

    @classmethod
    @abstractmethod
    def of_outer_trace(cls, labels: LabelQuerySet) -> LabelQuerySet:
        """Labels that concern the trace of the outer query."""

    @classmethod
    @abstractmethod
    def conditions(cls, project_id: int, labels: LabelQuerySet) -> tuple[Q, Q]:
        """Conditions on the traces and on the sessions that these labels concern."""


def cursor_of(row: Trace | Session) -> Cursor:
    return Cursor(row.start_time, row.pk)
