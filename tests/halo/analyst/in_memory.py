"""What rules read, from sent spans and without a database."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from uuid import UUID

from halo.analyst.material import Candidate, Rule, Step, TraceRun, Window
from tests.halo.traffic import Agent, make
from traces.ingest import pipeline
from traces.otlp import DecodedSpan
from traces.records import PayloadRecord, SpanRecord
from traces.summary import COUNTS, Summary, summarize


@dataclass
class Material:
    """The runs of one agent in a window, with their steps and texts. `read_count`: texts that were asked for."""

    window: Window
    steps: Mapping[UUID, Sequence[Step]]
    payloads: Mapping[UUID, Mapping[int, PayloadRecord]]
    read_count: int = field(default=0, init=False)

    def of(self, span_ids: Mapping[UUID, Collection[int]]) -> Mapping[UUID, Mapping[int, PayloadRecord]]:
        self.read_count += sum(map(len, span_ids.values()))
        return {
            trace_id: {span_id: self.payloads[trace_id][span_id] for span_id in wanted}
            for trace_id, wanted in span_ids.items()
        }

    def found(self, rule: Rule) -> dict[str, Candidate]:
        """What a rule finds, by signature."""
        for run in self.by_session():
            rule.add(run, self.steps[run.trace_id])
        candidates = rule.candidates(self.window, self)
        assert len({each.signature for each in candidates}) == len(candidates)
        return {each.signature: each for each in candidates}

    def by_session(self) -> list[TraceRun]:
        first: dict[int | None, datetime] = {}
        for run in self.window.runs:
            first.setdefault(run.session_id, run.start_time)
        return sorted(self.window.runs, key=lambda run: (first[run.session_id], run.session_id or 0, run.start_time))

    def runs(self, passes: Callable[[TraceRun], bool]) -> set[UUID]:
        return {run.trace_id for run in self.window.runs if passes(run)}


def planted(now: datetime, agent: Agent, kind: str, rate: float) -> tuple[Material, set[UUID]]:
    """The runs of an agent, and those of them in which a kind of finding is planted."""
    made = make(now, seed=1, plants={kind: rate}, agents=[agent])
    return of_spans(made.spans, made.start, made.end), set(made.planted[kind])


def ordinary(now: datetime, agent: Agent) -> Material:
    """The runs of an agent without plants."""
    return replace(_ordinary(now, agent))


@lru_cache(maxsize=8)
def _ordinary(now: datetime, agent: Agent) -> Material:
    # Each rule is shown the same, which takes long to make.
    made = make(now, seed=2, agents=[agent])
    return of_spans(made.spans, made.start, made.end)


def of_spans(spans: Sequence[DecodedSpan], start: datetime, end: datetime) -> Material:
    """All runs of these spans: those since `start` are in the window."""
    records: dict[UUID, list[SpanRecord]] = defaultdict(list)
    payloads: dict[UUID, dict[int, PayloadRecord]] = defaultdict(dict)
    for reading in pipeline.read(1, spans, end).readings:
        records[reading.span.trace_id].append(reading.span)
        payloads[reading.span.trace_id][reading.span.span_id] = reading.payload
    sessions: dict[str, int] = {}
    runs, steps = [], {}
    for trace_id, of_trace in records.items():
        of_trace.sort(key=lambda span: (span.start_time, span.span_id))
        summary = summarize(of_trace)
        session = sessions.setdefault(summary.session_key, len(sessions) + 1) if summary.session_key else None
        runs.append(_run(trace_id, summary, session))
        steps[trace_id] = [Step._make(getattr(span, name) for name in Step._fields) for span in of_trace]
    runs.sort(key=lambda run: run.start_time)
    window = Window(
        project_id=1,
        agent_id=1,
        start=start,
        end=end,
        runs=[run for run in runs if run.start_time >= start],
        prior=[run for run in runs if run.start_time < start],
    )
    return Material(window, steps, payloads)


def _run(trace_id: UUID, summary: Summary, session: int | None) -> TraceRun:
    known = {"trace_id": trace_id, "session_id": session, "model_names": tuple(summary.model_names)}
    return TraceRun._make(
        known[name] if name in known else getattr(summary.counts if name in COUNTS else summary, name)
        for name in TraceRun._fields
    )
