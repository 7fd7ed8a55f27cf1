"""How much traffic an agent had lately."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Sum

from catalyst.agents.models import Agent
from traces.models import AgentHour, Session

RECENT = timedelta(days=7)
MAX_SESSIONS = 10_000


@dataclass(frozen=True, slots=True)
class RecentVolume:
    """How many targets of each scope an agent had in the last week; up to MAX_SESSIONS sessions are counted."""

    spans: int
    traces: int
    sessions: int

    @property
    def has_no_sessions(self) -> bool:
        """Whether there is traffic, but no span says to which session it belongs."""
        return bool(self.traces) and not self.sessions


def recent_volume(agent: Agent, now: datetime) -> RecentVolume:
    """From hourly sums. Spans are the model calls, or as many as traces if there are none."""
    since = now - RECENT
    hours = AgentHour.objects.filter(project_id=agent.project_id, agent=agent, hour__gte=since)
    sums = hours.aggregate(traces=Sum("trace_count", default=0), calls=Sum("llm_count", default=0))
    sessions = Session.objects.filter(project_id=agent.project_id, agent=agent, end_time__gte=since).with_traces()
    return RecentVolume(sums["calls"] or sums["traces"], sums["traces"], sessions[:MAX_SESSIONS].count())
