"""From candidates of all rules to findings: tested together, merged by cause, ranked."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from catalyst import formats
from catalyst.confidence import shares_p_value
from halo.analyst.material import ENOUGH_RUNS, Candidate, Window
from halo.analyst.statistics import benjamini_hochberg
from halo.analyst.wording import interval, runs, short
from halo.choices import Severity
from halo.drafts import FindingDraft
from halo.models.finding import MAX_TITLE_CHARACTERS

MAX_FINDINGS = 12
SIGNIFICANT = 0.05
# Findings that name one cause are one if so many runs of the smaller are in the larger; others if so many of both are.
SAME_RUNS = 0.8
# What more than half of all runs have in common does not tell causes apart.
MAX_SHARE_OF_ONE_CAUSE = 0.5
SEVERITIES = tuple(Severity)
# Kinds that say what is wrong. Any other of the same cause says why, and gives its name and its fix to the finding, if
# it has most of the runs.
SYMPTOMS = frozenset(("costly_run", "failing_tool", "left_after_error", "slow_tail"))
MIN_EXPLAINED = 0.6
MAX_SIGNATURE_CHARACTERS = 500
# Of a dollar, as the table keeps costs.
NANO = Decimal("1e-9")


@dataclass(slots=True)
class Ranked:
    """A candidate with its trend: by how much its share rose or fell, if a test says that it did, else 0.

    `also`: titles of findings of the same cause. `aliases`: their signatures.
    """

    candidate: Candidate
    trend: float | None = None
    also: list[str] = field(default_factory=list)
    aliases: list[str] = field(default_factory=list)

    @property
    def score(self) -> float:
        return self.candidate.harm * (1 + min(max(self.trend or 0, 0), 1))


def _order(ranked: Ranked) -> tuple[int, float, str]:
    return SEVERITIES.index(ranked.candidate.severity), -ranked.score, ranked.candidate.signature


def ranked(candidates: Sequence[Candidate], window: Window) -> list[FindingDraft]:
    """Findings, the most harmful first. Those beyond MAX_FINDINGS have severity low."""
    tested = _tested(candidates, window)
    merged = sorted(_merged(sorted(tested, key=_order), window.total), key=_order)
    return [_finding(each, window, is_folded=rank >= MAX_FINDINGS) for rank, each in enumerate(merged)]


def _tested(candidates: Sequence[Candidate], window: Window) -> list[Ranked]:
    """Candidates without those that their test rejects, and their trends. All tests of a report are one family."""
    trends = {
        number: _trend_p_value(candidate, window)
        for number, candidate in enumerate(candidates)
        if candidate.prior_count is not None and is_comparable(window)
    }
    own = {number: each.p_value for number, each in enumerate(candidates) if each.p_value is not None}
    adjusted = benjamini_hochberg([*own.values(), *trends.values()])
    of_own = dict(zip(own, adjusted, strict=False))
    of_trend = dict(zip(trends, adjusted[len(own) :], strict=True))
    return [
        Ranked(candidate, _trend(candidate, window) if of_trend.get(number, 1) < SIGNIFICANT else None)
        for number, candidate in enumerate(candidates)
        if of_own.get(number, 0) < SIGNIFICANT
    ]


def is_comparable(window: Window) -> bool:
    """Whether both windows have enough runs."""
    return min(window.total, window.prior_total) >= ENOUGH_RUNS


def _trend_p_value(candidate: Candidate, window: Window) -> float:
    return shares_p_value(len(candidate.traces), window.total, candidate.prior_count or 0, window.prior_total)


def _trend(candidate: Candidate, window: Window) -> float:
    """Growth of the share: 1 if it doubled or is new."""
    share, before = len(candidate.traces) / window.total, (candidate.prior_count or 0) / window.prior_total
    return share / before - 1 if before else 1.0


def _merged(ordered: Sequence[Ranked], total: int) -> list[Ranked]:
    """One finding for each cause: the most harmful, which names the others."""
    kept: list[Ranked] = []
    for each in ordered:
        same = next((other for other in kept if _is_one_cause(other.candidate, each.candidate, total)), None)
        if same is None:
            kept.append(each)
        else:
            _unite(same, each)
    return kept


def _unite(kept: Ranked, other: Ranked) -> None:
    """Let the finding that explains more name both."""
    worse, milder = kept.candidate, other.candidate
    explains = len(milder.traces) >= MIN_EXPLAINED * len(worse.traces)
    if explains and worse.kind in SYMPTOMS and milder.kind not in SYMPTOMS:
        kept.also.append(worse.title)
        kept.aliases.append(worse.signature)
        kept.trend = other.trend
        kept.candidate = replace(milder, severity=worse.severity, harm=worse.harm)
    else:
        kept.also.append(milder.title)
        kept.aliases.append(milder.signature)


def _is_one_cause(one: Candidate, other: Candidate, total: int) -> bool:
    smaller, larger = sorted((len(one.traces), len(other.traces)))
    common = len(one.traces & other.traces)
    if one.cause and one.cause == other.cause and common > SAME_RUNS * smaller:
        return True
    return common > SAME_RUNS * larger and larger <= MAX_SHARE_OF_ONE_CAUSE * total


def _finding(ranked: Ranked, window: Window, *, is_folded: bool) -> FindingDraft:
    candidate = ranked.candidate
    return FindingDraft(
        title=short(candidate.title, MAX_TITLE_CHARACTERS),
        severity=Severity.LOW if is_folded else candidate.severity,
        category=candidate.category,
        kind=candidate.kind,
        signature=candidate.signature[:MAX_SIGNATURE_CHARACTERS],
        aliases=tuple(each[:MAX_SIGNATURE_CHARACTERS] for each in ranked.aliases),
        happens=candidate.happens,
        evidence=" ".join(filter(None, (candidate.evidence, *_facts(ranked, window)))),
        fix=candidate.fix,
        trace_ids=tuple(sorted(candidate.traces)),
        query=candidate.query,
        prior_count=candidate.prior_count,
        prior_total=None if candidate.prior_count is None else window.prior_total,
        cost=None if candidate.cost is None else candidate.cost.quantize(NANO),
        tokens=candidate.tokens,
        duration_us=candidate.duration_us,
        citations=candidate.citations,
    )


def _facts(ranked: Ranked, window: Window) -> list[str]:
    facts = []
    count = len(ranked.candidate.traces)
    if 0 < count < window.total and window.total >= ENOUGH_RUNS:
        facts.append(f"The share is {interval(count, window.total)} with 95% confidence.")
    if ranked.candidate.prior_count is not None and is_comparable(window):
        facts.append(_compared(ranked, window))
    if ranked.also:
        facts.append(f"Of the same cause: {'; '.join(ranked.also)}.")
    return facts


def _compared(ranked: Ranked, window: Window) -> str:
    before, total = ranked.candidate.prior_count or 0, window.prior_total
    seen = f"{before:,} of {runs(total)} ({formats.percent(before, total)})"
    if ranked.trend is None:
        return f"In the window before: {seen}, which is no significant change."
    return f"{'Up' if ranked.trend > 0 else 'Down'} from {seen} in the window before."
