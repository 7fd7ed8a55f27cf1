"""Counting the window before in the same way."""

from collections.abc import Sequence
from typing import Self

from halo.analyst.material import Rule, Step, TraceRun


class CountsBefore(Rule):
    """A rule with another one of its class, which sees the window before; None if that was not read."""

    before: Self | None = None

    def add_prior(self: Self, run: TraceRun, steps: Sequence[Step]) -> None:
        if self.before is None:
            self.before = type(self)()
        self.before.add(run, steps)
