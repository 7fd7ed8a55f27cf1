"""Pages of the traces app."""

from uuid import UUID

from django.urls import path, register_converter

from traces import agent_views, session_views, views


class TraceIdConverter:
    """32 hexadecimal digits."""

    regex = "[0-9a-f]{32}"

    def to_python(self, value: str) -> UUID:
        """The id as stored."""
        return UUID(hex=value)

    def to_url(self, value: UUID | str) -> str:
        """The id as OpenTelemetry writes it."""
        return value.hex if isinstance(value, UUID) else value


register_converter(TraceIdConverter, "trace_id")

app_name = "traces"
urlpatterns = [
    path("p/<slug:project>/agents/", agent_views.agent_list, name="agent-list"),
    path("p/<slug:project>/agents/<int:pk>/", agent_views.agent_detail, name="agent-detail"),
    path("p/<slug:project>/agents/<int:pk>/sessions/", agent_views.agent_sessions, name="agent-sessions"),
    path("p/<slug:project>/agents/<int:pk>/traces/", agent_views.agent_traces, name="agent-traces"),
    path("p/<slug:project>/agents/<int:pk>/analysis/", agent_views.agent_analysis, name="agent-analysis"),
    path("p/<slug:project>/traces/", views.trace_list, name="trace-list"),
    path("p/<slug:project>/traces/<trace_id:trace_id>/", views.trace_detail, name="trace-detail"),
    path("p/<slug:project>/sessions/", session_views.session_list, name="session-list"),
    path("p/<slug:project>/sessions/<int:pk>/", session_views.session_detail, name="session-detail"),
]
