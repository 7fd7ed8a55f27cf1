"""What the product makes of a recording: ingest, then the numbers and the conversation that its pages show."""

import json
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from catalyst.core.models import Project
from tests.senders.loopback import Request
from tests.senders.recording import FOLDER
from tests.traces.recorded import told
from traces.ingest import pipeline
from traces.models import Trace
from traces.otlp import DecodedSpan, decode_json, decode_protobuf
from traces.transcripts import conversations
from traces.transcripts.transcript import Transcript

type Json = dict[str, Any]


def read(requests: Iterable[Request], project: Project) -> Json:
    """Store the requests, and return what a person reads about them. Ids and times are left out."""
    batches = [_decode(request) for request in requests]
    ends = [span.end_ns for batch in batches for span in batch]
    now = datetime.fromtimestamp(max(ends) / 1e9, UTC) + timedelta(seconds=1)
    for batch in batches:
        pipeline.store(project.pk, batch, now)
    traces = list(Trace.objects.filter(project=project).select_related("agent", "session").in_order())
    return {
        "traces": len(traces),
        "agents": _distinct(trace.agent.name if trace.agent else "" for trace in traces),
        "sessions": _distinct(trace.session.key if trace.session else "" for trace in traces),
        "users": _distinct(trace.user for trace in traces),
        "conversation": _conversation(traces),
        "input preview": traces[0].input_preview,
        "output preview": traces[-1].output_preview,
        "input tokens": sum(trace.input_tokens for trace in traces),
        "cached tokens": sum(trace.cached_tokens for trace in traces),
        "output tokens": sum(trace.output_tokens for trace in traces),
        "cost": str(sum((trace.cost for trace in traces), Decimal(0)).normalize()),
        "errors": sum(trace.error_count for trace in traces),
        **_spans(traces),
    }


def assert_reads(name: str, requests: Iterable[Request], project: Project) -> None:
    """Fail, naming each difference, unless requests read as a user of the sender expects."""
    reading = read(requests, project)
    expected = json.loads((FOLDER / name / "expected.json").read_text())
    differences = [
        f"{what}:\n  reads    {reading.get(what)}\n  expected {expected.get(what)}"
        for what in {**expected, **reading}
        if reading.get(what) != expected.get(what)
    ]
    assert not differences, "\n".join([f"{name} reads differently", *differences])


def _decode(request: Request) -> list[DecodedSpan]:
    decoded = decode_json(request.body) if "json" in request.content_type else decode_protobuf(request.body)
    return decoded.spans


def _distinct(names: Iterable[str]) -> list[str]:
    return sorted(set(names))


def _conversation(traces: list[Trace]) -> list[str]:
    turns = conversations.of_session(traces, 1)
    return [_compact(line) for line in told(Transcript(tuple(message for turn in turns for message in turn.messages)))]


def _compact(line: str) -> str:
    """The same line, however the JSON of the arguments was spaced."""
    before, start, rest = line.partition("({")
    arguments, end, after = rest.partition("}) = ")
    return f"{before}({json.dumps(json.loads(f'{{{arguments}}}'))}) = {after}" if start and end else line


def _spans(traces: list[Trace]) -> Json:
    spans = [span for trace in traces for span in conversations.spans_of(trace)]
    return {
        "model calls": dict(Counter(span.model for span in spans if span.kind == "LLM")),
        "tools": dict(Counter(span.tool for span in spans if span.kind == "TOOL")),
        "kinds": dict(sorted(Counter(span.kind for span in spans).items())),
    }
