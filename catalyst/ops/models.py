"""Wake-ups: the clock's notes of what it has asked the workers to run."""

from django.db import models

from catalyst.ops.querysets import WakeupQuerySet


class Wakeup(models.Model):
    """One kind of periodic work. While `enqueued_at` is set a wake-up is outstanding; the value is its token."""

    kind = models.CharField(max_length=40, primary_key=True)
    due_at = models.DateTimeField(help_text="When the next one may be enqueued.")
    enqueued_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True, help_text="When one last ended, well or not.")
    last_error = models.TextField(blank=True, help_text="What went wrong in the one that ended last; empty if nothing.")

    objects = WakeupQuerySet.as_manager()

    def __str__(self) -> str:
        return self.kind
