"""Runs and their steps by hand in few words, as rules read them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from halo.analyst.material import Candidate, CountsPrior, Rule, Step, TraceRun, Window
from traces.records import PayloadRecord

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def a_run(number: int, **about: Any) -> TraceRun:
    """A run that ends well, `number` minutes after noon, in a session of its own."""
    start = about.pop("start_time", NOON + number * MINUTE)
    known: dict[str, Any] = {
        "trace_id": UUID(int=number + 1), "start_time": start, "end_time": start + SECOND, "duration_us": 1_000_000,
        "name": "agent", "status": "ok", "outcome": "success", "root_ended": True, "session_id": number + 1,
        "user": "", "service_version": "1", "environment": "prod", "model_names": ("gpt-4o",), "span_count": 3,
        "llm_count": 1, "tool_count": 1, "error_count": 0, "input_tokens": 100, "output_tokens": 10,
        "cached_tokens": 0, "cost": Decimal("0.01"), "unpriced_count": 0, "skewed": False,
    }  # fmt: skip
    return TraceRun(**known | about)


def failed(number: int, **about: Any) -> TraceRun:
    """A run whose root failed."""
    return a_run(number, **{"status": "error", "outcome": "failure", "error_count": 1, **about})


def a_step(span: int, parent: int | None = None, kind: str = "TOOL", **about: Any) -> Step:
    """A step, `span` seconds after noon."""
    known: dict[str, Any] = {
        "span_id": span, "parent_id": parent, "start_time": NOON + span * SECOND, "duration_us": 1_000_000,
        "kind": kind, "name": "search" if kind == "TOOL" else kind.lower(), "status": "ok", "status_message": "",
        "model": "", "tool": "search" if kind == "TOOL" else "", "input_tokens": None, "output_tokens": None,
        "cached_tokens": None, "cost": None, "input_size": 20, "output_size": 500,
    }  # fmt: skip
    return Step(**known | about)


def an_error(span: int, parent: int | None = 1, message: str = "TimeoutError: no answer", **about: Any) -> Step:
    """A step that failed."""
    return a_step(span, parent, status="error", status_message=message, **about)


@dataclass
class Traffic:
    """Runs with their steps, those before, and texts by run number and span."""

    runs: list[tuple[TraceRun, Sequence[Step]]] = field(default_factory=list)
    prior: list[tuple[TraceRun, Sequence[Step]]] = field(default_factory=list)
    payloads: Mapping[int, Mapping[int, PayloadRecord]] = field(default_factory=dict)
    read: list[int] = field(default_factory=list)

    def add(self, runs: Iterable[TraceRun], *steps: Step) -> "Traffic":
        """Add runs that all have these steps."""
        self.runs += [(run, steps) for run in runs]
        return self

    def add_prior(self, runs: Iterable[TraceRun], *steps: Step) -> "Traffic":
        """Add runs of the window before."""
        self.prior += [(run, steps) for run in runs]
        return self

    @property
    def window(self) -> Window:
        by_start = sorted((run for run, _ in self.runs), key=lambda run: run.start_time)
        day = timedelta(days=1)
        return Window(
            project_id=1, agent_id=1, start=NOON, end=NOON + day, runs=by_start, prior=[run for run, _ in self.prior]
        )

    def of(self, span_ids: Mapping[UUID, Collection[int]]) -> Mapping[UUID, Mapping[int, PayloadRecord]]:
        self.read += [span for spans in span_ids.values() for span in spans]
        return {
            trace_id: {span: text for span, text in self.payloads.get(trace_id.int - 1, {}).items() if span in wanted}
            for trace_id, wanted in span_ids.items()
        }

    def found(self, rule: Rule) -> list[Candidate]:
        """What a rule finds."""
        for run, steps in self.runs:
            rule.add(run, steps)
        if isinstance(rule, CountsPrior):
            for run, steps in self.prior:
                rule.add_prior(run, steps)
        return list(rule.candidates(self.window, self))


def numbers(candidate: Candidate) -> list[int]:
    """The numbers of the runs that a finding touches."""
    return sorted(trace_id.int - 1 for trace_id in candidate.traces)
