"""A day of a signal, minute by minute, against an oracle that knows nothing of the evaluation.

The day has steady traffic, a quiet night, labels that come late and never, a spike, a rate that flaps, a deploy that
changes the version, a backfill, and minutes in which nobody evaluated.
"""

import random
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from alerts.models import Alert, AlertEvent
from catalyst.core.models import Project
from catalyst.timerange import HOUR, MINUTE
from signals.models import SignalRun
from tests.alerts.history import History

pytestmark = [pytest.mark.slow, pytest.mark.django_db, pytest.mark.timeout(600)]
MORNING = datetime(2026, 11, 20, 6, tzinfo=UTC)
MINUTES = 14 * 60
DEPLOY, BACKFILL, OUTAGE = 500, 330, range(420, 432)


@dataclass
class Asked:
    """One live target: when it settled, and when it was judged how."""

    settled: datetime
    version: int
    judged: datetime | None = None
    value: str = ""


class Oracle:
    """Says what one alert should do, from a plain list of all targets."""

    def __init__(self, about: dict[str, float], asked: list[Asked], deployed: datetime) -> None:
        self.window = about["minutes"] * MINUTE
        self.about, self.asked, self.deployed = about, asked, deployed
        self.end = MORNING
        self.told: list[tuple[str, datetime]] = []
        self.is_firing = False
        self.fired: datetime | None = None
        self.calm: datetime | None = None

    def look(self, now: datetime) -> None:
        while self.end < now:
            end = self.end + MINUTE
            inside = [each for each in self.asked if end - self.window <= each.settled < end]
            inside = [each for each in inside if each.version == (2 if end > self.deployed else 1)]
            done = [each for each in inside if each.judged and each.judged <= now]
            if len(done) < len(inside) and now < end + 15 * MINUTE:
                return
            self.end = end
            if len(done) < len(inside) and len(done) < max(self.about["minimum"], 1):
                continue  # delayed
            self.take(end, done)

    def take(self, end: datetime, done: list[Asked]) -> None:
        share = sum(each.value == "yes" for each in done) / len(done) if done else 0
        breaches = len(done) >= max(self.about["minimum"], 1) and share >= self.about["threshold"]
        if breaches:
            self.calm = None
            has_cooled = self.fired is None or end >= self.fired + self.about["cooldown"] * MINUTE
            if not self.is_firing and has_cooled:
                self.is_firing, self.fired = True, end
                self.told.append(("fired", end))
        elif self.is_firing:
            self.calm = self.calm or end
            if end >= self.calm + 5 * MINUTE:
                self.is_firing, self.calm = False, None
                self.told.append(("resolved", end))


ALERTS = [
    {"minutes": 5, "threshold": 0.5, "minimum": 3, "cooldown": 0},
    {"minutes": 15, "threshold": 0.4, "minimum": 0, "cooldown": 60},
    {"minutes": 60, "threshold": 0.3, "minimum": 20, "cooldown": 15},
]


def rate_at(minute: int) -> tuple[float, float]:
    """Targets a minute, and the share of yes among them."""
    if 100 <= minute < 220:
        return (0.02, 0.1)  # a quiet night
    if 260 <= minute < 300:
        return (2, 0.7)  # a spike
    if 560 <= minute < 700:
        return (2, 0.8 if minute % 20 < 10 else 0.1)  # it flaps
    return (1.2, 0.12)


def row_of(history: History, name: str, about: dict[str, float]) -> Alert:
    windows = {5: "5m", 15: "15m", 60: "1h"}
    return history.alert(
        name=name,
        window=windows[int(about["minutes"])],
        threshold=about["threshold"],
        min_label_count=int(about["minimum"]),
        cooldown_minutes=int(about["cooldown"]),
    )


def test_it_does_what_the_oracle_says(project: Project) -> None:
    chance, history = random.Random(1), History(project, MORNING)
    asked: list[Asked] = []
    alerts = [row_of(history, f"Alert {number}", about) for number, about in enumerate(ALERTS)]
    oracles = [Oracle(about, asked, MORNING + DEPLOY * MINUTE) for about in ALERTS]
    waiting: list[Asked] = []
    for minute in range(MINUTES):
        if minute == DEPLOY:
            judge(history, waiting, chance, late=False)
            history.publish()
        if minute == BACKFILL:
            backfill(history)
        count, share = rate_at(minute)
        for _ in range(int(count) + (chance.random() < count % 1)):
            each = Asked(history.now, 1 if minute < DEPLOY else 2)
            each.value = "yes" if chance.random() < share else "no"
            asked.append(each)
            waiting.append(each)
            history.settle(1)
        # For a while the judge is slow: some labels come within the time that an alert waits, some after it.
        judge(history, waiting, chance, late=320 <= minute < 400)
        history.minute(evaluate=minute not in OUTAGE)
        if minute not in OUTAGE:
            for oracle in oracles:
                oracle.look(history.now)
    for alert, oracle in zip(alerts, oracles, strict=True):
        told = AlertEvent.objects.filter(alert=alert).order_by("window_end", "pk")
        assert [(event.kind, event.window_end) for event in told if event.kind in {"fired", "resolved"}] == oracle.told
    # Each kind of trouble was there.
    assert [len(oracle.told) > 1 for oracle in oracles] == [True, True, True]
    assert AlertEvent.objects.values("alert", "kind", "window_end").distinct().count() == AlertEvent.objects.count()


def judge(history: History, waiting: list[Asked], chance: random.Random, *, late: bool) -> None:
    """Judge what waits, the oldest first; in slow times only some of it."""
    count = len(waiting) if not late else sum(chance.random() < 0.02 for _ in waiting)
    judged, waiting[:] = waiting[:count], waiting[count:]
    if judged:
        history.judge([each.value for each in judged])
    for each in judged:
        each.judged = history.now


def backfill(history: History) -> None:
    """A hundred targets of a run, all of them yes. They are no live traffic."""
    window = {"window_start": MORNING - HOUR, "window_end": MORNING, "sample_rate": 100}
    run = SignalRun.objects.create(version=history.version, **window)
    history.settle(100, run=run)
