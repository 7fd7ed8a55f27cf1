"""Tell ingest how early sessions settle for some signal."""

from datetime import timedelta

from django.db.models import Min

from catalyst.agents.models import Agent
from signals.definitions.choices import Scope
from signals.models import Signal
from traces.ingest import settle_queue


def refresh(agent: Agent) -> None:
    """Call this with `requeue.take_signal_lock`, after a change of which signals are live or of their quiet times."""
    own = Signal.objects.for_agent(agent).live().filter(scope=Scope.SESSION, quiet_minutes__isnull=False)
    shortest = own.aggregate(shortest=Min("quiet_minutes"))["shortest"]
    settle_queue.set_quiet_time(agent.pk, None if shortest is None else timedelta(minutes=shortest))
