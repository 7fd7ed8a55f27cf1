"""Periodic runs and heartbeats."""

from datetime import datetime, timedelta

from django.db import models
from django.db.models import Case, F, Max, Q, Value, When
from django.db.models.functions import Greatest

LOST_AFTER = timedelta(seconds=15)
OVERDUE_AFTER = timedelta(seconds=10)
FAILED_PAUSE = timedelta(seconds=10)
HEARTBEATS_KEPT = timedelta(days=1)
CLOCKS_DIFFER = timedelta(minutes=1)
LONG_PAUSE = timedelta(days=1)
STEADY_AFTER = timedelta(hours=1)


class PeriodicRunQuerySet(models.QuerySet["PeriodicRun"]):
    def register(self, kinds: list[str], now: datetime) -> None:
        """Create missing rows. New kinds are overdue."""
        overdue = now - OVERDUE_AFTER
        self.bulk_create([self.model(kind=kind, due_at=overdue) for kind in kinds], ignore_conflicts=True)

    def reset_outstanding(self, now: datetime) -> None:
        """Make every kind overdue. For starts, when no worker can finish an outstanding run."""
        self.update(enqueued_at=None, seen_at=None, due_at=now - OVERDUE_AFTER)

    def reset_after_clock_went_back(self, now: datetime) -> timedelta:
        """Return the time by which the clock went back since the newest run, and make every kind overdue if it did.

        Less than CLOCKS_DIFFER counts as nothing, because the clocks of several machines differ.
        """
        newest: datetime | None = self.aggregate(at=Max(Greatest("enqueued_at", "finished_at")))["at"]
        if newest is None or newest - now < CLOCKS_DIFFER:
            return timedelta()
        self.filter(finished_at__gt=now).update(finished_at=now)
        self.filter(resumed_at__gt=now).update(resumed_at=now)
        self.reset_outstanding(now)
        return newest - now

    def due(self, now: datetime) -> dict[str, bool]:
        """Return the kinds that may be enqueued, and whether each is overdue.

        An outstanding run blocks its kind until LOST_AFTER has passed without a sign of its worker.
        """
        free = self._free(now).values_list("kind", "due_at")
        return {kind: due_at <= now - OVERDUE_AFTER for kind, due_at in free}

    def take(self, kind: str, interval: timedelta, now: datetime) -> bool:
        """Mark a kind as enqueued at `now`. Returns False if it is no longer due."""
        paused = When(finished_at__lt=now - LONG_PAUSE, then=Value(now))
        resumed_at = Case(paused, default=F("resumed_at"))
        changes = {"enqueued_at": now, "due_at": now + interval, "resumed_at": resumed_at, "seen_at": None}
        return bool(self._free(now).filter(kind=kind).update(**changes))

    def _free(self, now: datetime) -> "PeriodicRunQuerySet":
        silent = Q(seen_at=None) | Q(seen_at__lte=now - LOST_AFTER)
        free = Q(enqueued_at=None) | Q(silent, enqueued_at__lte=now - LOST_AFTER)
        return self.filter(free, due_at__lte=now)

    def is_steady(self, kind: str, now: datetime) -> bool:
        """Return False during STEADY_AFTER after a pause of LONG_PAUSE, when expired rows must not be deleted.

        After a pause the clock may have jumped ahead. The delay leaves time to correct it.
        """
        return not self.filter(kind=kind, resumed_at__gt=now - STEADY_AFTER).exists()

    def touch(self, kind: str, token: datetime, now: datetime) -> bool:
        """Note that a worker is at the run enqueued at `token`. Returns False if that has finished or been replaced."""
        return bool(self.filter(kind=kind, enqueued_at=token).update(seen_at=now))

    def finish(self, kind: str, token: datetime, now: datetime, error: str = "") -> None:
        """Note that the run enqueued at `token` has ended, even if it has been replaced.

        After an error the next one waits FAILED_PAUSE.
        """
        self.filter(kind=kind).update(finished_at=now, last_error=error)
        changes = {"due_at": now + FAILED_PAUSE} if error else {}
        self.filter(kind=kind, enqueued_at=token).update(enqueued_at=None, seen_at=None, **changes)

    def all_begun_since(self, kinds: list[str], moment: datetime) -> bool:
        """Return whether a worker has begun or finished a run of every kind since then."""
        begun = Q(seen_at__gte=moment) | Q(finished_at__gte=moment)
        return self.filter(begun, kind__in=kinds).count() == len(kinds)


class PeriodicRun(models.Model):
    """One kind of periodic work. `enqueued_at` is the token of the outstanding run."""

    kind = models.CharField(max_length=40, primary_key=True)
    due_at = models.DateTimeField(help_text="When the next one may be enqueued.")
    enqueued_at = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(
        null=True, blank=True, help_text="When the worker of the outstanding run last showed that it is at it."
    )
    finished_at = models.DateTimeField(null=True, blank=True, help_text="When one last ended, well or not.")
    resumed_at = models.DateTimeField(
        null=True, blank=True, help_text="When it went on after it had not ended for long: the clock may have jumped."
    )
    last_error = models.TextField(blank=True, help_text="What went wrong in the one that ended last; empty if nothing.")

    objects = PeriodicRunQuerySet.as_manager()

    class Meta:
        db_table = "ops_wakeup"

    def __str__(self) -> str:
        return self.kind


class HeartbeatQuerySet(models.QuerySet["Heartbeat"]):
    def beat(self, heartbeat: "Heartbeat") -> None:
        key = ["name", "host", "pid"]
        changing = ["started_at", "seen_at", "version", "error", "error_at"]
        self.bulk_create([heartbeat], update_conflicts=True, unique_fields=key, update_fields=changing)

    def remove(self, name: str, host: str, pid: int) -> None:
        """Delete the heartbeat of a process that stopped normally."""
        self.filter(name=name, host=host, pid=pid).delete()

    def delete_expired(self, now: datetime) -> None:
        # Rows of processes that crashed.
        self.filter(seen_at__lt=now - HEARTBEATS_KEPT).delete()

    def newest(self) -> "HeartbeatQuerySet":
        """The latest heartbeat per process and host."""
        return self.order_by("name", "host", "-seen_at").distinct("name", "host")


class Heartbeat(models.Model):
    """The last heartbeat of a process."""

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
