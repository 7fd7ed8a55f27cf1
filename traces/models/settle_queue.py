"""The settle queue."""

from datetime import timedelta

from django.db import models

from catalyst.agents.models import Agent
from catalyst.core.models import Project

# The longest quiet time that a signal may ask for.
MAX_QUIET = timedelta(hours=24)


class Unsettled(models.Model):
    """A target that received spans and settles at `due_at`.

    Ingest upserts it in its transaction; settling deletes it. SPAN and TRACE rows name a Trace, SESSION rows a Session.
    A session that has to be quiet for longer for some signals stays, due when the next of them evaluates it.
    """

    class Scope(models.TextChoices):
        SPAN = "span", "Span"
        TRACE = "trace", "Trace"
        SESSION = "session", "Session"

    # No constraint: it would lock the project's row for each trace that receives spans.
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    scope = models.CharField(max_length=7, choices=Scope)
    target_id = models.BigIntegerField(help_text="Primary key of the Trace or Session.")
    due_at = models.DateTimeField()
    since = models.DateTimeField(help_text="When the first span arrived that has not settled yet.")
    is_first = models.BooleanField(
        default=False, db_default=False, help_text="A trace that has not settled before. It is counted when it does."
    )
    looked_at = models.DateTimeField(
        null=True, help_text="When it last settled for some signals and stayed for others. Null: not since it grew."
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scope", "target_id"], name="traces_unsettled_key")]
        # Projects take turns.
        indexes = [models.Index(fields=["project", "due_at"], name="traces_unsettled_next")]
        verbose_name_plural = "unsettled"

    def __str__(self) -> str:
        return f"{self.scope} {self.target_id}"


class QuietTime(models.Model):
    """The shortest quiet time after which an agent's sessions settle for some signal. No row: the instance's."""

    agent = models.OneToOneField(Agent, on_delete=models.CASCADE, primary_key=True, related_name="+")
    session = models.DurationField()

    def __str__(self) -> str:
        return f"{self.agent}: {self.session}"
