"""Real SDKs, as their users run them, post to a running server and appear."""

import gzip
import http.client
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.instance import Instance
from tests.judge_server import JudgeServer, completion
from tests.processes import ROOT, environment, eventually
from tests.traces.conventions.test_captures import CAPTURES

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

CATALYST_TRACING = """
import catalyst_tracing, openai
tracing = catalyst_tracing.setup()
client = openai.OpenAI(max_retries=0)
identity = {"agent_id": "sdk-python", "agent_name": "Python", "session_id": "sdk-py-1"}
with catalyst_tracing.agent_span(tracing.tracer, **identity) as run:
    run.set_input("Hello there")
    answer = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hello there"}])
    run.set_output(answer.choices[0].message.content)
tracing.shutdown()
"""
OPENINFERENCE = """
import openai
from openinference.instrumentation import using_session
from openinference.instrumentation.openai import OpenAIInstrumentor
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
OpenAIInstrumentor().instrument(tracer_provider=provider)
tracer = provider.get_tracer("mine")
with using_session("sdk-oi-1"), tracer.start_as_current_span("run", attributes={"agent.id": "sdk-openinference"}):
    client = openai.OpenAI(max_retries=0)
    client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hello"}])
provider.shutdown()
"""
# Large enough that the answer comes while the body is being sent.
METRICS_AND_LOGS = """
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

for compression in (Compression.NoCompression, Compression.Gzip):
    metrics = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(compression=compression))])
    metrics.get_meter("mine").create_counter("calls").add(1)
    logs = LoggerProvider()
    logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(compression=compression)))
    logger = logs.get_logger("mine")
    for _ in range(20):
        logger.emit(LogRecord(timestamp=1, body="x" * 1_000_000, severity_number=SeverityNumber.INFO))
    assert metrics.force_flush() and logs.force_flush()
    metrics.shutdown()
    logs.shutdown()
"""


@pytest.fixture
def model() -> Iterator[JudgeServer]:
    """The model that the instrumented programs call."""
    with JudgeServer(lambda _: completion("Hello, how can I help?")) as server:
        yield server


def run(command: list[str], catalyst: Instance, model: JudgeServer, cwd: Path = ROOT) -> str:
    """Run a program that is instrumented by environment variables alone, and return what it logs."""
    variables = environment(
        INFERENCE_OTLP_ENDPOINT=catalyst.url,
        INFERENCE_API_KEY=catalyst.ingest_key,
        INFERENCE_SERVICE_NAME="sdk-test",
        OTEL_EXPORTER_OTLP_ENDPOINT=catalyst.url,
        OTEL_EXPORTER_OTLP_HEADERS=f"Authorization=Bearer {catalyst.ingest_key}",
        OPENAI_BASE_URL=model.url,
        OPENAI_API_KEY="none",
    )
    done = subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


def assert_it_appears(catalyst: Instance, agent: str, session: str) -> None:
    """The run is there: one trace of an agent and its model call, with tokens, in its session."""
    statement = """
        SELECT s.key, t.span_count, t.llm_count, t.input_tokens, t.output_tokens
        FROM traces_trace t JOIN agents_agent a ON a.id = t.agent_id JOIN traces_session s ON s.id = t.session_id
        WHERE a.identity = %s
    """
    eventually(lambda: [row[1] for row in catalyst.query(statement, agent)] == [2], seconds=10)
    assert catalyst.query(statement, agent) == [(session, 2, 1, 120, 12)]


def test_catalyst_tracing_for_python(catalyst: Instance, model: JudgeServer) -> None:
    run([sys.executable, "-c", CATALYST_TRACING], catalyst, model)
    assert_it_appears(catalyst, "sdk-python", "sdk-py-1")


def test_openinference_over_plain_opentelemetry(catalyst: Instance, model: JudgeServer) -> None:
    run([sys.executable, "-c", OPENINFERENCE], catalyst, model)
    assert_it_appears(catalyst, "sdk-openinference", "sdk-oi-1")


def test_metrics_and_logs_of_opentelemetry_are_dropped_without_an_error(catalyst: Instance, model: JudgeServer) -> None:
    assert run([sys.executable, "-c", METRICS_AND_LOGS], catalyst, model) == ""


def test_inference_tracing_for_javascript(catalyst: Instance, model: JudgeServer, javascript: Path) -> None:
    shutil.copy(Path(__file__).with_name("js") / "send.js", javascript)
    run(["node", "send.js"], catalyst, model, cwd=javascript)
    assert_it_appears(catalyst, "sdk-javascript", "sdk-js-1")


STORED = """
    SELECT count(*), sum(t.span_count), sum(t.input_tokens), sum(t.output_tokens), sum(t.llm_count), sum(t.error_count)
    FROM traces_trace t JOIN core_project p ON p.id = t.project_id WHERE p.slug = %s
"""


def test_it_takes_recorded_requests_in_chunks(catalyst: Instance, shared: Path) -> None:
    keys = catalyst.new_projects(*CAPTURES)
    for (scenario, expected), key in zip(CAPTURES.items(), keys, strict=True):
        for body in sorted((shared / "captures" / scenario).glob("*.body.*")):
            sent = json.loads(body.with_name(body.name.split(".")[0] + ".headers.json").read_text())
            headers = {name.lower(): value for name, value in sent["headers"].items()}
            assert post_in_chunks(catalyst, sent["path"], body.read_bytes(), key, headers) == 200
        traces, spans, _, _, input_tokens, output_tokens, llm_spans, errors = expected
        assert catalyst.query(STORED, scenario) == [(traces, spans, input_tokens, output_tokens, llm_spans, errors)]


def post_in_chunks(catalyst: Instance, path: str, content: bytes, key: str, headers: dict[str, str]) -> int:
    """Send a body piece by piece, without saying how long it is."""
    kept = {"Content-Type": headers["content-type"], "Authorization": f"Bearer {key}"}
    if headers.get("content-encoding") == "gzip":
        content = content if content.startswith(b"\x1f\x8b") else gzip.compress(content)
        kept["Content-Encoding"] = "gzip"
    pieces = (content[first : first + 1000] for first in range(0, len(content), 1000))
    connection = http.client.HTTPConnection(urlsplit(catalyst.url).netloc, timeout=20)
    connection.request("POST", path, pieces, kept, encode_chunked=True)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status
