"""Whether each judge answers."""

from datetime import datetime

from django.db import models

from signals.models.label_queue import MAX_WAIT


class JudgeHealthQuerySet(models.QuerySet["JudgeHealth"]):
    """Whether the judges answer."""

    def clamp_future_times(self, now: datetime) -> None:
        """End pauses that are longer than can be, made when the machine's clock was ahead."""
        self.filter(paused_until__gt=now + MAX_WAIT).update(paused_until=now)

    def failing(self) -> "JudgeHealthQuerySet":
        """Judges that did not answer when last asked, for people to see."""
        return self.filter(failures__gt=0).order_by("model")


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
