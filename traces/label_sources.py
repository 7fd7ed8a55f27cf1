"""Registry of label sources, so that pages of traces can show labels without importing who makes them."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from django.db.models import Q, QuerySet
from django.db.models.expressions import Combinable

from catalyst.core.models import Project
from catalyst.timerange import TimeRange

# Labels of a trace that one page shows.
MAX_LABELS = 200


@dataclass(frozen=True, slots=True)
class Pill:
    """The label of a target, as shown on pages.

    `sentiment`: positive, negative or neutral. `value`: empty if there is no label; `note` then gives the reason.
    `count`: above 1 if equal labels of several spans are merged. `href`: the page that tells the reason, or lists them.
    `key`: names the label in the URL of a filtered list. `tone`: its color, if it is not that of its sentiment.
    `is_sought`: the list is filtered by it, so its row does not fold it.
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
    tone: str = ""
    is_sought: bool = False

    @property
    def color(self) -> str:
        return self.tone or self.sentiment


@dataclass(frozen=True, slots=True)
class TracePills:
    """Labels of a trace, and of its spans by span id. `more`: where the next part starts, None at the end."""

    own: list[Pill]
    by_span: Mapping[int, list[Pill]]
    more: int | None = None


@dataclass(frozen=True, slots=True)
class LabelNavigation:
    """The list from which a page was opened, and URLs of the previous and next label; empty at the ends."""

    name: str
    value: str
    tone: str
    reason: str
    back: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class LabelCondition:
    """A label by which a list is filtered, with its conditions on rows of traces and sessions."""

    key: str
    name: str
    text: str
    traces: Q
    sessions: Q
    href: str = ""


@dataclass(frozen=True, slots=True)
class FacetValue:
    """A label that can filter a list. `count`: the rows that the list then has; None if it is not known."""

    key: str
    value: str
    count: int | None


@dataclass(frozen=True, slots=True)
class Facet:
    """The filterable labels of one signal. `scope` is `span`, `trace` or `session`.

    `chosen`: keys of the current filter that another value replaces.
    """

    name: str
    scope: str
    href: str
    values: Sequence[FacetValue]
    chosen: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Start:
    """A way to begin labelling the traffic of a project that has no labels yet."""

    name: str
    description: str
    href: str


# The rows of a list under its filter, with these labels instead of its own.
type Matching = Callable[[Sequence[LabelCondition]], QuerySet[Any]]


@dataclass(frozen=True, slots=True)
class Dimension:
    """A signal by which runs can be broken down, with at most one label a run.

    `value`: SQL expression of the label of a trace, null if it has none. `colors`: by value, in order of display.
    """

    key: str
    name: str
    scope: str
    href: str
    colors: Mapping[str, str]
    value: Combinable


@dataclass(frozen=True, slots=True)
class BadLabel:
    """A negative label of a signal, with the traces of a range that have it, and those with only others of its labels.

    `key` names it in the URL of a filtered list. `of_sessions`: all traces of a labelled session have its label.
    """

    key: str
    signal: str
    value: str
    traces: frozenset[UUID]
    others: frozenset[UUID]
    of_sessions: bool = False


@dataclass(frozen=True, slots=True)
class Measure:
    """How often a signal gave its headline label in a range. `said`: `yes 4.1%`, or why there is no number."""

    name: str
    said: str
    href: str


class LabelSource(Protocol):
    """Labels of targets in one project. Targets without labels may be missing from results."""

    def pills_for_traces(self, project: Project, trace_ids: Sequence[UUID]) -> Mapping[UUID, list[Pill]]:
        """Labels of traces, with those of their spans merged. Constant number of queries; no reasons."""

    def pills_for_trace(
        self, project: Project, trace_id: UUID, start: int, limit: int
    ) -> Sequence[tuple[int | None, Pill]]:
        """Labels of a trace, its own under None, then those of its spans by span id. With reasons, queued, failed."""

    def pills_for_span(
        self, project: Project, trace_id: UUID, span_id: int, start: int, limit: int
    ) -> Sequence[tuple[int | None, Pill]]:
        """Labels of one span, with its id. With reasons, queued and failed ones."""

    def pills_for_sessions(self, project: Project, keys: Sequence[str]) -> Mapping[str, list[Pill]]:
        """Labels by session key. With reasons, queued and failed ones."""

    def pills_for_agents(
        self, project: Project, agents: Sequence[int], time_range: TimeRange
    ) -> Mapping[int, list[Pill]]:
        """The active signals of each agent, with their most common label. Constant number of queries."""

    def inactive_counts(self, project: Project, agents: Sequence[int]) -> Mapping[int, int]:
        """How many unarchived signals each agent has that are not active."""

    def conditions(self, project: Project, keys: Sequence[str]) -> Mapping[str, LabelCondition]:
        """Conditions by key; unknown keys are missing. Constant number of queries."""

    def facets(self, project: Project, time_range: TimeRange, agent: int | None) -> list[Facet]:
        """Labels given in the range, with the number of targets that have each. Constant number of queries."""

    def counted_facets(
        self, project: Project, agent: int | None, chosen: Sequence[LabelCondition], matching: Matching
    ) -> list[Facet] | None:
        """Labels with the number of rows that a list would have. Returns None if there are too many rows to count.

        Takes a query for each of `chosen`, and one more.
        """

    def dimensions(self, project: Project, agent: int) -> list[Dimension]:
        """Constant number of queries."""

    def bad_labels(self, project: Project, agent: int, time_range: TimeRange) -> list[BadLabel]:
        """Negative labels of traces of the range, a limited number of both: the newest of very many traces."""

    def measures(self, project: Project, signals: Collection[int], time_range: TimeRange) -> Mapping[int, Measure]:
        """By the id of the signal. Constant number of queries."""

    def navigation(self, project: Project, params: Mapping[str, str], now: datetime) -> LabelNavigation | None:
        """Returns None if the page was not opened from a list of labels."""

    def starts(self, project: Project, agent: str) -> list[Start]:
        """Ways to label traffic of this agent, an identity or empty; none if something labels the project already."""


_sources: list[LabelSource] = []


def register(source: LabelSource) -> None:
    """Add a source. Idempotent."""
    if source not in _sources:
        _sources.append(source)


def pills_for_traces(project: Project, trace_ids: Sequence[UUID]) -> dict[UUID, list[Pill]]:
    return _merged(source.pills_for_traces(project, trace_ids) for source in _sources)


def pills_for_trace(project: Project, trace_id: UUID, start: int = 0) -> TracePills:
    """Up to MAX_LABELS labels of a trace and its spans, its own first."""
    return _trace_pills([each.pills_for_trace(project, trace_id, start, MAX_LABELS + 1) for each in _sources], start)


def pills_for_span(project: Project, trace_id: UUID, span_id: int, start: int = 0) -> TracePills:
    """Up to MAX_LABELS labels of one span."""
    found = [each.pills_for_span(project, trace_id, span_id, start, MAX_LABELS + 1) for each in _sources]
    return _trace_pills(found, start)


def _trace_pills(found: Sequence[Sequence[tuple[int | None, Pill]]], start: int) -> TracePills:
    by_span: dict[int | None, list[Pill]] = {}
    for pills in found:
        for span_id, pill in pills[:MAX_LABELS]:
            by_span.setdefault(span_id, []).append(pill)
    is_cut = any(len(pills) > MAX_LABELS for pills in found)
    own = by_span.pop(None, [])
    of_spans = {span_id: pills for span_id, pills in by_span.items() if span_id is not None}
    return TracePills(own, of_spans, start + MAX_LABELS if is_cut else None)


def pills_for_sessions(project: Project, keys: Sequence[str]) -> dict[str, list[Pill]]:
    return _merged(source.pills_for_sessions(project, keys) for source in _sources)


def sought(pills: Iterable[Pill], keys: Collection[str]) -> list[Pill]:
    """Those by which a list is filtered. `keys`: of the conditions, `12:yes` or `12` for any label of a signal."""
    return [
        replace(pill, is_sought=True)
        for pill in pills
        if pill.value and (pill.key in keys or pill.key.partition(":")[0] in keys)
    ]


def sought_first(pills: Sequence[Pill], keys: Collection[str]) -> list[Pill]:
    """All of them, those first by which a list is filtered."""
    found = sought(pills, keys)
    seen = {pill.key for pill in found}
    return [*found, *(pill for pill in pills if pill.key not in seen or not pill.key)]


def labelled(pills: Iterable[Pill]) -> list[Pill]:
    return [pill for pill in pills if pill.value]


def pills_for_agents(project: Project, agents: Sequence[int], time_range: TimeRange) -> dict[int, list[Pill]]:
    return _merged(source.pills_for_agents(project, agents, time_range) for source in _sources)


def inactive_counts(project: Project, agents: Sequence[int]) -> Counter[int]:
    return sum((Counter(source.inactive_counts(project, agents)) for source in _sources), Counter[int]())


def conditions(project: Project, keys: Sequence[str]) -> tuple[LabelCondition, ...]:
    """Conditions that must all match. An unknown key matches nothing."""
    by_key: dict[str, LabelCondition] = {}
    for source in _sources:
        by_key |= source.conditions(project, keys)
    return tuple(by_key.get(key) or _nothing(key) for key in dict.fromkeys(keys))


def facets(project: Project, time_range: TimeRange, agent: int | None = None) -> list[Facet]:
    return [facet for source in _sources for facet in source.facets(project, time_range, agent)]


def counted_facets(
    project: Project, agent: int | None, chosen: Sequence[LabelCondition], matching: Matching
) -> list[Facet] | None:
    found: list[Facet] = []
    for source in _sources:
        counted = source.counted_facets(project, agent, chosen, matching)
        if counted is None:
            return None
        found += counted
    return found


def dimensions(project: Project, agent: int) -> list[Dimension]:
    return [dimension for source in _sources for dimension in source.dimensions(project, agent)]


def bad_labels(project: Project, agent: int, time_range: TimeRange) -> list[BadLabel]:
    return [label for source in _sources for label in source.bad_labels(project, agent, time_range)]


def measures(project: Project, signals: Collection[int], time_range: TimeRange) -> dict[int, Measure]:
    found: dict[int, Measure] = {}
    for source in _sources if signals else ():
        found |= source.measures(project, signals, time_range)
    return found


def navigation(project: Project, params: Mapping[str, str], now: datetime) -> LabelNavigation | None:
    for source in _sources:
        if label_navigation := source.navigation(project, params, now):
            return label_navigation
    return None


def starts(project: Project, agent: str = "") -> list[Start]:
    return [start for source in _sources for start in source.starts(project, agent)]


def _nothing(key: str) -> LabelCondition:
    return LabelCondition(key, "label", f"{key}, which nothing here gives", traces=Q(pk__in=[]), sessions=Q(pk__in=[]))


def _merged[Target](results: Iterable[Mapping[Target, list[Pill]]]) -> dict[Target, list[Pill]]:
    merged: dict[Target, list[Pill]] = {}
    for pills_by_target in results:
        for target, pills in pills_by_target.items():
            merged.setdefault(target, []).extend(pills)
    return merged
