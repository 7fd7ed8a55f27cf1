"""Start times of synthetic conversations, with a daily and weekly rhythm.

The same period always gives the same conversations, so a week can be generated at once and continued every minute.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

import xxhash

from catalyst.ops.demo import research, review, support
from catalyst.ops.demo.spans import SECOND
from traces.otlp import DecodedSpan

SEED = "catalyst-demo-1"
PERIOD = timedelta(days=7)
# No conversation takes longer.
MAX_GAP = timedelta(hours=3)
MINUTE = 60 * SECOND
MINUTES_A_WEEK = 7 * 24 * 60
BAD_HOURS = (13, 19)
# Time of the large review after the start of the bad deploy.
LARGE_REVIEW = (20 * 60 + 24) * MINUTE

type Turns = list[list[DecodedSpan]]


@dataclass(frozen=True, slots=True)
class Traffic:
    """The rhythm of an agent's conversations.

    `weekly`: conversations a week. `peak`: busiest hour in UTC. `swing`: drop at night, from 0 to 1.
    """

    id: str
    name: str
    converse: Callable[[Random, int, bool], Turns]
    weekly: int
    peak: float
    swing: float
    weekend: float

    def at(self, moment: datetime) -> float:
        """Return the expected conversations of a minute."""
        hour = moment.hour + moment.minute / 60
        rhythm = 1 + self.swing * math.cos((hour - self.peak) / 12 * math.pi)
        return self.weekly / MINUTES_A_WEEK * rhythm * (self.weekend if moment.weekday() > 4 else 1)


AGENTS = (
    Traffic(support.ID, support.NAME, support.converse, 640, 15, 0.75, 0.8),
    Traffic(review.ID, review.NAME, review.converse, 345, 13, 0.95, 0.3),
    Traffic(research.ID, research.NAME, research.converse, 350, 11, 0.6, 0.5),
)


def bad_deploy(now: datetime) -> tuple[datetime, datetime]:
    """Return start and end of the bad version: hours of the fifth day of the week that ends now."""
    day = (now - PERIOD + timedelta(days=4)).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first, last = (day + timedelta(hours=hour) for hour in BAD_HOURS)
    return first, last


def begins(now: datetime) -> datetime:
    # A full hour. The week before stays empty, because pages compare with it.
    hour = (now - PERIOD).replace(minute=0, second=0, microsecond=0)
    return hour if hour == now - PERIOD else hour + timedelta(hours=1)


def conversations(since: datetime, until: datetime, now: datetime, scale: float = 1) -> Iterator[Turns]:
    """Yield conversations, oldest first, with the turns that end in the period. `now` is the end of the demo's week."""
    first, last = _nanoseconds(since), _nanoseconds(until)
    bad_from, bad_to = (_nanoseconds(moment) for moment in bad_deploy(now))
    for turns in _all(since - MAX_GAP, until, bad_from, bad_to, scale):
        inside = [turn for turn in turns if first < turn[0].end_ns <= last]
        if inside:
            yield inside


def _all(since: datetime, until: datetime, bad_from: int, bad_to: int, scale: float) -> Iterator[Turns]:
    minute = since.astimezone(UTC).replace(second=0, microsecond=0)
    while minute < until:
        start = _nanoseconds(minute)
        if start == bad_from + LARGE_REVIEW:
            yield review.large(Random(f"{SEED} large {start}"), start)
        for agent in AGENTS:
            for number in range(_how_many(agent, minute, scale)):
                rng = Random(f"{SEED} {agent.id} {start} {number}")
                begin = start + rng.randrange(MINUTE)
                yield agent.converse(rng, begin, bad_from <= begin < bad_to)
        minute += timedelta(minutes=1)


def _how_many(agent: Traffic, minute: datetime, scale: float) -> int:
    draw = xxhash.xxh3_64_intdigest(f"{SEED} {agent.id} {minute:%Y%m%d%H%M}".encode()) / 2**64
    return math.floor(agent.at(minute) * scale + draw)


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000
