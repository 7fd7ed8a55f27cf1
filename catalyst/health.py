"""Results of health probes: checks for the doctor, metrics for Prometheus."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from django.db import models

from catalyst import formats
from catalyst.fairness import waiting_projects

type State = Literal["ok", "warn", "bad"]
type Sample = tuple[Mapping[str, str], float]

STATES: tuple[State, ...] = ("ok", "warn", "bad")
MAX_COUNTED = 100_000  # rows; nobody needs the exact length of a longer queue
RECENT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Check:
    """One result of a probe. `advice` is empty if the state is ok.

    `href`: a page of the project with this id that lists what the text counts.
    """

    part: str
    name: str
    state: State
    text: str
    advice: str = ""
    href: str = ""
    project_id: int | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    name: str
    type: Literal["gauge", "counter"]
    help: str
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True)
class Queue:
    """Rows in total and rows due, both counted up to MAX_COUNTED. `oldest` is the earliest due time."""

    total: int
    due: int
    oldest: datetime | None

    def lag(self, now: datetime) -> timedelta:
        if self.oldest is None:
            return timedelta()
        return max(now - self.oldest, timedelta())


def check(part: str, name: str, state: State, text: str, advice: str) -> Check:
    # Drops the advice of a check that is ok.
    return Check(part, name, state, text, "" if state == "ok" else advice)


def check_queue(name: str, queue: Queue, items: str, patience: timedelta, now: datetime, advice: str) -> Check:
    """Warn if the oldest row has been due for `patience`, and fail after ten times that."""
    lag = queue.lag(now)
    text = f"{capped(queue.due)} {items}, {capped(queue.total)} are queued in all"
    if queue.oldest:
        text += f"; the oldest has been ready for {formats.lasting(lag)}"
    return check("Queues", name, graded(lag / patience, 1, 10), text, advice)


def graded(value: float, warn: float, bad: float) -> State:
    """Return the state of a number. `warn` and `bad` are the lowest values of these states."""
    if value >= bad:
        return "bad"
    return "warn" if value >= warn else "ok"


def worst(states: Iterable[State]) -> State:
    return max(states, key=STATES.index, default="ok")


def capped(count: int) -> str:
    return f"{count:,}" if count < MAX_COUNTED else f"{count:,} or more"


def log_file(process: str) -> str:
    return f"logs/{process}.log in CATALYST_DATA"


def gauge(name: str, text: str, samples: Iterable[Sample]) -> Metric:
    return Metric(f"catalyst_{name}", "gauge", text, tuple(samples))


def gauge_of(name: str, text: str, value: float) -> Metric:
    return gauge(name, text, [({}, value)])


def counter(name: str, text: str, samples: Iterable[Sample]) -> Metric:
    return Metric(f"catalyst_{name}", "counter", text, tuple(samples))


def queue_of(rows: "models.QuerySet[Any]", due: str, now: datetime) -> Queue:
    """Count the rows of all projects and those that are due. `due` names the column."""
    due_rows = rows.filter(**{f"{due}__lte": now})
    return Queue(count_rows(rows), count_rows(due_rows), min(waiting_projects(due, due_rows).values(), default=None))


def count_rows(rows: "models.QuerySet[Any]") -> int:
    return rows.order_by()[:MAX_COUNTED].count()
