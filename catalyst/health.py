"""What a health probe gives: checks for the doctor, metrics for Prometheus. And what probes of several apps need."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from django.db import models

from catalyst import formats

type State = Literal["ok", "warn", "bad"]
type Sample = tuple[Mapping[str, str], float]

STATES: tuple[State, ...] = ("ok", "warn", "bad")
MAX_COUNTED = 100_000  # rows; nobody needs the exact length of a longer queue
RECENT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked. `advice` says what to do, and is empty when the state is ok."""

    part: str
    name: str
    state: State
    text: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of /metrics, with its samples and their labels."""

    name: str
    type: Literal["gauge", "counter"]
    help: str
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True)
class Queue:
    """Rows that wait, and those that are due, both up to MAX_COUNTED; and since when the oldest has been due."""

    total: int
    due: int
    oldest: datetime | None

    def lag(self, now: datetime) -> timedelta:
        """For how long the oldest row has been due."""
        if self.oldest is None:
            return timedelta()
        return max(now - self.oldest, timedelta())


def check(part: str, name: str, state: State, text: str, advice: str) -> Check:
    """A check that gives its advice only if something is wrong."""
    return Check(part, name, state, text, "" if state == "ok" else advice)


def check_queue(name: str, queue: Queue, what: str, patience: timedelta, now: datetime, advice: str) -> Check:
    """A queue is late when its oldest row has been due for `patience`, and bad after ten times that."""
    lag = queue.lag(now)
    text = f"{capped(queue.due)} {what} are due, {capped(queue.total)} wait in all"
    if queue.oldest:
        text += f"; the oldest has been due for {formats.lasting(lag)}"
    return check("Queues", name, graded(lag / patience, 1, 10), text, advice)


def graded(value: float, warn: float, bad: float) -> State:
    """The state of a number, by the limits from which it is worth a warning, or bad."""
    if value >= bad:
        return "bad"
    return "warn" if value >= warn else "ok"


def worst(states: Iterable[State]) -> State:
    """The state of the whole."""
    return max(states, key=STATES.index, default="ok")


def capped(count: int) -> str:
    """A number of rows that were counted up to MAX_COUNTED."""
    return f"{count:,}" if count < MAX_COUNTED else f"{count:,} or more"


def log_file(process: str) -> str:
    """Where `manage.py up` has the log of a process written."""
    return f"logs/{process}.log in CATALYST_DATA"


def gauge(name: str, text: str, samples: Iterable[Sample]) -> Metric:
    """A gauge, one sample for each set of labels."""
    return Metric(f"catalyst_{name}", "gauge", text, tuple(samples))


def gauge_of(name: str, text: str, value: float) -> Metric:
    """A gauge with one value and no labels."""
    return gauge(name, text, [({}, value)])


def counter(name: str, text: str, samples: Iterable[Sample]) -> Metric:
    """A counter, one sample for each set of labels. The name of a counter ends with `_total`."""
    return Metric(f"catalyst_{name}", "counter", text, tuple(samples))


def queue_of(rows: "models.QuerySet[Any]", due: str, now: datetime) -> Queue:
    """The queue that these rows are, with the name of the column of due times."""
    ripe = rows.filter(**{f"{due}__lte": now})
    return Queue(count_rows(rows), count_rows(ripe), ripe.order_by(due).values_list(due, flat=True).first())


def count_rows(rows: "models.QuerySet[Any]") -> int:
    """How many rows there are, up to MAX_COUNTED."""
    return rows.order_by()[:MAX_COUNTED].count()
