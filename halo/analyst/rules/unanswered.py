"""Runs that never end, and users who get no answer or leave after an error."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, override
from uuid import UUID

from catalyst import formats
from catalyst.confidence import shares_p_value
from halo.analyst.before import CountsBefore
from halo.analyst.failures import TOOL_KINDS
from halo.analyst.material import Candidate, Step, Texts, TraceRun, Window
from halo.analyst.severities import RECOVERED_WEIGHT, severity_of
from halo.analyst.touched import Touched
from halo.analyst.wording import counted, share_of_runs, short
from halo.choices import Category

MIN_RUNS = 3
# A run that began so shortly before the end of the window may still go on.
STILL_RUNNING = timedelta(minutes=15)


class _Last(NamedTuple):
    """The last run of a session so far, and its last step."""

    run: TraceRun
    step: Step
    is_answered: bool


class Unanswered(CountsBefore):
    """Looks at open roots, and at the last run of each session."""

    def __init__(self) -> None:
        self._open, self._unanswered, self._left = Touched(), Touched(), Touched()
        self._last: _Last | None = None
        # The last step of each run without an answer.
        self._ending: dict[UUID, str] = {}
        # Of runs with a session that failed, and of the others.
        self._runs, self._ends = {True: 0, False: 0}, {True: 0, False: 0}

    @override
    def add(self, run: TraceRun, steps: Sequence[Step]) -> None:
        if self._last and (run.session_id is None or run.session_id != self._last.run.session_id):
            self._end_session()
        self._note_open(run, steps)
        self._last = _Last(run, steps[-1], _is_answered(run, steps)) if steps else None
        self._runs[run.failed] += run.session_id is not None

    def _note_open(self, run: TraceRun, steps: Sequence[Step]) -> None:
        root = next((step for step in steps if step.parent_id is None), None)
        if root is not None and root.duration_us is None:
            self._open.add(run, root.span_id)

    def _end_session(self) -> None:
        assert self._last is not None
        run, step, is_answered = self._last
        if not is_answered:
            self._unanswered.add(run, step.span_id)
            self._ending[run.trace_id] = step.tool or step.name
        if run.session_id is not None:
            self._ends[run.failed] += 1
            if run.failed:
                self._left.add(run, step.span_id)

    @override
    def candidates(self, window: Window, texts: Texts) -> Sequence[Candidate]:
        before = self.before
        for rule in (self, before):
            if rule and rule._last:
                rule._end_session()
        recent = window.end - STILL_RUNNING
        found = [
            _unfinished(_until(self._open, recent), window, len(before._open) if before else None),
            self._without_answer(_until(self._unanswered, recent), window),
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

    def _without_answer(self, touched: Touched, window: Window) -> Candidate | None:
        count = len(touched)
        if count < MIN_RUNS:
            return None
        failed, opened = touched.failed_count, sum(not run.root_ended for run in touched.runs)
        ((last, ended_there),) = Counter(self._ending[run.trace_id] for run in touched.runs).most_common(1)
        return Candidate(
            kind="unanswered_user",
            title=f"The last message of the user has no answer in {share_of_runs(count, window.total)}",
            category=Category.QUALITY,
            severity=severity_of(failed=count / window.total),
            signature="unanswered_user",
            happens=(
                "They are the last runs of their sessions. The root returns nothing, and no model answers after "
                "the last call of a tool."
            ),
            fix=(
                "Answer on every path: catch errors at the root and return a sentence to the user, and treat an "
                "empty answer of the model as a failure that is tried again."
            ),
            evidence=(
                f"{failed:,} of them failed, {opened:,} never ended, and {count - failed - opened:,} ended without "
                f"error. The last step of {ended_there:,} is {short(last)}."
            ),
            traces=touched.traces,
            harm=count / window.total,
            prior_count=len(self.before._unanswered) if self.before else None,
            citations=touched.citations(),
        )


def _is_answered(run: TraceRun, steps: Sequence[Step]) -> bool:
    """Whether the root returns something, or the last model call does and no tool comes after it.

    What was not recorded can't be judged, and where nothing was done, there was nothing to answer, as after a goodbye.
    """
    was_asked = any(step.input_size or step.output_size for step in steps)
    was_tried = len(steps) > 1 or run.failed or not run.root_ended
    return not was_asked or not was_tried or any(step.output_size for step in _speaking(steps))


def _speaking(steps: Sequence[Step]) -> Iterator[Step]:
    """The steps whose output is an answer: roots and a last model call; without calls, any."""
    yield from (step for step in steps if step.parent_id is None)
    last = next((step for step in reversed(steps) if step.kind == "LLM" or step.kind in TOOL_KINDS), None)
    if last is None:
        yield from steps
    elif last.kind == "LLM":
        yield last


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
