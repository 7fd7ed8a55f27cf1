"""Judge calls that ended: verdicts and their exchanges."""

from datetime import datetime

from django.db import models

from catalyst.core.models import Project


class Verdict(models.Model):
    """One judge call that ended. Never changed. `value` is empty when it gave no valid answer; `error` says why."""

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
    """The system message of a version's judge calls, which is the same for all its targets; kept once."""

    version = models.ForeignKey("signals.SignalVersion", on_delete=models.CASCADE, related_name="+", db_index=False)
    digest = models.CharField(max_length=64, help_text="SHA-256 of the text.")
    text = models.TextField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "digest"], name="signals_instructions_once")]
        verbose_name_plural = "instructions"

    def __str__(self) -> str:
        return f"{self.version_id} {self.digest}"


class ExchangeQuerySet(models.QuerySet["Exchange"]):
    """What judges were asked and answered."""

    def delete_expired(self, project: "Project", before: datetime, most: int) -> int:
        """Delete the oldest so many of a project that are from before; returns how many."""
        old = self.filter(project=project, created_at__lt=before).order_by("created_at")
        return self.filter(pk__in=list(old.values_list("pk", flat=True)[:most])).delete()[0]


class Exchange(models.Model):
    """What a judge was sent for a verdict, word for word, and what it answered. Not kept for as long as the verdict."""

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
