"""Tables of reports."""

from halo.models.conversation import Conversation
from halo.models.finding import Citation, Finding, FindingTrace
from halo.models.issue import Issue
from halo.models.run import Run, RunEvent
from halo.models.schedule import Schedule

__all__ = ["Citation", "Conversation", "Finding", "FindingTrace", "Issue", "Run", "RunEvent", "Schedule"]
