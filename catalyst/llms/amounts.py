"""Numbers of model calls and their cost: spent, allowed, and remaining."""

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from catalyst.formats import usd


class Calls(NamedTuple):
    """Judge calls: how many, and what they cost, or may cost, in US dollars."""

    made: int = 0
    dollars: Decimal = Decimal(0)

    @property
    def text(self) -> str:
        """`$1.20 and 12 judge calls`."""
        return f"{usd(self.dollars)} and {counted(self.made)}"


@dataclass(frozen=True, slots=True)
class Cap:
    """The daily limit in US dollars and in judge calls. None is no limit."""

    usd: Decimal | None = None
    calls: int | None = None

    @property
    def text(self) -> str:
        """`$2.50 a day`, `500 judge calls a day`, `$2.50 or 500 judge calls a day`; empty for no cap."""
        parts = [usd(self.usd)] if self.usd is not None else []
        parts += [counted(self.calls)] if self.calls is not None else []
        return f"{' or '.join(parts)} a day" if parts else ""


def counted(calls: int) -> str:
    """`1 judge call`, `1,200 judge calls`."""
    return f"{calls:,} judge call{'' if calls == 1 else 's'}"
