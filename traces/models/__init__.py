"""Tables, each beside its QuerySet."""

from traces.models.agent_hours import AgentHour, AgentHourCalls, AgentHourLatency
from traces.models.agent_minutes import AgentMinute
from traces.models.call_names import CallName
from traces.models.choices import Kind, Outcome, Status
from traces.models.deploys import Deploy
from traces.models.expired_day import ExpiredDay
from traces.models.resource import Resource
from traces.models.settle_queue import QuietTime, Unsettled
from traces.models.span import PARTITIONED, Payload, Span, SpanKey, hex_span_id
from traces.models.trace import Counters, Session, Trace

__all__ = [
    "PARTITIONED",
    "AgentHour",
    "AgentHourCalls",
    "AgentHourLatency",
    "AgentMinute",
    "CallName",
    "Counters",
    "Deploy",
    "ExpiredDay",
    "Kind",
    "Outcome",
    "Payload",
    "QuietTime",
    "Resource",
    "Session",
    "Span",
    "SpanKey",
    "Status",
    "Trace",
    "Unsettled",
    "hex_span_id",
]
