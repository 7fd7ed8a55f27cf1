"""The results of all health probes at one moment."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from catalyst import registry
from catalyst.health import Check, Metric
from catalyst.registry import Probe

STATEMENT_TIMEOUT = "10s"


@dataclass(frozen=True, slots=True)
class Reading:
    probe: Probe
    value: Any
    at: datetime

    def checks(self) -> list[Check]:
        return list(self.probe.judge(self.value, self.at))

    def metrics(self) -> list[Metric]:
        return list(self.probe.metrics(self.value, self.at))


@dataclass(frozen=True, slots=True)
class Snapshot:
    readings: tuple[Reading, ...]

    def checks(self) -> list[Check]:
        return [check for reading in self.readings for check in reading.checks()]

    def metrics(self) -> list[Metric]:
        return [metric for reading in self.readings for metric in reading.metrics()]


@contextmanager
def patience() -> Iterator[None]:
    """Limit every statement to STATEMENT_TIMEOUT, because a table may be locked. Raises django.db.Error."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [STATEMENT_TIMEOUT])
        yield


@patience()
def collect(now: datetime) -> Snapshot:
    """Raises django.db.Error if the database does not answer or has no tables."""
    return Snapshot(tuple(Reading(probe, probe.collect(now), now) for probe in registry.entries(Probe)))


def readiness_checks(now: datetime) -> list[Check]:
    """Raises django.db.Error. The last check is bad if requests can't be answered."""
    checks: list[Check] = []
    with patience():
        for probe in registry.entries(Probe):
            if not probe.decides_readiness:
                continue
            checks += Reading(probe, probe.collect(now), now).checks()
            # What comes later may read what is missing.
            if any(check.state == "bad" for check in checks):
                break
    return checks
