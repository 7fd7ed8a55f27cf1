"""How much of a span is kept: what is longer or more is cut, marked where it was, and counted. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from traces.conventions.attribute_names import NAMES
from traces.otlp import Attributes, SentSpan, Source

MARK = "catalyst.cut"
"""The attribute of a span that says what was cut: `Cut.mark`."""
MAX_NAMES = 100
COUNTED = ("attributes", "events", "links")
_NAMED = frozenset(name for names in NAMES.values() for name in names)


@dataclass(frozen=True, slots=True)
class Limits:
    """The most of each that one span may have; `value` is in characters, `levels` of lists and objects in a value."""

    attributes: int
    value: int
    levels: int
    events: int
    links: int


@dataclass(slots=True)
class Truncation:
    """What was cut: so many values, of these names and lengths, and so many attributes, events and links left out.

    `nested`: lists and objects that lay too deep; decoders count them.
    """

    values: int = 0
    nested: int = 0
    lengths: dict[str, int] = field(default_factory=dict)
    attributes: int = 0
    events: int = 0
    links: int = 0

    @property
    def total(self) -> int:
        """How many things are not as sent."""
        return self.values + self.nested + self.attributes + self.events + self.links

    def left_out(self) -> dict[str, int]:
        """What is missing altogether, by kind."""
        return {what: count for what in COUNTED if (count := getattr(self, what))}

    def mark(self) -> Attributes:
        """As it is stored with the span: {"values": {name: characters sent}, "attributes": left out, …}."""
        return ({"values": self.lengths} if self.lengths else {}) | self.left_out()

    def add(self, other: "Truncation") -> None:
        """Count what was cut elsewhere."""
        self.values += other.values
        self.attributes += other.attributes
        self.events += other.events
        self.links += other.links

    def text(self, limits: Limits) -> str:
        """For the sender; empty when nothing was cut."""
        said = [f"{self.values:,} values are cut to {limits.value:,} characters"] if self.values else []
        if self.nested:
            said.append(f"{self.nested:,} lists and objects are nested deeper than {limits.levels} levels")
        said += [
            f"{count:,} {what} beyond {getattr(limits, what):,} of a span are left out"
            for what, count in self.left_out().items()
        ]
        return "; ".join(said)


def truncate(spans: Iterable[SentSpan], limits: Limits, body_size: int) -> Truncation:
    """Cut spans down to the limits, in place. Values are looked at only where the body could hold a long one."""
    may_be_long = 4 * body_size > 3 * limits.value  # bytes grow by a third when they become base64
    total, source = Truncation(), Source()
    for span in spans:
        if span.source is not source:
            source = span.source
            if may_be_long or len(source.attributes) > limits.attributes:
                source.attributes = _attributes(source.attributes, limits, total)
        if may_be_long or _has_many(span, limits):
            total.add(_fit(span, limits))
    return total


def _has_many(span: SentSpan, limits: Limits) -> bool:
    if len(span.attributes) > limits.attributes:
        return True
    if not span.events and not span.links:
        return False
    parts = (*span.events, *span.links)
    return (
        len(span.events) > limits.events
        or len(span.links) > limits.links
        or any(len(part["attributes"]) > limits.attributes for part in parts)
    )


def _fit(span: SentSpan, limits: Limits) -> Truncation:
    cut = Truncation(events=max(0, len(span.events) - limits.events), links=max(0, len(span.links) - limits.links))
    kept = _attributes(span.attributes, limits, cut)
    span.events = [_part(event, limits, cut) for event in span.events[: limits.events]]
    span.links = [_part(link, limits, cut) for link in span.links[: limits.links]]
    span.attributes = kept | {MARK: cut.mark()} if cut.total else kept
    return cut


def _part(part: dict[str, Any], limits: Limits, cut: Truncation) -> dict[str, Any]:
    """An event or a link."""
    return part | {"attributes": _attributes(part["attributes"], limits, cut)}


def _attributes(found: Attributes, limits: Limits, cut: Truncation) -> Attributes:
    """The first of them, those that Catalyst reads before all others."""
    pairs: Iterable[tuple[str, Any]] = found.items()
    if len(found) > limits.attributes:
        cut.attributes += len(found) - limits.attributes
        pairs = sorted(pairs, key=lambda pair: pair[0] not in _NAMED)[: limits.attributes]
    return {name: _value(name, value, limits.value, cut) for name, value in pairs}


def _value(name: str, value: Any, most: int, cut: Truncation) -> Any:
    """A value with every text in it no longer than `most`, but for the words that say so."""
    if isinstance(value, str):
        return value if len(value) <= most else _cut_text(name, value, most, cut)
    if isinstance(value, Mapping):
        return {key: _value(name, item, most, cut) for key, item in value.items()}
    if isinstance(value, list):
        return [_value(name, item, most, cut) for item in value]
    return value


def _cut_text(name: str, text: str, most: int, cut: Truncation) -> str:
    cut.values += 1
    if name in cut.lengths or len(cut.lengths) < MAX_NAMES:
        cut.lengths[name] = max(cut.lengths.get(name, 0), len(text))
    return f"{text[:most]}… [cut, {len(text):,} characters]"


def truncation_of(mark: Any) -> list[str]:
    """What a span's MARK says, in words. Senders can write one themselves, so anything is taken."""
    if not isinstance(mark, dict):
        return []
    values = mark.get("values")
    lengths = list(values.items())[:MAX_NAMES] if isinstance(values, dict) else []
    said = [f"{name} is cut, {count:,} characters" for name, count in lengths if isinstance(count, int)]
    return said + [f"{mark[what]:,} {what} are left out" for what in COUNTED if isinstance(mark.get(what), int)]
