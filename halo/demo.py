"""The demo's reports: one of each agent, by the offline analyst."""

from datetime import datetime

from django.db import transaction

from catalyst.agents.models import Agent
from catalyst.timerange import DAY
from halo.choices import EngineKind
from halo.models import Conversation, Run, Schedule
from halo.runs import requests
from halo.runs.requests import Definition

WINDOW = 7 * DAY


@transaction.atomic
def load(project_id: int, now: datetime) -> None:
    """Ask for a report on the last week of each agent that has none."""
    for agent in Agent.objects.filter(project=project_id).select_related("project").order_by("pk"):
        if not Run.objects.filter(agent=agent).exists():
            window = Definition(
                window_start=now - WINDOW, window_end=now, engine=EngineKind.RULES, title="The week so far"
            )
            requests.create(agent, window, now)


def erase(project_id: int) -> None:
    Conversation.objects.filter(project=project_id).delete()
    Schedule.objects.filter(project=project_id).delete()
