"""Tool calls that wait for each other."""

from datetime import datetime

from halo.analyst.rules.serial_tools import SerialTools
from tests.halo.analyst.in_memory import ordinary, planted
from tests.halo.traffic import ANALYST


def test_tools_that_wait_for_each_other_are_found_with_their_runs(now: datetime) -> None:
    material, waiting = planted(now, ANALYST, "serial_tools", 0.03)
    (found,) = material.found(SerialTools()).values()
    assert found.traces == waiting
    assert found.signature == "serial_tools:fetch_page"
    assert found.title == "fetch_page calls wait for each other in 19 of 620 runs (3.1%): at once, 8.00 s less"


def test_tools_between_which_the_model_decides_are_fine(now: datetime) -> None:
    assert not ordinary(now, ANALYST).found(SerialTools())
