"""Spans and payloads by hand in few words, and those of recorded requests."""

import gzip
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from traces.conventions.span_mapping import ResourceContext, read_span
from traces.otlp import DecodedSpan, decode_json, decode_protobuf
from traces.records import PayloadRecord, SpanRecord
from traces.transcripts.transcript import Transcript, session_transcript, trace_transcript

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)

type Row = tuple[SpanRecord, PayloadRecord]


def row(number: int, parent: int | None = None, kind: str = "LLM", **said: Any) -> Row:
    """One span, `number` seconds after noon, and its text. Keywords of the payload go there, the others to the span."""
    of_payload = {name: said.pop(name) for name in list(said) if name in PayloadRecord.__dataclass_fields__}
    span = SpanRecord(
        project_id=1,
        trace_id=said.pop("trace_id", UUID(int=1)),
        span_id=number,
        start_time=NOON + timedelta(seconds=number),
        parent_id=parent,
        duration_us=said.pop("duration_us", 500_000),
        received_at=NOON,
        kind=kind,
        **said,
    )
    return span, PayloadRecord(**of_payload)


def spoken(*rows: Row) -> Transcript:
    """The transcript of one trace."""
    return trace_transcript([span for span, _ in rows], {span.span_id: payload for span, payload in rows})


def told(transcript: Transcript) -> list[str]:
    """A transcript as short lines: who, what, and each tool call with its result or error."""
    lines = []
    for message in transcript.messages:
        if message.text or message.error:
            lines.append(f"{message.role}: {message.text}{f' !{message.error}' if message.error else ''}")
        for call in message.tool_calls:
            outcome = f"!{call.error}" if call.error else call.result
            lines.append(f"{message.role} > {call.name}({call.arguments}) = {outcome}")
    return lines


def capture(folder: Path) -> list[DecodedSpan]:
    """Every span of one recorded scenario."""
    spans = []
    for body in sorted(folder.glob("*.body.*")):
        content = body.read_bytes()
        spans += (decode_protobuf(content) if ".pb" in body.name else decode_json(content)).spans
    return spans


def recording(path: Path) -> list[DecodedSpan]:
    """Every span of a recording: one OTLP/JSON request a line, gzipped."""
    with gzip.open(path, "rb") as lines:
        return [span for line in lines for span in decode_json(line).spans]


def by_trace(sent: Iterable[DecodedSpan]) -> list[list[Row]]:
    """The spans' records, trace by trace in order of start."""
    traces: dict[UUID, list[Row]] = {}
    for span in sent:
        read = read_span(
            span, ResourceContext(span.source), project_id=1, now=NOON, kept_since=NOON - timedelta(days=30)
        )
        traces.setdefault(span.trace_id, []).append((read.span, read.payload))
    return sorted(traces.values(), key=lambda rows: min(span.start_time for span, _ in rows))


def by_session(traces: Iterable[list[Row]]) -> dict[str, tuple[Transcript, list[SpanRecord]]]:
    """The transcript and all spans of each session."""
    turns: dict[str, list[list[Row]]] = {}
    for rows in traces:
        key = next((span.session_key for span, _ in rows if span.session_key), "")
        turns.setdefault(key, []).append(rows)
    return {
        key: (session_transcript(spoken(*rows) for rows in parts), [span for rows in parts for span, _ in rows])
        for key, parts in turns.items()
        if key
    }
