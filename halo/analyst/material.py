"""What rules read: runs, their steps, and texts on request."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Protocol, runtime_checkable
from uuid import UUID

from halo.choices import Category, Severity
from halo.drafts import CitationDraft
from traces.records import PayloadRecord

# Below so many runs there are no patterns to find.
ENOUGH_RUNS = 20


class TraceRun(NamedTuple):
    """A trace of the window, without its spans. Names and units are those of `traces.models.trace.Trace`."""

    trace_id: UUID
    start_time: datetime
    end_time: datetime
    duration_us: int
    name: str
    status: str
    outcome: str
    root_ended: bool
    session_id: int | None
    user: str
    service_version: str
    environment: str
    model_names: tuple[str, ...]
    span_count: int
    llm_count: int
    tool_count: int
    error_count: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost: Decimal
    unpriced_count: int
    skewed: bool

    @property
    def failed(self) -> bool:
        return self.status == "error" or self.outcome == "failure"


class Step(NamedTuple):
    """A span without its text. Names and units are those of `traces.models.span.Span`."""

    span_id: int
    parent_id: int | None
    start_time: datetime
    duration_us: int | None
    kind: str
    name: str
    status: str
    status_message: str
    model: str
    tool: str
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    cost: Decimal | None
    input_size: int
    output_size: int


@dataclass(slots=True)
class Window:
    """Runs of the window and of the equal one before it, oldest first.

    All of them, or of very many all that failed and a sample of the others. `total`, `prior_total`: how many there are,
    of which shares are; 0 stands for those that are here.
    """

    project_id: int
    agent_id: int
    start: datetime
    end: datetime
    runs: Sequence[TraceRun]
    prior: Sequence[TraceRun]
    total: int = 0
    prior_total: int = 0

    def __post_init__(self) -> None:
        self.total = self.total or len(self.runs)
        self.prior_total = self.prior_total or len(self.prior)


class Texts(Protocol):
    """Reads texts of spans, which is slow: rules ask for what they cite or compare only."""

    def of(self, span_ids: Mapping[UUID, Collection[int]]) -> Mapping[UUID, Mapping[int, PayloadRecord]]:
        """Texts by trace and span, of runs of the window. What is not stored is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A finding of a rule, before all findings of a report are tested together, merged and ranked.

    `traces`: the runs it touches. `p_value`: of the test that it needs to pass; None where a count needs no test.
    `harm`: from 0 to 1, by which findings are ranked: see docs/reference/offline-analyst.md. `prior_count`: the same
    in the window before; None if it was not counted. `cause`: what findings of one cause share, such as a tool's name.
    `citations`: of `halo.analyst.citing`.
    """

    kind: str
    title: str
    category: Category
    severity: Severity
    signature: str
    happens: str
    fix: str
    evidence: str = ""
    traces: frozenset[UUID] = frozenset()
    harm: float = 0.0
    p_value: float | None = None
    prior_count: int | None = None
    cause: str = ""
    query: str = ""
    cost: Decimal | None = None
    tokens: int | None = None
    duration_us: int | None = None
    citations: tuple[CitationDraft, ...] = field(default=())


class Rule(Protocol):
    """Looks for one kind of finding. A report makes a new one, which sees each run of the window once."""

    def add(self, run: TraceRun, steps: Sequence[Step]) -> None:
        """Take a run of the window, with its spans ordered by start. Keeps little: there may be 100,000 runs.

        Runs of one session come one after another, oldest first.
        """

    def candidates(self, window: Window, texts: Texts) -> Sequence[Candidate]:
        """Return what was found, after the last run."""


@runtime_checkable
class CountsPrior(Protocol):
    """A rule that counts the same in the window before, for `Candidate.prior_count`. Its texts can't be read."""

    def add_prior(self, run: TraceRun, steps: Sequence[Step]) -> None:
        """Take a run of the window before, like `Rule.add`."""
