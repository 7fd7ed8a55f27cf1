"""Writes traces as halo-engine reads them: one JSON object per span and line (docs/adr/0028).

The engine refuses all traces for one line that differs from its format: no null, no number for a time or a kind, and
times of one width. It knows agents, models and usage by the attributes `inference.…` alone, so spans get these beside
what their sender sent. Usage is on the spans whose usage counts, so that the engine's totals are those of the traces.

A span that has not ended ends where it starts, as in the totals of its trace, and says so by `catalyst.is_open`.
"""

import errno
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import batched
from operator import attrgetter
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import orjson

from catalyst.agents.models import Agent
from catalyst.core.models import Project
from traces.counted_usage import count_usage
from traces.models.resource import Resource
from traces.models.span import hex_span_id
from traces.otlp.decoded import TRACE_STATE
from traces.records import Extent, Json, PayloadRecord, SpanRecord
from traces.span_store import span_store
from traces.summary import Summary, span_end, summarize

SCHEMA_VERSION = 1
# How many traces, spans and characters of text are in memory at once.
TRACES = 50
SPANS = 500
CHARACTERS = 8_000_000
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
OTEL_KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
PROJECTED = "inference."
OPEN = "catalyst.is_open"


class DiskFull(Exception):
    """There was no room for the file. Nothing of it is left."""


class TextStream(Protocol):
    def write(self, text: str, /) -> object: ...


@dataclass(slots=True)
class Exported:
    """How much was written. `missing`: traces that the store does not have."""

    traces: int = 0
    spans: int = 0
    bytes: int = 0
    missing: int = 0


def write_file(project: Project, extents: Iterable[Extent], path: Path) -> Exported:
    """Write a new file that only its owner reads. Raises DiskFull; leaves no file behind if it fails."""
    exported = Exported()
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for line in lines(project, extents, exported):
                file.write(line)
    except BaseException as error:
        path.unlink()
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise DiskFull(f"The disk with {path.parent} is full, so the traces could not be written.") from error
        raise
    return exported


def write_stream(project: Project, extents: Iterable[Extent], stream: TextStream) -> Exported:
    exported = Exported()
    for line in lines(project, extents, exported):
        stream.write(line.decode())
    return exported


def lines(project: Project, extents: Iterable[Extent], exported: Exported) -> Iterator[bytes]:
    """All spans of these traces, earliest traces first, and adds them to the counts."""
    writer = _Writer(project)
    # Those of one day are read together.
    for some in batched(sorted(extents, key=attrgetter("first")), TRACES, strict=False):
        stored = span_store().spans(project.pk, some)
        exported.missing += sum(not stored.get(extent.trace_id) for extent in some)
        found = [_Trace(extent, stored[extent.trace_id]) for extent in some if stored.get(extent.trace_id)]
        exported.traces += len(found)
        for line in writer.lines(found):
            exported.spans += 1
            exported.bytes += len(line)
            yield line


class _Trace:
    """The spans of a trace, with what a span has from others."""

    def __init__(self, extent: Extent, spans: Sequence[SpanRecord]) -> None:
        self.extent = extent
        self.spans = spans
        self.summary: Summary = summarize(spans)
        self.counted = count_usage(spans).usage
        self._by_id = {span.span_id: span for span in spans}
        self._agents: dict[int, int | None] = {}

    def agent_of(self, span: SpanRecord) -> int | None:
        """That of the span, else of the nearest span around it, else of the trace."""
        path: list[int] = []
        above: SpanRecord | None = span
        while above is not None and above.span_id not in self._agents:
            # Spans in a circle get that of the trace.
            self._agents[above.span_id] = self.summary.agent_id
            path.append(above.span_id)
            if above.agent_id is not None:
                self._agents[above.span_id] = above.agent_id
                break
            above = None if above.parent_id is None else self._by_id.get(above.parent_id)
        if above is not None:
            self._agents |= dict.fromkeys(path, self._agents[above.span_id])
        return self._agents[span.span_id]


type _Item = tuple[_Trace, SpanRecord]


@dataclass(slots=True)
class _Writer:
    """Keeps the rows that many spans refer to."""

    project: Project
    agents: dict[int, Agent] = field(default_factory=dict)
    resources: dict[int, Resource] = field(default_factory=dict)

    def lines(self, traces: Sequence[_Trace]) -> Iterator[bytes]:
        self._load_agents(traces)
        for items in _portions((trace, span) for trace in traces for span in trace.spans):
            payloads = self._payloads(items)
            for trace, span in items:
                payload = payloads[trace.extent.trace_id].get(span.span_id) or PayloadRecord()
                yield orjson.dumps(self._span(trace, span, payload), option=orjson.OPT_APPEND_NEWLINE)

    def _load_agents(self, traces: Sequence[_Trace]) -> None:
        named = {span.agent_id for trace in traces for span in trace.spans if span.agent_id is not None}
        missing = named - self.agents.keys()
        self.agents |= Agent.objects.filter(project=self.project).in_bulk(missing)

    def _payloads(self, items: Sequence[_Item]) -> Mapping[UUID, Mapping[int, PayloadRecord]]:
        wanted: dict[Extent, list[int]] = {}
        for trace, span in items:
            wanted.setdefault(trace.extent, []).append(span.span_id)
        payloads = span_store().payloads_of(self.project.pk, wanted)
        digests = {payload.resource_digest for each in payloads.values() for payload in each.values()}
        missing = Resource.objects.filter(project=self.project, digest__in=digests - self.resources.keys())
        self.resources |= {resource.digest: resource for resource in missing}
        return payloads

    def _span(self, trace: _Trace, span: SpanRecord, payload: PayloadRecord) -> Json:
        resource = self.resources.get(payload.resource_digest)
        line: Json = {
            "trace_id": span.trace_id.hex,
            "span_id": hex_span_id(span.span_id),
            "parent_span_id": "" if span.parent_id is None else hex_span_id(span.parent_id),
            "trace_state": str(payload.attributes.get(TRACE_STATE) or ""),
            "name": span.name,
            "kind": f"SPAN_KIND_{OTEL_KINDS[span.otel_kind]}",
            "start_time": _time(span.start_time),
            "end_time": _time(span_end(span)),
            "status": {"code": f"STATUS_CODE_{span.status.upper()}", "message": span.status_message},
            "resource": {"attributes": _resource_attributes(span, resource)},
            "scope": {
                "name": resource.scope_name if resource else "",
                "version": resource.scope_version if resource else "",
            },
            "attributes": self._attributes(trace, span, payload),
        }
        # The engine reads further fields as text.
        if payload.events:
            line["events"] = payload.events
        if payload.links:
            line["links"] = payload.links
        return line

    def _attributes(self, trace: _Trace, span: SpanRecord, payload: PayloadRecord) -> Json:
        agent = self.agents.get(trace.agent_of(span) or 0)
        attributes = {name: value for name, value in payload.attributes.items() if not name.startswith(PROJECTED)}
        attributes |= _present(
            {
                "openinference.span.kind": span.kind,
                "input.value": payload.input,
                "output.value": payload.output,
                "llm.input_messages": _packed(payload.input_messages),
                "llm.output_messages": _packed(payload.output_messages),
                OPEN: not span.ended or None,
                "inference.export.schema_version": SCHEMA_VERSION,
                "inference.project_id": self.project.slug,
                "inference.observation_kind": "SPAN" if span.kind == "UNKNOWN" else span.kind,
                "inference.agent_id": agent and agent.identity,
                "inference.agent_name": agent and str(agent),
                "inference.session_id": span.session_key or trace.summary.session_key,
                "inference.user_id": span.user or trace.summary.user,
                "inference.llm.provider": span.provider,
                "inference.llm.model_name": span.model,
            }
        )
        return attributes | (_usage(span) if span.span_id in trace.counted else {})


def _usage(span: SpanRecord) -> Json:
    return _present(
        {
            "inference.llm.input_tokens": span.input_tokens,
            "inference.llm.output_tokens": span.output_tokens,
            "inference.llm.cached_input_tokens": span.cached_tokens,
            "inference.llm.reasoning_output_tokens": span.reasoning_tokens,
            "inference.llm.cost.total": None if span.cost is None else float(span.cost),
        }
    )


def _resource_attributes(span: SpanRecord, resource: Resource | None) -> Json:
    attributes: Json = dict(resource.attributes) if resource else {}
    if span.service:
        attributes["service.name"] = span.service
    return attributes


def _present(values: Mapping[str, Any]) -> Json:
    return {name: value for name, value in values.items() if value not in (None, "")}


def _packed(messages: list[Json] | None) -> str | None:
    # As text, because the engine cuts long text and leaves out flattened messages.
    return orjson.dumps(messages).decode() if messages else None


def _portions(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    """So many spans at a time that their text fits into memory."""
    portion: list[_Item] = []
    characters = 0
    for item in items:
        characters += item[1].input_size + item[1].output_size
        if portion and (len(portion) == SPANS or characters > CHARACTERS):
            yield portion
            portion, characters = [], item[1].input_size + item[1].output_size
        portion.append(item)
    if portion:
        yield portion


def _time(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}000Z"
