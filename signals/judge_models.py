"""What is kept about judges: what they were asked and answered, whether they answer, and what they cost."""

from datetime import UTC, datetime

from django.db import models

from catalyst.core.models import Project
from signals.budgets import BudgetQuerySet, Calls, Cap
from signals.querysets import ExchangeQuerySet, JudgeHealthQuerySet


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


class Exchange(models.Model):
    """What a judge was sent for a verdict, word for word, and what it answered. Not kept for as long as the verdict."""

    verdict = models.OneToOneField("signals.Verdict", on_delete=models.CASCADE, primary_key=True)
    project = models.ForeignKey(
        Project, on_delete=models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False
    )
    instructions = models.ForeignKey(
        Instructions, on_delete=models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False
    )
    said = models.BinaryField(help_text="User message and end of the answer, packed; see `signals.exchanges`.")
    created_at = models.DateTimeField()

    objects = ExchangeQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["project", "created_at"], name="signals_exchange_age")]

    def __str__(self) -> str:
        return f"Exchange of verdict {self.verdict_id}"


class JudgeHealth(models.Model):
    """Whether a judge model answers. While it does not, nothing is sent to it until `paused_until`, and work waits."""

    url = models.CharField(max_length=500)
    model = models.CharField(max_length=200)
    failures = models.PositiveIntegerField(default=0, help_text="Pauses since it last answered.")
    paused_until = models.DateTimeField(null=True)
    error = models.TextField(blank=True, help_text="Why it is paused, in words for people; empty once it answers.")
    answered_at = models.DateTimeField(null=True, help_text="Last answer, to within ten seconds.")

    objects = JudgeHealthQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["url", "model"], name="signals_judgehealth_key")]
        verbose_name_plural = "judge health"

    def __str__(self) -> str:
        return f"{self.model} at {self.url}"


class Budget(models.Model):
    """What judging may cost on a UTC day, and what it did: that of one signal, or of all signals of a project."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    signal = models.ForeignKey(
        "signals.Signal", on_delete=models.CASCADE, null=True, related_name="+", help_text="Null: all of the project."
    )
    daily_usd = models.DecimalField(
        max_digits=12, decimal_places=4, null=True, help_text="The most for one day, in US dollars; null: no cap."
    )
    daily_calls = models.PositiveIntegerField(null=True, help_text="The most judge calls for one day; null: no cap.")
    day = models.DateField(help_text="The UTC day of `calls`, `spent` and `allowed_calls`.")
    calls = models.IntegerField(default=0, help_text="Judge calls that ended, with a label or without.")
    spent = models.DecimalField(max_digits=20, decimal_places=9, default=0, help_text="US dollars.")
    allowed_calls = models.IntegerField(
        default=0,
        db_default=0,
        help_text="On `day` judging goes on beyond the cap until `calls` is that many: to catch up.",
    )

    objects = BudgetQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "signal"], nulls_distinct=False, name="signals_budget_key"),
        ]

    def __str__(self) -> str:
        return f"Spending of {self.signal or self.project}"

    @property
    def cap(self) -> Cap:
        """The most for one day."""
        return Cap(self.daily_usd, self.daily_calls)

    def spent_on(self, now: datetime) -> Calls:
        """What was spent so far on the day of that moment."""
        return Calls(self.calls, self.spent) if self._is_of(now) else Calls()

    def allowed_on(self, now: datetime) -> int:
        """How many calls may be made beyond the cap on the day of that moment, those made before included."""
        return self.allowed_calls if self._is_of(now) else 0

    def _is_of(self, now: datetime) -> bool:
        return self.day >= now.astimezone(UTC).date()
