"""A report before it is stored: what the offline analyst and the parser of a model's answer return."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from halo.choices import Category, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class CitationDraft:
    """A trace, or a span of it, that shows a finding. `quote`: text that it contains. `note`: why it is cited."""

    trace_id: UUID
    span_id: int | None = None
    quote: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingDraft:
    """One thing that is wrong.

    `kind`: the rule that found it, such as `recurring_failure`; empty from a model. `signature`: what makes findings
    of several reports the same. `aliases`: signatures of what has the same cause and is no finding of its own here.
    `trace_ids`: the runs it touches, counted in the store; empty if it is only the model's word, which `claimed_count`
    then holds. `query`: parameters of a list of traces that match the same, if any do. `prior_count` of `prior_total`:
    the same in the window before. `cost`, `tokens`, `duration_us`: what it wasted. `issue`: the earlier issue that a
    model says it is.
    """

    title: str
    severity: Severity
    category: Category
    kind: str = ""
    signature: str = ""
    aliases: tuple[str, ...] = ()
    happens: str = ""
    evidence: str = ""
    fix: str = ""
    trace_ids: tuple[UUID, ...] = ()
    claimed_count: int | None = None
    query: str = ""
    prior_count: int | None = None
    prior_total: int | None = None
    cost: Decimal | None = None
    tokens: int | None = None
    duration_us: int | None = None
    citations: tuple[CitationDraft, ...] = ()
    issue: int | None = None


@dataclass(frozen=True, slots=True)
class SignalLabel:
    value: str
    is_bad: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalDraft:
    """A signal that somebody may add. `scope`: span, trace or session. `labels`: none for yes (bad) or no.

    `why`: what it would tell.
    """

    name: str
    prompt: str
    scope: str = "trace"
    labels: tuple[SignalLabel, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportDraft:
    """`findings`: the most harmful first. `lede`: the report in one to three sentences. `notes`: how it was read.

    `text`: the whole as Markdown, from a model.
    """

    lede: str = ""
    findings: tuple[FindingDraft, ...] = ()
    notes: tuple[str, ...] = ()
    text: str = ""
    signals: tuple[SignalDraft, ...] = ()
