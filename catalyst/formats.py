"""Numbers, times and text for people."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Protocol

DAY = 86_400


class Plain(str):
    """Text that is never parsed as Markdown or JSON."""

    __slots__ = ()


class Priced(Protocol):
    @property
    def cost(self) -> Decimal: ...  # US dollars of the priced calls

    @property
    def unpriced_count(self) -> int: ...  # calls with tokens but no known price

    @property
    def total_tokens(self) -> int: ...


def lasting(span: timedelta | None) -> str:
    """`duration` for a timedelta."""
    return duration(None if span is None else span / timedelta(microseconds=1))


def roughly(span: timedelta | None) -> str:
    """An estimate in whole seconds: `1 s` at least, `37 s`, `3m 04s`. Empty when unknown."""
    if span is None:
        return ""
    seconds = max(round(span.total_seconds()), 1)
    return f"{seconds} s" if seconds < 60 else lasting(timedelta(seconds=seconds))


def duration(microseconds: float | None) -> str:
    """`742 ms`, `1.24 s`, `11.8 s`, `3m 04s`, `2h 05m`, `3d 4h`. Empty when unknown."""
    if microseconds is None:
        return ""
    seconds = microseconds / 1_000_000
    return _under_a_minute(seconds) if seconds < 60 else _from_a_minute(round(seconds))


def about(microseconds: float | None) -> str:
    """`duration` of a percentile, which is within 5%: `≈1.24 s`. Empty when unknown."""
    return "" if microseconds is None else f"≈{duration(microseconds)}"


def _under_a_minute(seconds: float) -> str:
    if seconds < 0.000001:
        return "0 ms"
    if seconds < 0.001:
        return f"{seconds * 1_000_000:.0f} µs"
    if seconds < 0.01:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"


def _from_a_minute(seconds: int) -> str:
    if seconds < 3600:
        return f"{seconds // 60}m {seconds % 60:02d}s"
    if seconds < DAY:
        return f"{seconds // 3600}h {seconds % 3600 // 60:02d}m"
    return f"{seconds // DAY}d {seconds % DAY // 3600}h"


def short(number: float | None) -> str:
    """`742`, `9.2k`, `18.3k`, `413k`, `1.2M`. Empty when unknown."""
    if number is None:
        return ""
    for size, unit in ((1_000_000_000, "G"), (1_000_000, "M"), (1000, "k")):
        if number >= size * 0.9995:
            scaled = number / size
            return f"{scaled:.0f}{unit}" if scaled >= 100 else f"{scaled:.1f}{unit}"
    return f"{number:,.0f}"


def usd(amount: Decimal | float | None) -> str:
    """`$0.0042`, `$0.287`, `$1.92`, `$412.80`. Empty when unknown."""
    if amount is None:
        return ""
    value = float(amount)
    if value == 0:
        return "$0"
    if value < 0.0001:
        return "<$0.0001"
    if value < 0.1:
        return f"${value:.4f}"
    return f"${value:.3f}" if value < 1 else f"${value:,.2f}"


def spent(row: Priced) -> str:
    """Cost, with `+` if some calls have no known price: `$1.92+`, a dash for none. Empty without tokens."""
    if row.cost:
        return usd(row.cost) + ("+" if row.unpriced_count else "")
    if row.unpriced_count:
        return "\N{EN DASH}"
    return "$0" if row.total_tokens else ""


def percent(part: float, total: float) -> str:
    """`4.3%`. Only exact shares are `0%` or `100%`. Empty for a total of 0."""
    if not total:
        return ""
    share = 100 * part / total
    if share in (0, 100):
        return f"{share:.0f}%"
    return f"{min(max(share, 0.1), 99.9):.1f}%"


def ago(moment: datetime, now: datetime) -> str:
    """`just now`, `14 s ago`, `3 min ago`, `2 h ago`, `5 d ago`. A date after 30 days."""
    gap = now - moment
    if gap >= timedelta(days=30):
        return f"{moment:%-d %b %Y}" if moment.year != now.year else f"{moment:%-d %b}"
    seconds = int(gap.total_seconds())
    if seconds < 5:
        return "just now" if seconds > -60 else "in the future"
    for size, unit in ((DAY, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return "just now"


def at(moment: datetime, now: datetime, pattern: str = "%H:%M") -> str:
    """`29 Nov 15:40 UTC`, with the year if it is another one than that of `now`."""
    moment = moment.astimezone(UTC)
    day = f"{moment:%-d %b}" if moment.year == now.year else f"{moment:%-d %b %Y}"
    return f"{day} {moment.strftime(pattern)} UTC"


def size(number: float) -> str:
    """`812 MB`, `2.4 GB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if number >= 10 or unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"
