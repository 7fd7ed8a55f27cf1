"""Recent traffic of an agent."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Sum

from catalyst.agents.models import Agent
from traces.models import AgentHour, Session

RECENT = timedelta(days=7)
MAX_SESSIONS = 10_000


@dataclass(frozen=True, slots=True)
class RecentVolume:
    """Targets by scope in the last 7 days, up to MAX_SESSIONS sessions."""

    spans: int
    traces: int
    sessions: int

    @property
    def has_no_sessions(self) -> bool:
        return bool(self.traces) and not self.sessions


def has_sessions(agent: Agent) -> bool:
    return Session.objects.filter(project_id=agent.project_id, agent=agent).with_traces().exists()


def recent_volume(agent: Agent, now: datetime) -> RecentVolume:
    # Without model calls, the root of each trace is a target of span signals.
    since = now - RECENT
    hours = AgentHour.objects.filter(project_id=agent.project_id, agent=agent, hour__gte=since)
    sums = hours.aggregate(traces=Sum("trace_count", default=0), calls=Sum("llm_count", default=0))
    sessions = Session.objects.filter(project_id=agent.project_id, agent=agent, end_time__gte=since).with_traces()
    return RecentVolume(sums["calls"] or sums["traces"], sums["traces"], sessions[:MAX_SESSIONS].count())
