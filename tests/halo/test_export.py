"""Traces as halo-engine reads them: its strict format, whole traces, and totals that are ours."""

import errno
import io
import json
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.db.models import Sum
from django.test.utils import CaptureQueriesContext

from catalyst.core.models import Project
from halo import export
from halo.export import DiskFull, Exported
from tests.factories import make_trace, make_traces, messages
from tests.traces.conventions.test_captures import CAPTURES
from tests.traces.recorded import capture
from tests.traces.sent import sent_span
from traces.ingest import pipeline
from traces.models import Trace
from traces.otlp import DecodedSpan
from traces.records import Extent

pytestmark = pytest.mark.django_db

type Line = dict[str, Any]

# What the engine makes of a file, by its own code.
OVERVIEW = """
import asyncio, sys
from pathlib import Path
from engine.traces.models.trace_index_config import TraceIndexConfig
from engine.traces.models.trace_query_models import TraceFilters
from engine.traces.trace_index_builder import TraceIndexBuilder
from engine.traces.trace_store import TraceStore

TraceIndexBuilder.SMALL_FILE_THRESHOLD = sys.maxsize
path = Path(sys.argv[1])
index = asyncio.run(TraceIndexBuilder.ensure_index_exists(path, TraceIndexConfig()))
store = TraceStore.load(path, index)
for row in store._rows:
    store.view_trace(row.trace_id)
print(store.get_overview(TraceFilters()).model_dump_json())
"""


def extents(project: Project) -> Iterator[Extent]:
    return (trace.extent for trace in Trace.objects.filter(project=project).in_order())


def written(project: Project) -> list[Line]:
    """The lines of all traces."""
    stream = io.StringIO()
    export.write_stream(project, extents(project), stream)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def store(project: Project, *spans: DecodedSpan, now: datetime) -> None:
    pipeline.store(project.pk, spans, now)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", CAPTURES)
def test_the_engine_reads_what_sdks_sent(
    shared: Path, engine_python: Path, project: Project, tmp_path: Path, scenario: str
) -> None:
    spans = capture(shared / "captures" / scenario)
    now = datetime.fromtimestamp(max(span.start_ns for span in spans) // 10**9 + 60, UTC)
    pipeline.store(project.pk, spans, now)
    path = tmp_path / "traces.jsonl"
    exported = export.write_file(project, extents(project), path)
    assert (exported.spans, exported.bytes, exported.missing) == (len(spans), path.stat().st_size, 0)

    command: list[str | Path] = [engine_python, "-I", "-B", "-c", OVERVIEW, path]
    overview = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    traces = Trace.objects.filter(project=project)
    sums = traces.aggregate(*map(Sum, ("span_count", "input_tokens", "output_tokens", "error_count")))
    assert overview["total_traces"] == exported.traces == traces.count()
    assert overview["total_spans"] == sums["span_count__sum"]
    assert overview["total_input_tokens"] == sums["input_tokens__sum"]
    assert overview["total_output_tokens"] == sums["output_tokens__sum"]
    assert overview["otel_error_span_count"] == sums["error_count__sum"]
    assert overview["error_trace_count"] == traces.filter(error_count__gt=0).count()
    assert set(overview["agent_ids"]) == set(project.agents.values_list("identity", flat=True))
    assert set(overview["agent_names"]) == {str(agent) for agent in project.agents.all()}
    assert set(overview["service_names"]) == set(traces.exclude(service="").values_list("service", flat=True))
    models = {name for names in traces.values_list("model_names", flat=True) for name in names}
    assert models <= set(overview["model_names"])
    assert overview["project_id_mismatch_count"] == 0
    assert overview["latest_end_time"][:26] == f"{max(trace.end_time for trace in traces):%Y-%m-%dT%H:%M:%S.%f}"


def test_it_writes_a_span_in_the_engines_format(project: Project, now: datetime) -> None:
    start = now - timedelta(seconds=5)
    call = sent_span(
        -2,
        1,
        start=start,
        status="error",
        name="chat",
        resource={"service.name": "shop", "region": "eu"},
        openinference__span__kind="LLM",
        llm__model_name="gpt-4o",
        llm__provider="openai",
        llm__token_count__prompt=10,
        llm__token_count__completion=2,
        session__id="talk",
        user__id="ann",
        agent__id="bot-1",
        agent__name="Bot",
        w3c__tracestate="a=1",
        **messages("input", ("user", "Hi")),
        **messages("output", ("assistant", "Hello")),
    )
    call.status_message = "It broke."
    call.events = [{"name": "retry", "time": "", "attributes": {"n": 1}}]
    call.links = [{"trace_id": "", "span_id": "", "attributes": {}}]
    store(project, call, sent_span(1, start=start, input__value="Hi"), now=now)
    line = next(line for line in written(project) if line["name"] == "chat")
    attributes = line.pop("attributes")
    assert line == {
        "trace_id": UUID(int=1).hex,
        "span_id": "fffffffffffffffe",
        "parent_span_id": "0000000000000001",
        "trace_state": "a=1",
        "name": "chat",
        "kind": "SPAN_KIND_INTERNAL",
        "start_time": f"{start:%Y-%m-%dT%H:%M:%S}.000000000Z",
        "end_time": f"{start + timedelta(seconds=1):%Y-%m-%dT%H:%M:%S}.000000000Z",
        "status": {"code": "STATUS_CODE_ERROR", "message": "It broke."},
        "resource": {"attributes": {"service.name": "shop", "region": "eu"}},
        "scope": {"name": "scope", "version": "1"},
        "events": call.events,
        "links": call.links,
    }
    assert json.loads(attributes["llm.input_messages"]) == [{"role": "user", "content": "Hi"}]
    assert json.loads(attributes["llm.output_messages"]) == [{"role": "assistant", "content": "Hello"}]
    assert not any("messages.0" in name for name in attributes)
    assert {name: value for name, value in attributes.items() if name.startswith("inference.")} == {
        "inference.export.schema_version": 1,
        "inference.project_id": "default",
        "inference.observation_kind": "LLM",
        "inference.agent_id": "bot-1",
        "inference.agent_name": "Bot",
        "inference.session_id": "talk",
        "inference.user_id": "ann",
        "inference.llm.provider": "openai",
        "inference.llm.model_name": "gpt-4o",
        "inference.llm.input_tokens": 10,
        "inference.llm.output_tokens": 2,
        "inference.llm.cost.total": pytest.approx(0.000045),
    }


def test_it_says_that_a_span_is_open(project: Project, now: datetime) -> None:
    store(project, sent_span(1, start=now, seconds=None), sent_span(2, 1, start=now, name="ended"), now=now)
    is_open = {line["name"]: line["attributes"].get("catalyst.is_open") for line in written(project)}
    assert is_open == {"step": True, "ended": None}
    line = next(line for line in written(project) if line["name"] == "step")
    assert line["end_time"] == line["start_time"]
    assert line["parent_span_id"] == ""


def test_it_counts_no_call_twice(project: Project, now: datetime) -> None:
    kind: dict[str, Any] = {
        "openinference__span__kind": "LLM",
        "llm__token_count__prompt": 10,
        "llm__token_count__completion": 2,
    }
    wrapped, other = sent_span(2, 1, start=now, **kind), sent_span(3, start=now, trace=2, **kind)
    store(project, sent_span(1, start=now, **kind), wrapped, other, now=now)
    counted = [line["attributes"].get("inference.llm.input_tokens") for line in written(project)]
    assert sorted(counted, key=bool) == [None, 10, 10]


def test_it_does_not_believe_projections_of_senders(project: Project, now: datetime) -> None:
    sent: dict[str, Any] = {"inference__llm__input_tokens": 9, "inference__project_id": "other", "inference__x": "y"}
    store(project, sent_span(1, start=now, openinference__span__kind="TOOL", **sent), now=now)
    (line,) = written(project)
    projected = {name: value for name, value in line["attributes"].items() if name.startswith("inference.")}
    assert projected == {
        "inference.export.schema_version": 1,
        "inference.project_id": "default",
        "inference.observation_kind": "TOOL",
    }


def test_it_names_the_agent_around_a_span(project: Project, now: datetime) -> None:
    spans = [
        sent_span(1, start=now, name="root", agent__name="boss"),
        sent_span(2, 1, start=now, name="handoff", agent__name="expert"),
        sent_span(3, 2, start=now, name="work"),
        sent_span(4, 3, start=now, name="more"),
        sent_span(5, 1, start=now, name="boss's"),
        sent_span(6, 7, start=now, name="circle"),
        sent_span(7, 6, start=now, name="circle"),
        sent_span(8, 99, start=now, name="lost"),
    ]
    store(project, *spans, now=now)
    agents = {line["name"]: line["attributes"]["inference.agent_name"] for line in written(project)}
    assert agents == {
        **dict.fromkeys(("root", "boss's", "circle", "lost"), "boss"),
        **dict.fromkeys(("handoff", "work", "more"), "expert"),
    }


def test_it_stays_within_the_project(project: Project, other_project: Project, now: datetime) -> None:
    make_trace(other_project, now=now)
    stream = io.StringIO()
    exported = export.write_stream(project, extents(other_project), stream)
    assert (stream.getvalue(), exported) == ("", Exported(missing=1))


def test_its_queries_do_not_grow_with_the_traces(project: Project, now: datetime) -> None:
    make_traces(project, range(1, 11), now=now)
    with CaptureQueriesContext(connection) as ten:
        written(project)
    make_traces(project, range(11, 21), now=now)
    with CaptureQueriesContext(connection) as twenty:
        assert len({line["trace_id"] for line in written(project)}) == 20
    assert len(ten) == len(twenty)


def test_it_writes_all_traces_in_portions(
    project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make_traces(project, range(1, 8), now=now)
    whole = written(project)
    monkeypatch.setattr(export, "TRACES", 3)
    monkeypatch.setattr(export, "SPANS", 2)
    monkeypatch.setattr(export, "CHARACTERS", 10)
    assert written(project) == whole
    path = tmp_path / "traces.jsonl"
    exported = export.write_file(project, extents(project), path)
    assert [json.loads(line) for line in path.read_text().splitlines()] == whole
    assert exported == Exported(traces=7, spans=len(whole), bytes=path.stat().st_size)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        export.write_file(project, extents(project), path)
    assert path.exists()


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """No file of this process may become larger, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_it_leaves_no_half_file_on_a_full_disk(project: Project, now: datetime, tmp_path: Path) -> None:
    make_traces(project, range(1, 30), now=now)
    with small_disk(4_096), pytest.raises(DiskFull, match="is full"):
        export.write_file(project, extents(project), tmp_path / "traces.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_it_leaves_no_half_file_when_it_is_interrupted(project: Project, now: datetime, tmp_path: Path) -> None:
    def interrupted() -> Iterator[Extent]:
        yield from extents(project)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    make_traces(project, range(1, 3), now=now)
    with pytest.raises(OSError, match="Input/output"):
        export.write_file(project, interrupted(), tmp_path / "traces.jsonl")
    assert list(tmp_path.iterdir()) == []
