"""Label requests by the minute in which they settled, with their outcomes. See docs/adr/0019."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import Q

from catalyst.timerange import MINUTE, floor
from signals.models.folding import FoldingQuerySet
from signals.models.label import Label


class SettledMinuteQuerySet(FoldingQuerySet["SettledMinute"]):
    def _fold_statement(self) -> str:
        return _FOLD

    def answer_superseded(self, judged: Iterable[tuple[Label, str, str]]) -> None:
        """Replace the outcome "superseded" of requests whose target grew while they were judged.

        `judged`: (label as claimed, outcome, value).
        """
        # They are superseded from the moment the target grows, in case the worker dies.
        changes = []
        for claimed, outcome, value in judged:
            if claimed.settled_at is None:
                continue
            request: dict[str, Any] = {
                "version_id": claimed.version_id,
                "minute": floor(claimed.settled_at, MINUTE),
                "is_live": claimed.settled_live,
            }
            changes.append(SettledMinute(**request, outcome=SettledMinute.Outcome.SUPERSEDED, count=-1))
            changes.append(SettledMinute(**request, outcome=outcome, value=value, count=1))
        self.bulk_create(changes)

    def delete_expired(self, before: datetime, limit: int) -> int:
        """Delete up to `limit` rows from before `before`. Return how many."""
        expired = self.filter(minute__lt=before).order_by("minute").values_list("id", flat=True)[:limit]
        return self.filter(id__in=list(expired)).delete()[0]


class SettledMinute(models.Model):
    """Label requests of one version that settled in one minute, by origin and outcome.

    A request is one revision of one target. Triggers on `Label` insert changes; folding merges them.
    """

    class Outcome(models.TextChoices):
        WAITING = "waiting", "Not judged yet"
        DONE = "done", "Labelled"
        FAILED = "failed", "Failed"
        SKIPPED = "skipped", "No content"
        SUPERSEDED = "superseded", "Its target grew before it was judged"
        CANCELLED = "cancelled", "Left the queue"

    version = models.ForeignKey(
        "signals.SignalVersion", on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    minute = models.DateTimeField(help_text="Start of the minute, in UTC.")
    is_live = models.BooleanField(help_text="Whether arriving traffic asked for it, not a backfill.")
    outcome = models.CharField(max_length=10, choices=Outcome)
    value = models.CharField(max_length=60, blank=True, help_text="With the outcome done.")
    count = models.IntegerField(help_text="Requests; of a change, how many more or, below zero, fewer.")
    folded = models.BooleanField(default=False, help_text="Whether it is the one row of its kind, not a change.")

    objects = SettledMinuteQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["version", "minute", "is_live", "outcome", "value"],
                condition=Q(folded=True),
                name="signals_settledminute_kind",
            )
        ]
        indexes = [
            # A version's window.
            models.Index(fields=["version", "minute"], name="signals_settledminute_window"),
            # Retention.
            models.Index(fields=["minute"], name="signals_settledminute_age"),
            # Which windows are not complete yet.
            models.Index(
                fields=["version", "minute"], condition=Q(outcome="waiting"), name="signals_settledminute_waiting"
            ),
            models.Index(fields=["id"], condition=Q(folded=False), name="signals_settledminute_change"),
        ]

    def __str__(self) -> str:
        return f"{self.count} {self.outcome} {self.value} in {self.minute:%Y-%m-%d %H:%M}"


_FOLD = """
    WITH changes AS (
        DELETE FROM signals_settledminute WHERE id IN (
            SELECT id FROM signals_settledminute WHERE NOT folded ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
        ) RETURNING *
    ), kinds AS (
        INSERT INTO signals_settledminute AS m (version_id, minute, is_live, outcome, value, count, folded)
        SELECT version_id, minute, is_live, outcome, value, sum(count), true
        FROM changes GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
        ON CONFLICT (version_id, minute, is_live, outcome, value) WHERE folded
            DO UPDATE SET count = m.count + EXCLUDED.count
        RETURNING id, count
    )
    SELECT (SELECT count(*) FROM changes), (SELECT array_agg(id) FROM kinds WHERE count = 0)
"""
