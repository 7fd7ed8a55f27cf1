"""Texts that kinds share."""

from collections.abc import Sequence
from itertools import batched

from catalyst.notifications import Curve, Message, Severity

_BARS = "▁▂▃▄▅▆▇█"
MAX_BARS = 48

MARKS = {
    Severity.CRITICAL: "\N{LARGE RED CIRCLE}",
    Severity.WARNING: "\N{LARGE ORANGE CIRCLE}",
    Severity.INFO: "\N{LARGE BLUE CIRCLE}",
    Severity.RESOLVED: "\N{LARGE GREEN CIRCLE}",
}


def one_line(text: str) -> str:
    """Without line breaks and other control characters."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def title_of(message: Message) -> str:
    return one_line(f"{MARKS[message.severity]} {message.title}")


def _largest_values(curve: Curve) -> list[float | None]:
    """Up to MAX_BARS values, each the largest of its part of the curve."""
    size = -(-len(curve.points) // MAX_BARS) or 1
    return [_largest(part) for part in batched(curve.points, size, strict=False)]


def _largest(part: Sequence[float | None]) -> float | None:
    known = [value for value in part if value is not None]
    return max(known) if known else None


def sparkline(curve: Curve) -> str:
    """The curve as one line of text. A gap is where nothing is known."""
    values = _largest_values(curve)
    highest = max((value for value in values if value is not None), default=0.0)
    step = highest / (len(_BARS) - 1) if highest > 0 else 1.0
    return "".join(" " if value is None else _BARS[max(0, round(value / step))] for value in values)


def as_text(message: Message, *, with_links: bool = True) -> str:
    """The whole message as plain text, without its title."""
    parts = [message.text]
    parts += [f"{fact.name}: {fact.value}" for fact in message.facts]
    if message.curve:
        parts.append(f"{message.curve.title}\n{sparkline(message.curve)}")
    for excerpt in message.excerpts:
        parts.append("\n".join(filter(None, [f"{excerpt.label}: {excerpt.reason}", excerpt.text, excerpt.link.url])))
    if with_links:
        parts += [f"{link.text}: {link.url}" for link in message.links]
    return "\n\n".join(filter(None, parts))
