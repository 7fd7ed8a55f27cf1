"""OTLP endpoints and pages."""

from uuid import UUID

from django.conf import settings
from django.urls import path, register_converter
from django.urls.converters import StringConverter

from traces.api import export_logs, export_metrics, export_traces
from traces.views import agents, sessions, traces


class TraceIdConverter:
    regex = "[0-9a-f]{32}"

    def to_python(self, value: str) -> UUID:
        return UUID(hex=value)

    def to_url(self, value: UUID | str) -> str:
        return value.hex if isinstance(value, UUID) else value


class HexConverter(StringConverter):
    """The id of a span, or the digest of an attachment."""

    regex = "[0-9a-f]{16}"


register_converter(TraceIdConverter, "trace_id")
register_converter(HexConverter, "hex16")

app_name = "traces"
urlpatterns = [
    *(path(otlp_path, export_traces) for otlp_path in settings.OTLP_PATHS),
    *(path(otlp_path, export_metrics) for otlp_path in settings.OTLP_METRICS_PATHS),
    *(path(otlp_path, export_logs) for otlp_path in settings.OTLP_LOGS_PATHS),
    path("p/<slug:project>/agents/", agents.agent_list, name="agent-list"),
    path("p/<slug:project>/agents/<int:pk>/", agents.agent_detail, name="agent-detail"),
    path("p/<slug:project>/agents/<int:pk>/sessions/", agents.agent_sessions, name="agent-sessions"),
    path("p/<slug:project>/agents/<int:pk>/traces/", agents.agent_traces, name="agent-traces"),
    path("p/<slug:project>/traces/", traces.trace_list, name="trace-list"),
    path("p/<slug:project>/traces/<trace_id:trace_id>/", traces.trace_detail, name="trace-detail"),
    path("p/<slug:project>/traces/<trace_id:trace_id>/spans/<hex16:span_id>/json/", traces.span_json, name="span-json"),
    path(
        "p/<slug:project>/traces/<trace_id:trace_id>/spans/<hex16:span_id>/attachments/<hex16:digest>/",
        traces.attachment,
        name="attachment-show",
    ),
    path("p/<slug:project>/sessions/", sessions.session_list, name="session-list"),
    path("p/<slug:project>/sessions/<int:pk>/", sessions.session_detail, name="session-detail"),
]
