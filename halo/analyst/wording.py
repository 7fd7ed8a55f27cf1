"""How findings say numbers and names."""

from decimal import Decimal

from catalyst import formats
from catalyst.confidence import wilson

MAX_NAME_CHARACTERS = 60


def share_of_runs(count: int, total: int) -> str:
    """`31 of 1,000 runs (3.1%)`."""
    return f"{count:,} of {runs(total)} ({formats.percent(count, total)})"


def none_or(count: int, total: int) -> str:
    """`None of 1,000 runs`, else as `share_of_runs`."""
    return share_of_runs(count, total) if count else f"None of {runs(total)}"


def runs(count: int) -> str:
    """`1 run`, `1,204 runs`."""
    return counted(count, "run")


def counted(count: int, noun: str) -> str:
    """`1 call`, `31 calls`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def interval(count: int, total: int) -> str:
    """`2.2% to 4.4%`: Wilson's 95 % interval."""
    low, high = wilson(count, total)
    return f"{formats.percent(low, 1)} to {formats.percent(high, 1)}"


def short(text: str, limit: int = MAX_NAME_CHARACTERS) -> str:
    """A text on one line, cut to a length."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def spending(duration_us: int, tokens: int, cost: Decimal) -> str:
    """`3m 04s`, `3m 04s and 12.1k tokens`, `3m 04s and 12.1k tokens for $1.92`."""
    spent = formats.duration(duration_us)
    if tokens:
        spent += f" and {formats.short(tokens)} tokens"
    return f"{spent} for {formats.usd(cost)}" if tokens and cost else spent
