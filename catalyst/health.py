"""What a health probe gives: checks for the doctor, metrics for Prometheus."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

type State = Literal["ok", "warn", "bad"]
type Sample = tuple[Mapping[str, str], float]

STATES: tuple[State, ...] = ("ok", "warn", "bad")


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
