"""The interface of the classes that know one scope of targets."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from django.db.models import Q

from catalyst.agents.models import Agent
from catalyst.core.models import Project
from catalyst.querysets import Cursor
from signals.definitions.choices import Scope
from signals.models import Job, Label
from signals.models.label import LabelQuerySet
from signals.targets.inputs import JudgeInput
from signals.targets.target import Target
from traces.filters import EVERYTHING, Facts, Filter
from traces.models import Session, Trace, Unsettled


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some targets, and the cursor from which `Targets.chunks` goes on."""

    targets: list[Target]
    last: Cursor


@dataclass(frozen=True, slots=True)
class SettledTarget:
    """A target that signals may look at now, with what decides which of them do."""

    target: Target
    agent_id: int | None
    received_at: datetime
    facts: Facts


@dataclass(frozen=True, slots=True)
class Link:
    """The title and the page of a stored target."""

    title: str
    href: str


@dataclass(frozen=True, slots=True)
class Targets(ABC):
    """The stored targets of an agent that began in [start, end) and pass a filter.

    Targets that wait to settle are among them, as they are so far. `live_since` is the last activation of a live
    signal: targets that wait and got a span since then are left out, because live judging will look at them.
    """

    scope: ClassVar[Scope]
    rows_at_once: ClassVar[int] = 1_000

    agent: Agent
    start: datetime
    end: datetime
    traffic_filter: Filter = EVERYTHING
    live_since: datetime | None = None

    @abstractmethod
    def count(self) -> int:
        """How many there are."""

    @abstractmethod
    def newest(self, limit: int) -> list[Target]:
        """The newest ones, the newest first."""

    def among(self, keys: Sequence[str]) -> list[Target]:
        """Those with these target keys, in the order of the keys. A key that makes no sense has no target."""
        by_key = {target.target_key: target for target in self._with_keys(keys)}
        return [by_key[key] for key in dict.fromkeys(keys) if key in by_key]

    def chunks(self, after: Cursor | None = None) -> Iterator[Chunk]:
        """All of them, roughly the newest first, from behind `after`. Holds one chunk in memory.

        A target that changes meanwhile may come twice, but none that was there at the start is missed.
        """
        while chunk := self._next_chunk(after):
            yield chunk
            after = chunk.last

    @abstractmethod
    def _with_keys(self, keys: Sequence[str]) -> Iterator[Target]:
        """Targets among which are all that have these keys."""

    @abstractmethod
    def _next_chunk(self, after: Cursor | None) -> Chunk | None: ...

    @classmethod
    @abstractmethod
    def settled(cls, rows: Sequence[Unsettled], filters: Collection[Filter]) -> Iterator[SettledTarget]:
        """The targets for which these rows of the settle queue were due, with what the filters look at."""

    @classmethod
    @abstractmethod
    def has_unsettled(cls, agent_id: int) -> bool:
        """Whether targets of this agent wait to settle."""

    @classmethod
    @abstractmethod
    def passing(cls, labels: Sequence[Label], wanted: Filter) -> set[str]:
        """The keys of the targets of these labels, all of one project, that pass the filter now."""

    @classmethod
    @abstractmethod
    def load(cls, jobs: Sequence[Job]) -> Iterator[tuple[Job, Callable[[], JudgeInput | None]]]:
        """Each job with the function that reads its target. The function returns None if it is not stored any more.

        Rows and spans are read for all jobs at once; texts when the functions are called, for several jobs at once.
        """

    @classmethod
    @abstractmethod
    def links(cls, project: Project, jobs: Sequence[Job]) -> Mapping[str, Link]:
        """By target key; targets that are not stored any more are missing."""

    @classmethod
    @abstractmethod
    def id_of(cls, job: Job) -> str:
        """The id of the target as its sender wrote it."""

    @classmethod
    @abstractmethod
    def labels_about(cls, project: Project, target: Target) -> LabelQuerySet:
        """The effective labels of a target, by signal."""

    @classmethod
    @abstractmethod
    def of_outer_trace(cls, labels: LabelQuerySet) -> LabelQuerySet:
        """Those of the labels that concern the trace of the outer query."""

    @classmethod
    @abstractmethod
    def conditions(cls, project_id: int, labels: LabelQuerySet) -> tuple[Q, Q]:
        """Which traces and which sessions of a project one of these labels concerns."""


def cursor_of(row: Trace | Session) -> Cursor:
    """The cursor behind this row in an order by start."""
    return Cursor(row.start_time, row.pk)
