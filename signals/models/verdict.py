"""Finished judge calls: verdicts and their exchanges."""

from datetime import datetime

from django.db import models

from catalyst.core.models import Project


class Verdict(models.Model):
    """One finished judge call. Never changed. Without a valid answer `value` is empty and `error` has the reason."""

    label = models.ForeignKey("signals.Label", on_delete=models.CASCADE, related_name="verdicts")
    revision = models.BigIntegerField(help_text="Revision of the target that was shown.")
    value = models.CharField(max_length=60, blank=True)
    reason = models.TextField(blank=True)
    error = models.TextField(blank=True)
    model = models.CharField(max_length=200)
    input_tokens = models.PositiveIntegerField(null=True)
    output_tokens = models.PositiveIntegerField(null=True)
    cached_tokens = models.PositiveIntegerField(null=True)
    cost = models.DecimalField(max_digits=20, decimal_places=9, null=True, help_text="US dollars; null: unpriced.")
    latency_ms = models.PositiveIntegerField()
    shown_digest = models.CharField(max_length=64, help_text="SHA-256 of the messages that the judge was sent.")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.label_id}: {self.value or self.error}"


class Instructions(models.Model):
    """The system message of a version's judge calls, stored once for all its targets."""

    version = models.ForeignKey("signals.SignalVersion", on_delete=models.CASCADE, related_name="+", db_index=False)
    digest = models.CharField(max_length=64, help_text="SHA-256 of the text.")
    text = models.TextField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "digest"], name="signals_instructions_once")]
        verbose_name_plural = "instructions"

    def __str__(self) -> str:
        return f"{self.version_id} {self.digest}"


class ExchangeQuerySet(models.QuerySet["Exchange"]):
    def delete_expired(self, project: "Project", before: datetime, limit: int) -> int:
        """Delete up to `limit` exchanges of a project from before `before`. Return how many."""
        expired = self.filter(project=project, created_at__lt=before).order_by("created_at")
        return self.filter(pk__in=list(expired.values_list("pk", flat=True)[:limit])).delete()[0]


class Exchange(models.Model):
    """The exact messages of a verdict's call. Deleted earlier than the verdict."""

    verdict = models.OneToOneField("signals.Verdict", on_delete=models.CASCADE, primary_key=True)
    project = models.ForeignKey(
        Project, on_delete=models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False
    )
    instructions = models.ForeignKey(
        Instructions, on_delete=models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False
    )
    said = models.BinaryField(help_text="User message and end of the answer, packed.")
    created_at = models.DateTimeField()

    objects = ExchangeQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["project", "created_at"], name="signals_exchange_age")]

    def __str__(self) -> str:
        return f"Exchange of verdict {self.verdict_id}"
