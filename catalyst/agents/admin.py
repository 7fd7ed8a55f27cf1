"""The admin of agents."""

from django.contrib import admin

from catalyst.agents.models import Agent


@admin.register(Agent)
class AgentAdmin(admin.ModelAdmin[Agent]):
    # All but the name comes from spans.
    list_display = ("name", "identity", "source", "project", "first_seen_at")
    list_filter = ("project", "source")
    list_select_related = ("project",)
    search_fields = ("name", "identity")
    readonly_fields = ("project", "identity", "source", "first_seen_at")
