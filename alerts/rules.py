"""When an alert fires and resolves: a state machine over the windows that end at each minute. Pure.

    state, events = step(rule, state, reading)

- A window **breaches** a threshold if its value reaches it. The first such window fires: an event on the edge.
- With `only_significant`, a firing also needs a value that chance does not explain. A firing alert goes on without.
- After a firing no other follows before the cooldown has passed. If a breach outlasts it, the alert fires then.
- An alert **resolves** when no window has breached for `calm`: a value that hovers about its threshold fires once.
- A window without a value (too few labels) breaches nothing, so a quiet night is silent and ends a firing.
- A window whose labels were not judged in time is **delayed**. It changes nothing else; an hour of them is an event.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum

from alerts.choices import Operator
from catalyst.timerange import HOUR, MINUTE

DELAY_ANNOUNCED_AFTER = HOUR
MIN_CALM = 5 * MINUTE
# Windows that end at following minutes share most of their labels, so long ones need longer to calm down.
CALM_PART_OF_WINDOW = 12


class Level(IntEnum):
    OK = 0
    WARNING = 1
    FIRING = 2


class Problem(StrEnum):
    """Why a window has no value."""

    NONE = ""
    NO_DATA = "no_data"
    DELAYED = "delayed"
    INVALID = "invalid"


class Status(StrEnum):
    """What people see of a state."""

    OK = "ok"
    WARNING = "warning"
    FIRING = "firing"
    COOLING_DOWN = "cooling_down"
    NO_DATA = "no_data"
    DELAYED = "delayed"
    INVALID = "invalid"


class EventKind(StrEnum):
    FIRED = "fired"
    WARNED = "warned"
    RESOLVED = "resolved"
    NO_DATA = "no_data"
    DELAYED = "delayed"
    INVALID = "invalid"


def calm_of(window: timedelta) -> timedelta:
    """How long no window may breach before an alert resolves."""
    return max(MIN_CALM, window / CALM_PART_OF_WINDOW)


@dataclass(frozen=True, slots=True)
class Rule:
    """`warning`: a threshold that is reached earlier, or None."""

    operator: Operator
    threshold: float
    calm: timedelta
    warning: float | None = None
    cooldown: timedelta = timedelta()
    only_significant: bool = False
    notify_no_data: bool = False

    def thresholds(self) -> Iterator[tuple[Level, float]]:
        """From the highest level down."""
        yield Level.FIRING, self.threshold
        if self.warning is not None:
            yield Level.WARNING, self.warning

    def level_of(self, value: float | None) -> Level:
        """The highest level whose threshold a value reaches."""
        if value is None:
            return Level.OK
        return next((level for level, threshold in self.thresholds() if self._reaches(value, threshold)), Level.OK)

    @property
    def rises(self) -> bool:
        return self.operator == Operator.GTE

    def is_beyond(self, value: float | None, other: float | None) -> bool:
        """True if the first value is nearer to firing than the other, or further beyond."""
        if value is None or other is None:
            return value is not None
        return value > other if self.rises else value < other

    def _reaches(self, value: float, threshold: float) -> bool:
        return value >= threshold if self.rises else value <= threshold


def _always(_threshold: float) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Reading:
    """One window. `value` is None with a problem. `is_significant`: whether it reaches a threshold beyond chance."""

    end: datetime
    value: float | None = None
    problem: Problem = Problem.NONE
    is_significant: Callable[[float], bool] = _always


@dataclass(frozen=True, slots=True)
class State:
    """Everything that the next window needs to know of those before.

    `calm_since`: end of the first window of those that no longer reach `level`. `fired_at`, `warned_at`: the last time.
    `announced`: whether the present problem had its event.
    """

    level: Level = Level.OK
    fired_at: datetime | None = None
    warned_at: datetime | None = None
    calm_since: datetime | None = None
    problem: Problem = Problem.NONE
    problem_since: datetime | None = None
    announced: bool = False

    def status(self, rule: Rule, now: datetime) -> Status:
        if self.problem == Problem.INVALID:
            return Status.INVALID
        if self.level == Level.FIRING:
            return Status.FIRING
        if self.problem != Problem.NONE:
            return Status(self.problem)
        if self.level == Level.WARNING:
            return Status.WARNING
        return Status.COOLING_DOWN if _cools(self.fired_at, rule, now) else Status.OK

    def _raised(self, level: Level, at: datetime) -> "State":
        warned_at = at if level == Level.WARNING else self.warned_at
        fired_at = at if level == Level.FIRING else self.fired_at
        return replace(self, level=level, fired_at=fired_at, warned_at=warned_at, calm_since=None)


@dataclass(frozen=True, slots=True)
class Event:
    kind: EventKind
    reading: Reading


def step(rule: Rule, state: State, reading: Reading) -> tuple[State, tuple[Event, ...]]:
    """Return the state after a window, and the events that it causes. Windows come in order, each once."""
    # Most windows are quiet ones of quiet alerts.
    if reading.problem == state.problem == Problem.NONE and state.level == rule.level_of(reading.value):
        return (replace(state, calm_since=None) if state.calm_since else state), ()
    state, problems = _with_problem(rule, state, reading)
    if reading.problem in {Problem.DELAYED, Problem.INVALID}:
        return state, problems
    state, changes = _with_level(rule, state, reading)
    return state, (*problems, *changes)


def _with_problem(rule: Rule, state: State, reading: Reading) -> tuple[State, tuple[Event, ...]]:
    if state.problem != reading.problem:
        since = None if reading.problem == Problem.NONE else reading.end
        state = replace(state, problem=reading.problem, problem_since=since, announced=False)
    kind = _announced(rule, state, reading)
    if state.announced or kind is None:
        return state, ()
    return replace(state, announced=True), (Event(kind, reading),)


def _announced(rule: Rule, state: State, reading: Reading) -> EventKind | None:
    if reading.problem == Problem.INVALID:
        return EventKind.INVALID
    if reading.problem == Problem.NO_DATA and rule.notify_no_data:
        return EventKind.NO_DATA
    if reading.problem == Problem.DELAYED and state.problem_since is not None:
        return EventKind.DELAYED if reading.end - state.problem_since >= DELAY_ANNOUNCED_AFTER else None
    return None


def _with_level(rule: Rule, state: State, reading: Reading) -> tuple[State, tuple[Event, ...]]:
    reached = rule.level_of(reading.value)
    if reached < state.level:
        return _calming(rule, state, reading, reached)
    risen = next((level for level, at in rule.thresholds() if _rises(rule, state, reading, level, at)), None)
    if risen is None:
        return replace(state, calm_since=None), ()
    kind = EventKind.FIRED if risen == Level.FIRING else EventKind.WARNED
    return state._raised(risen, reading.end), (Event(kind, reading),)


def _calming(rule: Rule, state: State, reading: Reading, reached: Level) -> tuple[State, tuple[Event, ...]]:
    calm_since = state.calm_since or reading.end
    if reading.end - calm_since < rule.calm:
        return replace(state, calm_since=calm_since), ()
    return replace(state, level=reached, calm_since=None), (Event(EventKind.RESOLVED, reading),)


def _rises(rule: Rule, state: State, reading: Reading, level: Level, threshold: float) -> bool:
    if not state.level < level <= rule.level_of(reading.value):
        return False
    times = (state.fired_at,) if level == Level.FIRING else (state.fired_at, state.warned_at)
    if any(_cools(at, rule, reading.end) for at in times):
        return False
    return not rule.only_significant or reading.is_significant(threshold)


def _cools(last: datetime | None, rule: Rule, now: datetime) -> bool:
    return last is not None and now - last < rule.cooldown
