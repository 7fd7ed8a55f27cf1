"""Targets that a version did not sample. They have no label but count in coverage. See docs/adr/0012."""

from collections.abc import Sequence
from datetime import datetime

from django.db import connection, models

from signals.models.label_queue import LabelRequest
from signals.sampling import sampling_hash


class UnsampledQuerySet(models.QuerySet["Unsampled"]):
    def record(self, requests: Sequence[LabelRequest]) -> None:
        """Store these targets, unless they are stored or have a label of the version."""
        if not requests:
            return
        rows = [
            (
                request.version_id,
                request.signal_id,
                sampling_hash(request.target_key),
                request.target_key,
                request.target_time,
            )
            for request in requests
        ]
        columns = [list(column) for column in zip(*rows, strict=True)]
        with connection.cursor() as cursor:
            cursor.execute(_RECORD, columns)

    def discard_sampled(self, requests: Sequence[LabelRequest]) -> None:
        """Delete targets that have a label by now. All requests must be of one version."""
        if requests:
            version_id = requests[0].version_id
            self.filter(
                version=version_id, draw__in=[sampling_hash(request.target_key) for request in requests]
            ).delete()

    def delete_expired(self, before: datetime, limit: int) -> int:
        """Delete up to `limit` rows from before `before`. Return how many."""
        expired = self.filter(hour__lt=before).order_by("hour", "id")[:limit].values("id")
        return self.filter(id__in=expired).delete()[0]

    def delete_ahead(self, after: datetime, limit: int) -> int:
        """Delete up to `limit` rows of targets that begin after `after`: the sender's clock is off. Return how many."""
        ahead = self.filter(hour__gt=after).order_by("hour", "id")[:limit].values("id")
        return self.filter(id__in=ahead).delete()[0]


class Unsampled(models.Model):
    version = models.ForeignKey("signals.SignalVersion", on_delete=models.CASCADE, related_name="+", db_index=False)
    signal = models.ForeignKey(
        "signals.Signal", on_delete=models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    draw = models.BigIntegerField(help_text="The target: where it lies among all.")
    hour = models.DateTimeField(help_text="Start of the hour that it began in, as it was first seen.")

    objects = UnsampledQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "draw"], name="signals_unsampled_once")]
        indexes = [models.Index(fields=["hour", "id"], name="signals_unsampled_age")]
        verbose_name_plural = "unsampled"

    def __str__(self) -> str:
        return f"{self.version_id} {self.draw}"


_RECORD = """
    INSERT INTO signals_unsampled (version_id, signal_id, draw, hour)
    SELECT w.version_id, w.signal_id, w.draw, date_bin('1 hour', w.target_time, '2000-01-01 00:00+00')
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::timestamptz[])
        AS w (version_id, signal_id, draw, target_key, target_time)
    WHERE NOT EXISTS (
        SELECT FROM signals_label l WHERE l.version_id = w.version_id AND l.target_key = w.target_key
    )
    ORDER BY w.version_id, w.draw
    ON CONFLICT (version_id, draw) DO NOTHING
"""
