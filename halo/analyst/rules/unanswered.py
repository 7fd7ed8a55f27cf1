"""Runs that never end, and users who get no answer or leave after an error."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import override

from catalyst import formats
from catalyst.confidence import shares_p_value
from halo.analyst.before import CountsBefore
from halo.analyst.failures import TOOL_KINDS
from halo.analyst.material import Candidate, Step, Texts, TraceRun, Window
from halo.analyst.severities import RECOVERED_WEIGHT, severity_of
from halo.analyst.touched import Touched
from halo.analyst.wording import counted, share_of_runs
from halo.choices import Category

MIN_RUNS = 3
# A run that began so shortly before the end of the window may still go on.
STILL_RUNNING = timedelta(minutes=15)


class Unanswered(CountsBefore):
    """Looks at open roots, and at the last run of each session."""

    def __init__(self) -> None:
        self._open, self._unanswered, self._left = Touched(), Touched(), Touched()
        # The last run so far of the session, its last step, and whether it has an answer.
        self._last: tuple[TraceRun, int, bool] | None = None
        # Of runs with a session that failed, and of the others.
        self._runs, self._ends = {True: 0, False: 0}, {True: 0, False: 0}

    @override
    def add(self, run: TraceRun, steps: Sequence[Step]) -> None:
        if self._last and (run.session_id is None or run.session_id != self._last[0].session_id):
            self._end_session()
        self._note_open(run, steps)
        # What was not recorded can't be judged.
        has_text = any(step.input_size or step.output_size for step in steps)
        self._last = run, steps[-1].span_id if steps else 0, not has_text or _is_answered(steps)
        self._runs[run.failed] += run.session_id is not None

    def _note_open(self, run: TraceRun, steps: Sequence[Step]) -> None:
        root = next((step for step in steps if step.parent_id is None), None)
        if root is not None and root.duration_us is None:
            self._open.add(run, root.span_id)

    def _end_session(self) -> None:
        assert self._last is not None
        run, span_id, is_answered = self._last
        if not is_answered:
            self._unanswered.add(run, span_id)
        if run.session_id is not None:
            self._ends[run.failed] += 1
            if run.failed:
                self._left.add(run, span_id)

    @override
    def candidates(self, window: Window, texts: Texts) -> Sequence[Candidate]:
        before = self.before
        for rule in (self, before):
            if rule and rule._last:
                rule._end_session()
        recent = window.end - STILL_RUNNING
        found = [
            _unfinished(_until(self._open, recent), window, len(before._open) if before else None),
            _unanswered(_until(self._unanswered, recent), window, len(before._unanswered) if before else None),
            self._leaving(window),
        ]
        return [candidate for candidate in found if candidate is not None]

    def _leaving(self, window: Window) -> Candidate | None:
        failed, others = self._runs[True], self._runs[False]
        ends, other_ends = self._ends[True], self._ends[False]
        if ends < MIN_RUNS or not others or ends / failed <= other_ends / others:
            return None
        harm = ends / window.total * RECOVERED_WEIGHT
        return Candidate(
            kind="left_after_error",
            title=f"{counted(ends, 'session')} {'ends' if ends == 1 else 'end'} right after a failed run",
            category=Category.QUALITY,
            severity=severity_of(failed=harm),
            signature="left_after_error",
            happens="Users leave after an error more often than after an answer.",
            fix=(
                "Tell the user what failed and what to do next, and offer to try again. Where the failure can "
                "pass, retry it before the user sees it."
            ),
            evidence=(
                f"{formats.percent(ends, failed)} of the failed runs are the last ones of their session, and "
                f"{formats.percent(other_ends, others)} of the others."
            ),
            traces=self._left.traces,
            harm=harm,
            prior_count=len(self.before._left) if self.before else None,
            p_value=shares_p_value(ends, failed, other_ends, others),
            citations=self._left.citations(),
        )


def _is_answered(steps: Sequence[Step]) -> bool:
    """Whether the root returns something, or the last model call does and no tool comes after it."""
    if any(step.parent_id is None and step.output_size for step in steps):
        return True
    last = next((step for step in reversed(steps) if step.kind == "LLM" or step.kind in TOOL_KINDS), None)
    if last is None:
        return any(step.output_size for step in steps)
    return last.kind == "LLM" and last.output_size > 0


def _until(touched: Touched, moment: datetime) -> Touched:
    """Those that began before a moment."""
    kept = Touched()
    for run, span_id, *_ in touched.places:
        if run.start_time < moment:
            kept.add(run, span_id)
    return kept


def _unfinished(touched: Touched, window: Window, prior_count: int | None) -> Candidate | None:
    count = len(touched)
    if count < MIN_RUNS:
        return None
    return Candidate(
        kind="unfinished_run",
        title=f"{share_of_runs(count, window.total)} never ended",
        category=Category.RELIABILITY,
        severity=severity_of(failed=count / window.total),
        signature="unfinished_run",
        happens=(
            "Their root span was sent when it began, but its end never came: the process was killed, the run "
            "hangs, or the last spans were not sent."
        ),
        fix=(
            "Shut the tracer down when the process ends, so that it sends what it holds, and give runs a time limit. "
            "Look for restarts and memory limits at the times of the cited runs."
        ),
        traces=touched.traces,
        harm=count / window.total,
        prior_count=prior_count,
        citations=touched.citations(),
    )


def _unanswered(touched: Touched, window: Window, prior_count: int | None) -> Candidate | None:
    count = len(touched)
    if count < MIN_RUNS:
        return None
    failed, opened = touched.failed_count, sum(not run.root_ended for run in touched.runs)
    return Candidate(
        kind="unanswered_user",
        title=f"The last message of the user has no answer in {share_of_runs(count, window.total)}",
        category=Category.QUALITY,
        severity=severity_of(failed=count / window.total),
        signature="unanswered_user",
        happens=(
            "They are the last runs of their sessions. The root returns nothing, and no model answers after the last "
            "call of a tool."
        ),
        fix=(
            "Answer on every path: catch errors at the root and return a sentence to the user, and treat an empty "
            "answer of the model as a failure that is tried again."
        ),
        evidence=(
            f"{failed:,} of them failed, {opened:,} never ended, and {count - failed - opened:,} ended without error."
        ),
        traces=touched.traces,
        harm=count / window.total,
        prior_count=prior_count,
        citations=touched.citations(),
    )
