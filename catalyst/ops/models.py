"""Wake-ups: the clock's notes of what it has asked django-q2 to run."""

from django.db import models


class Wakeup(models.Model):
    """One kind of periodic work. A kind with `enqueued_at` later than `finished_at` is outstanding and not enqueued again
    until it is overdue."""

    kind = models.CharField(max_length=40, primary_key=True)
    enqueued_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    last_error = models.TextField(blank=True)

    def __str__(self) -> str:
        return self.kind
