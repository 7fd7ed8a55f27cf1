"""Wake-ups: the clock's notes of what it has asked the workers to run. Heartbeats: which processes live."""

from django.db import models

from catalyst.ops.querysets import HeartbeatQuerySet, WakeupQuerySet


class Wakeup(models.Model):
    """One kind of periodic work. While `enqueued_at` is set a wake-up is outstanding; the value is its token."""

    kind = models.CharField(max_length=40, primary_key=True)
    due_at = models.DateTimeField(help_text="When the next one may be enqueued.")
    enqueued_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True, help_text="When one last ended, well or not.")
    resumed_at = models.DateTimeField(
        null=True, blank=True, help_text="When it went on after it had not ended for long: the clock may have jumped."
    )
    last_error = models.TextField(blank=True, help_text="What went wrong in the one that ended last; empty if nothing.")

    objects = WakeupQuerySet.as_manager()

    def __str__(self) -> str:
        return self.kind


class Heartbeat(models.Model):
    """A process as it was when it last noted that it lives."""

    name = models.CharField(max_length=40, help_text="What it does: web, worker-default, clock, …")
    host = models.CharField(max_length=255)
    pid = models.IntegerField()
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    version = models.CharField(max_length=40)
    error = models.TextField(blank=True, help_text="What it last logged as an error; empty if nothing.")
    error_at = models.DateTimeField(null=True, blank=True)

    objects = HeartbeatQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name", "host", "pid"], name="ops_heartbeat_process")]

    def __str__(self) -> str:
        return f"{self.name} on {self.host}"
