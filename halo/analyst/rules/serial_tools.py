"""Tool calls that run one after the other although no model call is between them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import override

from catalyst import formats
from halo.analyst.before import CountsBefore
from halo.analyst.failures import TOOL_KINDS
from halo.analyst.material import Candidate, Step, Texts, TraceRun, Window
from halo.analyst.severities import severity_of
from halo.analyst.timing import end_of
from halo.analyst.touched import Touched
from halo.analyst.wording import share_of_runs, short
from halo.choices import Category

KIND = "serial_tools"
MIN_RUNS = 3
# Less time is not worth the trouble: of all time, or in a run.
MIN_SHARE = 0.01
MIN_SAVED_US = 1_000_000

# The names of tools that run one after the other, in alphabetical order.
type Tools = tuple[str, ...]


class SerialTools(CountsBefore):
    """Sums what runs would save if neighboring tool calls ran at once: all but the longest."""

    def __init__(self) -> None:
        self._touched: dict[Tools, Touched] = defaultdict(Touched)
        self._total_us = 0

    @override
    def add(self, run: TraceRun, steps: Sequence[Step]) -> None:
        self._total_us += run.duration_us
        for row in _rows(steps):
            times = [step.duration_us or 0 for step in row]
            saved = sum(times) - max(times)
            if saved:
                tools = tuple(sorted({step.tool or step.name for step in row}))
                self._touched[tools].add(run, row[0].span_id, saved)

    @override
    def candidates(self, window: Window, texts: Texts) -> Sequence[Candidate]:
        return [
            self._candidate(tools, touched, window)
            for tools, touched in self._touched.items()
            if len(touched) >= MIN_RUNS
            and (touched.total > MIN_SHARE * self._total_us or touched.median > MIN_SAVED_US)
        ]

    def _candidate(self, tools: Tools, touched: Touched, window: Window) -> Candidate:
        names = short(" and ".join(tools)) if len(tools) > 1 else f"{short(tools[0])} calls"
        share = touched.total / self._total_us if self._total_us else 0
        saved = formats.duration(touched.median)
        return Candidate(
            kind=KIND,
            title=f"{names} wait for each other in {share_of_runs(len(touched), window.total)}: at once, {saved} less",
            category=Category.LATENCY,
            severity=severity_of(wasted=share),
            signature=f"{KIND}:{','.join(tools)}",
            happens=(
                "These calls have the same parent and run one after the other. No model call is between them, so "
                "none was asked for because of the result of another."
            ),
            fix=(
                "Run the tool calls of one answer at once, as with asyncio.gather, and return the results in their "
                "order. Wait only for calls that change what the next one reads."
            ),
            evidence=(
                f"Without the waiting, a run would take {saved} less (the median), and all of them "
                f"{formats.duration(touched.total)}, which is {formats.percent(touched.total, self._total_us)} of "
                "the time of all runs."
            ),
            traces=touched.traces,
            harm=share,
            prior_count=len(self.before._touched[tools]) if self.before else None,
            cause=tools[0],
            duration_us=int(touched.total),
            citations=touched.citations(),
        )


def _rows(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """Two or more calls of tools with one parent and no model call since the first, none of which overlap."""
    rows: dict[int | None, list[Step]] = {}
    # Without model calls it can't be told what was asked for at once.
    has_asked = False
    for step in steps:
        if step.kind == "LLM":
            yield from (row for row in rows.values() if len(row) > 1)
            rows.clear()
            has_asked = True
        elif has_asked and step.kind in TOOL_KINDS:
            row = rows.setdefault(step.parent_id, [])
            if row and step.start_time < end_of(row[-1]):
                rows[step.parent_id] = []
            else:
                row.append(step)
    yield from (row for row in rows.values() if len(row) > 1)
