"""The health of the instance at one moment: what every registered probe collected."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from catalyst import registry
from catalyst.health import Check, Metric
from catalyst.registry import Probe

PATIENCE = "10s"


@dataclass(frozen=True, slots=True)
class Reading:
    """What one probe collected at a moment."""

    probe: Probe
    value: Any
    at: datetime

    def checks(self) -> list[Check]:
        """The judgement of the probe."""
        return list(self.probe.judge(self.value, self.at))

    def metrics(self) -> list[Metric]:
        """The numbers of the probe."""
        return list(self.probe.metrics(self.value, self.at))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The readings of all probes, in order."""

    readings: tuple[Reading, ...]

    def checks(self) -> list[Check]:
        """The judgements of all probes."""
        return [check for reading in self.readings for check in reading.checks()]

    def metrics(self) -> list[Metric]:
        """The numbers of all probes."""
        return [metric for reading in self.readings for metric in reading.metrics()]


@contextmanager
def patience() -> Iterator[None]:
    """Wait no longer than PATIENCE for each answer of the database: a table may be locked.

    Raises django.db.Error then.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [PATIENCE])
        yield


@patience()
def collect(now: datetime) -> Snapshot:
    """Ask all probes. Raises django.db.Error when the database does not answer or has no tables yet."""
    return Snapshot(tuple(Reading(probe, probe.collect(now), now) for probe in registry.entries(Probe)))


def readiness_checks(now: datetime) -> list[Check]:
    """What decides whether requests can be answered; the last is bad if they can't. Raises django.db.Error."""
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
