"""The state machine of alerts, as a table of cases: one character for each minute."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from alerts.choices import Operator
from alerts.rules import EventKind, Problem, Reading, Rule, State, Status, calm_of, step
from catalyst.timerange import HOUR, MINUTE

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
PLAIN = Rule(operator=Operator.GTE, threshold=3, calm=3 * MINUTE)
WARNING = replace(PLAIN, warning=2)
SHOWN = {
    EventKind.FIRED: "F",
    EventKind.WARNED: "W",
    EventKind.RESOLVED: "R",
    EventKind.NO_DATA: "N",
    EventKind.DELAYED: "D",
    EventKind.INVALID: "I",
}
PROBLEMS = {"-": Problem.NO_DATA, "d": Problem.DELAYED, "i": Problem.INVALID}


def reading(sign: str, end: datetime, *, significant: bool = True) -> Reading:
    if sign in PROBLEMS:
        return Reading(end, problem=PROBLEMS[sign])
    return Reading(end, value=float(sign), is_significant=lambda _: significant)


def replay(rule: Rule, signs: str, *, significant: str = "") -> tuple[str, State]:
    """The events of each minute, and the state at the end. `significant`: + or - for each minute."""
    state, shown = State(), ""
    for minute, sign in enumerate(signs):
        beyond_chance = significant[minute : minute + 1] != "-"
        state, events = step(rule, state, reading(sign, START + minute * MINUTE, significant=beyond_chance))
        shown += "".join(SHOWN[event.kind] for event in events) or "."
    return shown, state


CASES = {
    "nothing happens below the threshold": (PLAIN, "0122210", "......."),
    "it fires on the edge and resolves after calm minutes": (PLAIN, "0333300000", ".F......R."),
    "one minute at the threshold is a breach": (PLAIN, "030000", ".F...R"),
    "a value that hovers fires once": (PLAIN, "0303030303", ".F........"),
    "it fires again after it resolved": (PLAIN, "300003", "F...RF"),
    "no data ends a firing as calm does": (PLAIN, "3----", "F...R"),
    "no data alone is silent": (PLAIN, "0---0", "....."),
    "no data is announced once if asked for": (replace(PLAIN, notify_no_data=True), "0--0-", ".N..N"),
    "delayed windows change no level": (PLAIN, "3ddd00003", "F......RF"),
    "lte fires below": (replace(PLAIN, operator=Operator.LTE, threshold=1), "2312222", "..F...R"),
    "a warning comes first": (WARNING, "0233", ".WF."),
    "a jump over the warning is one event": (WARNING, "03", ".F"),
    "from firing to a warning": (WARNING, "32222", "F...R"),
    "a warning that rises again fires again": (WARNING, "322223", "F...RF"),
    "a cooldown holds the next firing back": (replace(PLAIN, cooldown=7 * MINUTE), "3000033333", "F...R..F.."),
    "a cooldown that passes in calm fires nothing": (
        replace(PLAIN, cooldown=7 * MINUTE),
        "300003000000",
        "F...R.......",
    ),
    "invalid is said once": (PLAIN, "0iii0i", ".I...I"),
}


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    rule, signs, expected = CASES[name]
    assert replay(rule, signs)[0] == expected


def test_it_fires_only_beyond_chance_and_goes_on_without() -> None:
    rule = replace(PLAIN, only_significant=True)
    assert replay(rule, "33333", significant="--+--")[0] == "..F.."


def test_chance_does_not_hold_a_rule_that_does_not_ask() -> None:
    assert replay(PLAIN, "3", significant="-")[0] == "F"


def test_delays_are_announced_after_an_hour_and_once() -> None:
    shown, state = replay(PLAIN, "0" + "d" * 130)
    assert shown.index("D") == 61
    assert shown.count("D") == 1
    assert state.status(PLAIN, START) == Status.DELAYED


@pytest.mark.parametrize(
    ("signs", "status"),
    [
        ("0", Status.OK),
        ("2", Status.WARNING),
        ("3", Status.FIRING),
        ("3d", Status.FIRING),
        ("0-", Status.NO_DATA),
        ("0d", Status.DELAYED),
        ("3i", Status.INVALID),
        ("30000", Status.COOLING_DOWN),
    ],
)
def test_status(signs: str, status: Status) -> None:
    rule = replace(WARNING, cooldown=HOUR)
    end = START + len(signs) * MINUTE
    assert replay(rule, signs)[1].status(rule, end) == status


def test_it_has_cooled_down_when_the_cooldown_has_passed() -> None:
    rule = replace(PLAIN, cooldown=HOUR)
    state = replay(rule, "30000")[1]
    assert state.status(rule, START + HOUR - MINUTE) == Status.COOLING_DOWN
    assert state.status(rule, START + HOUR) == Status.OK


def test_long_windows_calm_down_slowly() -> None:
    assert [calm_of(hours * HOUR) for hours in (0.1, 1, 24)] == [5 * MINUTE, 5 * MINUTE, timedelta(hours=2)]
