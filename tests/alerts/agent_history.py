"""An agent whose traces arrive, settle and are evaluated minute by minute, as live traffic makes it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from alerts import evaluation
from alerts.models import Alert, AlertState
from alerts.readings import COMMITTED_AFTER
from catalyst.core.models import Project
from catalyst.timerange import DAY, MINUTE, floor
from signals.targets import settling
from tests.factories import AGENT, make_agent
from tests.traces.sent import sent_span
from traces.ingest import pipeline
from traces.models import Trace

SETTLED = timedelta(seconds=30)


@dataclass(frozen=True)
class Ran:
    """One trace: when it began and settled, and what became of it."""

    began: datetime
    settled: datetime
    seconds: float
    failed: bool
    cost: float
    tokens: int


class AgentHistory:
    """`now` moves by `minute`, at the end of which what arrived settles, and alerts are evaluated."""

    def __init__(self, project: Project, now: datetime, *, agent: str = AGENT, first: int = 0) -> None:
        self.now = floor(now, MINUTE)
        self.project = project
        self.agent = make_agent(project, agent, seen=self.now - 90 * DAY)
        self.number = first
        self.settled: dict[int, datetime] = {}

    @property
    def seen(self) -> datetime:
        """When the window that ends now is evaluated."""
        return self.now + COMMITTED_AFTER

    def alert(self, *, name: str = "Errors", evaluated_until: datetime | None = None, **about: Any) -> Alert:
        columns = {
            "metric": "error_rate",
            "comparison": "absolute",
            "operator": "gte",
            "threshold": 0.5,
            "window": "5m",
        }
        alert = Alert.objects.create(
            project=self.project,
            agent=self.agent,
            name=name,
            created_at=self.now,
            updated_at=self.now,
            **columns | about,
        )
        AlertState.objects.create(alert=alert, evaluated_until=evaluated_until or self.now)
        return alert

    def run(
        self,
        count: int = 1,
        *,
        failed: int = 0,
        seconds: float = 1,
        tokens: int = 1_000_000,
        model: str = "gpt-4o-mini",
        ago: timedelta = timedelta(),
    ) -> None:
        """So many traces arrive now, some of which failed. Each ended now, or some time ago."""
        spans = []
        for place in range(count):
            self.number += 1
            start = self.now - ago - timedelta(seconds=seconds)
            root = sent_span(
                2 * self.number,
                trace=self.number,
                start=start,
                seconds=seconds,
                status="error" if place < failed else "ok",
                openinference__span__kind="LLM",
                llm__model_name=model,
                llm__token_count__prompt=tokens,
                agent__name=self.agent.identity,
            )
            spans.append(root)
            self.settled[self.number] = self.now
        if spans:
            pipeline.store(self.project.pk, spans, self.now)

    def minute(self, minutes: int = 1, *, evaluate: bool = True) -> None:
        for _ in range(minutes):
            settling.settle(self.now + SETTLED)
            self.now += MINUTE
            if evaluate:
                evaluation.evaluate(self.seen)

    def ran(self) -> list[Ran]:
        """All traces, from their rows."""
        return [
            Ran(
                began=trace.start_time,
                settled=self.settled[trace.trace_id.int],
                seconds=trace.duration_us / 1_000_000,
                failed=trace.status == "error",
                cost=float(trace.cost),
                tokens=trace.total_tokens,
            )
            for trace in Trace.objects.filter(
                project=self.project, trace_id__in=[UUID(int=number) for number in self.settled]
            )
        ]
