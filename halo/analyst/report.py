"""The offline analyst: reads the traces of a run of Halo, and reports what its rules find."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from catalyst import formats
from halo.analyst.lists import Lists
from halo.analyst.material import ENOUGH_RUNS, Candidate, CountsPrior, Rule, Window
from halo.analyst.ranking import is_comparable, ranked
from halo.analyst.reading import Interrupted, Reading, read
from halo.analyst.rules import RULES, RULES_OF_FEW_RUNS
from halo.analyst.wording import counted, none_or, runs
from halo.choices import Severity
from halo.drafts import FindingDraft, ReportDraft
from halo.models import Run


def analyze(run: Run, now: datetime, is_over: Callable[[], bool] | None = None) -> ReportDraft:
    """Report on the traces that a run of Halo is about. Raises Interrupted soon after `is_over` says so."""
    return report_on(read(run, now, is_over or _never))


def report_on(reading: Reading) -> ReportDraft:
    """Report on what was read."""
    window = reading.window
    candidates = candidates_of(reading)
    lists = Lists(reading)
    findings = tuple(
        replace(each, query=each.query or lists.same_as(each.trace_ids)) for each in ranked(candidates, window)
    )
    return ReportDraft(lede=_lede(findings, window), findings=findings, notes=(*reading.notes, *_comparison(window)))


def candidates_of(reading: Reading) -> list[Candidate]:
    """What the rules find in what was read, before it is tested and merged."""
    window = reading.window
    rules = [make() for make in (RULES if window.total >= ENOUGH_RUNS else RULES_OF_FEW_RUNS)]
    _show(rules, reading)
    candidates: list[Candidate] = []
    texts = reading.texts()
    for rule in rules:
        if reading.is_over():
            raise Interrupted
        candidates += rule.candidates(window, texts)
    return candidates


def _never() -> bool:
    return False


def _show(rules: Sequence[Rule], reading: Reading) -> None:
    """Show each run to each rule, and those before to rules that count them."""
    for run, steps in reading.runs():
        for rule in rules:
            rule.add(run, steps)
    counting = [rule for rule in rules if isinstance(rule, CountsPrior)]
    if not is_comparable(reading.window):
        return
    for run, steps in reading.prior_runs():
        for rule in counting:
            rule.add_prior(run, steps)


def _lede(findings: Sequence[FindingDraft], window: Window) -> str:
    """The report in one to three sentences."""
    total = window.total
    if not total:
        return "There are no runs in this window."
    if total < ENOUGH_RUNS:
        return f"There are too few runs to find patterns, so only failures are listed. {_failed(window)}"
    serious = [finding for finding in findings if finding.severity != Severity.LOW]
    if not serious:
        smaller = f", but {counted(len(findings), 'small finding')}" if findings else ""
        return f"Nothing stands out in {runs(total)}{smaller}. {_failed(window)}"
    return f"{_failed(window)} {_numbers(findings)} What matters most: {serious[0].title}."


def _comparison(window: Window) -> list[str]:
    """Why nothing is compared with the window before, if so."""
    if is_comparable(window) or window.total < ENOUGH_RUNS:
        return []
    before = runs(window.prior_total) if window.prior_total else "no runs"
    return [f"The window before has {before}, so nothing is compared with it."]


def _failed(window: Window) -> str:
    failed = sum(run.failed for run in window.runs)
    said = f"{none_or(failed, window.total)} failed"
    if not is_comparable(window):
        return f"{said}."
    before = sum(run.failed for run in window.prior)
    return f"{said}; in the window before {formats.percent(before, window.prior_total)}."


def _numbers(findings: Sequence[FindingDraft]) -> str:
    """`7 findings: 1 critical, 2 high, 4 low.`"""
    by_severity = Counter(finding.severity for finding in findings)
    numbers = ", ".join(f"{by_severity[each]} {each}" for each in Severity if by_severity[each])
    return f"{counted(len(findings), 'finding')}: {numbers}."
