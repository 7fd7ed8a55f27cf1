"""Tables of reports."""

from halo.models.conversation import Conversation
from halo.models.finding import Citation, Finding, FindingTrace
from halo.models.run import Run, RunEvent

__all__ = ["Citation", "Conversation", "Finding", "FindingTrace", "Run", "RunEvent"]
