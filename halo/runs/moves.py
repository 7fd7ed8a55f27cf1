"""Reports of agents that are merged."""

from catalyst.agents.models import Agent
from halo.models import Conversation, Finding, Issue, Run, Schedule


def move_reports(source: Agent, into: Agent) -> None:
    """Give what reports know of an agent to the one that it is merged with, in the caller's transaction."""
    for model in (Conversation, Run, Finding, Issue, Schedule):
        model.objects.filter(agent=source).update(agent=into)
