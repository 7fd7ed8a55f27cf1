"""Limits of a span. What exceeds them is cut, marked and counted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from traces.conventions.dialects import NAMES
from traces.conventions.embedded_files import leave_out
from traces.otlp import Attributes, DecodedSpan, Source
from traces.otlp.decoded import DROPPED, iso_time

# The attribute with the result of `Truncation.mark`.
MARK = "catalyst.cut"
MAX_NAMES = 100
# No agent runs for so long: an end after it is a clock in another unit, or a number that stands for none.
MAX_SPAN_DAYS = 366
MAX_SPAN_NS = MAX_SPAN_DAYS * 86_400 * 10**9
COUNTED = ("attributes", "events", "links")
_NAMED = frozenset(name for names in NAMES.values() for name in names)


@dataclass(frozen=True, slots=True)
class Limits:
    """`value` is in characters; `levels` counts nested lists and objects."""

    attributes: int
    value: int
    levels: int
    events: int
    links: int


@dataclass(slots=True)
class Truncation:
    """What was cut. `lengths`: characters sent, by attribute.

    Counted by decoders: `nested`, values nested too deep; `unreadable`, attributes that are no pair or no list;
    `misshapen`, events, links and statuses that have no form of OTLP.
    """

    values: int = 0
    nested: int = 0
    unreadable: int = 0
    misshapen: int = 0
    lengths: dict[str, int] = field(default_factory=dict)
    attributes: int = 0
    events: int = 0
    links: int = 0
    ends: int = 0
    # The end that was left out, in ISO 8601.
    end: str = ""

    @property
    def total(self) -> int:
        counted = self.values + self.nested + self.unreadable + self.misshapen
        return counted + self.attributes + self.events + self.links + self.ends

    def left_out(self) -> dict[str, int]:
        return {kind: count for kind in COUNTED if (count := getattr(self, kind))}

    def mark(self) -> Attributes:
        """As stored with the span: {"values": {name: characters sent}, "end": time, "attributes": left out, …}."""
        cut = {"values": self.lengths, "end": self.end}
        return {what: content for what, content in cut.items() if content} | self.left_out()

    def add(self, other: "Truncation") -> None:
        self.values += other.values
        self.attributes += other.attributes
        self.events += other.events
        self.links += other.links
        self.ends += other.ends

    def text(self, limits: Limits) -> str:
        notes = [f"{self.values:,} values are cut to {limits.value:,} characters"] if self.values else []
        if self.nested:
            notes.append(f"{self.nested:,} lists and objects are nested deeper than {limits.levels} levels")
        if self.unreadable:
            notes.append(f"{self.unreadable:,} attributes are left out: they must be a list of keys and values")
        if self.misshapen:
            notes.append(f"{self.misshapen:,} events, links or statuses are left out: OTLP writes them differently")
        if self.ends:
            notes.append(f"{self.ends:,} spans are open: their end is more than {MAX_SPAN_DAYS} days after their start")
        notes += [
            f"{count:,} {kind} beyond {getattr(limits, kind):,} of a span are left out"
            for kind, count in self.left_out().items()
        ]
        return "; ".join(notes)


def truncate(spans: Iterable[DecodedSpan], limits: Limits, body_size: int) -> Truncation:
    """Cut spans down to the limits, in place."""
    may_be_long = 4 * body_size > 3 * limits.value  # bytes grow by a third when they become base64
    total, source = Truncation(), Source()
    for span in spans:
        if span.source is not source:
            source = span.source
            if may_be_long or len(source.attributes) > limits.attributes:
                source.attributes = _attributes(source.attributes, limits, total)
        if may_be_long or _exceeds(span, limits):
            total.add(_truncate_span(span, limits))
    return total


def _has_late_end(span: DecodedSpan) -> bool:
    return span.end_ns - span.start_ns > MAX_SPAN_NS


def _exceeds(span: DecodedSpan, limits: Limits) -> bool:
    if len(span.attributes) > limits.attributes or _has_late_end(span):
        return True
    if not span.events and not span.links:
        return False
    parts = (*span.events, *span.links)
    return (
        len(span.events) > limits.events
        or len(span.links) > limits.links
        or any(len(part["attributes"]) > limits.attributes for part in parts)
    )


def _truncate_span(span: DecodedSpan, limits: Limits) -> Truncation:
    cut = Truncation(events=max(0, len(span.events) - limits.events), links=max(0, len(span.links) - limits.links))
    if _has_late_end(span):
        cut.ends, cut.end = 1, iso_time(span.end_ns)
        span.end_ns = 0
    attributes = _attributes(span.attributes, limits, cut)
    span.events = [_part(event, limits, cut) for event in span.events[: limits.events]]
    span.links = [_part(link, limits, cut) for link in span.links[: limits.links]]
    span.attributes = attributes | {MARK: cut.mark()} if cut.total else attributes
    return cut


def _part(part: dict[str, Any], limits: Limits, cut: Truncation) -> dict[str, Any]:
    return part | {"attributes": _attributes(part["attributes"], limits, cut)}


def _attributes(attributes: Attributes, limits: Limits, cut: Truncation) -> Attributes:
    pairs: Iterable[tuple[str, Any]] = attributes.items()
    if len(attributes) > limits.attributes:
        cut.attributes += len(attributes) - limits.attributes
        # Keep the attributes that Catalyst reads.
        pairs = sorted(pairs, key=lambda pair: pair[0] not in _NAMED)[: limits.attributes]
    return {name: _value(name, value, limits.value, cut) for name, value in pairs}


def _value(name: str, value: Any, limit: int, cut: Truncation) -> Any:
    if isinstance(value, str):
        return value if len(value) <= limit else _cut_text(name, value, limit, cut)
    if isinstance(value, Mapping):
        return {key: _value(name, item, limit, cut) for key, item in value.items()}
    if isinstance(value, list):
        return [_value(name, item, limit, cut) for item in value]
    return value


def _cut_text(name: str, text: str, limit: int, cut: Truncation) -> str:
    cut.values += 1
    if name in cut.lengths or len(cut.lengths) < MAX_NAMES:
        cut.lengths[name] = max(cut.lengths.get(name, 0), len(text))
    without_files = leave_out(text, limit)
    # An image must not take its message along.
    if len(without_files) <= limit:
        return without_files
    return f"{text[:limit]}… [cut, {len(text):,} characters]"


def dropped_of(attributes: Attributes) -> list[str]:
    """What the sender itself dropped from a span, in words. Its SDK limits how much a span may carry."""
    counts = ((what, attributes.get(f"otel.{name}")) for what, name in zip(COUNTED, DROPPED, strict=True))
    return [f"{count:,} {what} were dropped by the sender" for what, count in counts if isinstance(count, int)]


def truncation_of(mark: Any) -> list[str]:
    """The text of a span's MARK. Senders can forge one, so any value is accepted."""
    if not isinstance(mark, dict):
        return []
    values = mark.get("values")
    lengths = list(values.items())[:MAX_NAMES] if isinstance(values, dict) else []
    notes = [f"{name} is cut, {count:,} characters" for name, count in lengths if isinstance(count, int)]
    if isinstance(mark.get("end"), str):
        notes.append(f"its end, {mark['end'][:40]}, is more than {MAX_SPAN_DAYS} days after its start")
    return notes + [f"{mark[kind]:,} {kind} are left out" for kind in COUNTED if isinstance(mark.get(kind), int)]
