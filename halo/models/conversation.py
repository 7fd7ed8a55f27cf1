"""Conversations: a report and the questions asked about it."""

from django.db import models

from catalyst.agents.models import Agent
from catalyst.core.models import AuthoredModel, Project

MAX_TITLE_CHARACTERS = 120


class Conversation(AuthoredModel):
    """What the client calls a conversation. Its first run is the report, later ones answer questions about it."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="halo_conversations", db_index=False)
    title = models.CharField(max_length=MAX_TITLE_CHARACTERS)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField(help_text="Start of its newest run.")

    class Meta:
        indexes = [
            models.Index(fields=["project", "-updated_at", "-id"], name="halo_conversation_newest"),
            models.Index(fields=["agent", "-updated_at", "-id"], name="halo_conversation_agent"),
        ]

    def __str__(self) -> str:
        return self.title
