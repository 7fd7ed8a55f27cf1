"""Reports with a model: the real engine against a scripted model, from the request to the rows."""

import fcntl
import json
import re
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import batched
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from catalyst.core.models import Project
from catalyst.env import env
from halo import engine_environment
from halo.choices import EngineKind, RunStatus
from halo.engine_environment import EngineEnvironment
from halo.models import Run
from halo.runs import folders, follow_ups, requests, worker
from halo.runs.claims import LEASE
from halo.runs.requests import Definition
from tests.factories import AGENT, make_agent
from tests.halo.model_server import Asked, Call, ModelServer, Reply, analyst
from tests.processes import ENGINE_FOLDER, eventually, running
from tests.traces.recorded import recording
from tests.traces.sent import sent_span
from traces.ingest import pipeline
from traces.models.span import hex_span_id
from traces.transcripts import conversations

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("halo engine")]

MODEL = "gpt-4o-mini"
LOOK = (Call("get_dataset_overview", {"filters": {}}), Call("view_trace", {"trace_id": f"{3:032x}"}))
FINDINGS = {
    "findings": [
        {
            "title": "Orders without lines fail",
            "severity": "high",
            "category": "reliability",
            "what_happens": "The lookup raises.",
            "fix": "Return an error that the model can read.",
            "signature": "F1",
            "trace_count": 7,
            "citations": [
                {"trace_id": f"{3:032x}", "span_id": f"{48:016x}", "quote": "The order has no lines"},
                {"trace_id": f"{4:032X}", "quote": "I never said that"},
                {"trace_id": "ab" * 16},
            ],
        },
        {"title": "Something else", "severity": "low", "category": "cost", "trace_count": 4, "signature": "else"},
    ]
}
ANSWER = f"One thing matters.\n\n# Findings\n\nIt fails.\n\n```json\n{json.dumps(FINDINGS)}\n```"


@pytest.fixture(autouse=True)
def _engine(engine_python: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine is there, and the folders of runs are the test's own."""
    monkeypatch.setattr(env, "halo_engine", ENGINE_FOLDER)
    settings.DATA_FOLDER = tmp_path


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[Asked], Reply]], ModelServer]]:
    """Connect a scripted model to the instance."""
    servers = []

    def start(script: Callable[[Asked], Reply]) -> ModelServer:
        server = ModelServer(script).__enter__()
        servers.append(server)
        monkeypatch.setattr(env, "judge_url", server.url)
        monkeypatch.setattr(env, "judge_model", MODEL)
        monkeypatch.setattr(env, "judge_api_key", "sk-of-the-operator")
        return server

    yield start
    for server in servers:
        server.__exit__()


def post_runs(project: Project, now: datetime) -> None:
    """Thirty runs, of which ten fail alike."""
    spans = []
    for number in range(1, 31):
        status = "error" if number <= 10 else "ok"
        span = sent_span(
            16 * number, trace=number, start=now - timedelta(minutes=number), status=status, agent__name=AGENT
        )
        span.status_message = "The order has no lines" if number <= 10 else ""
        spans.append(span)
    pipeline.store(project.pk, spans, now)


def ask(project: Project, now: datetime, **about: Any) -> Run:
    post_runs(project, now)
    window = Definition(window_start=now - timedelta(days=1), window_end=now, engine=EngineKind.MODEL, **about)
    return requests.create(make_agent(project), window, now)


def report(project: Project, now: datetime, **about: Any) -> Run:
    """The run after a worker has brought it to its end, which leaves nothing behind."""
    run = ask(project, now, **about)
    worker.work(lambda: now)
    run.refresh_from_db()
    assert not run.is_open
    assert not list(folders.parent().glob("*"))
    assert engines() == []
    return run


def work(now: datetime) -> None:
    """Work in a thread of the test."""
    worker.work(lambda: now)
    connection.close()


def engines() -> list[int]:
    """Engines that this process left running."""
    return engines_of(psutil.Process().pid)


def engines_of(process: int) -> list[int]:
    children = psutil.Process(process).children(recursive=True)
    return [each.pid for each in children if "runner.py" in " ".join(each.cmdline())]


def test_a_report_has_what_the_model_found(project: Project, now: datetime, serve: Any) -> None:
    server = serve(analyst(ANSWER, *LOOK))
    run = report(project, now, prompt="Why do orders fail?")
    assert (run.status, run.error, run.is_partial) == (RunStatus.COMPLETED, "", False)
    assert run.text == "One thing matters.\n\n# Findings\n\nIt fails."
    assert run.lede == "One thing matters."
    assert (run.read_trace_count, run.read_span_count, run.trace_count) == (30, 30, 30)
    first, second = run.findings.order_by("rank")
    assert (first.title, first.severity, first.trace_count) == ("Orders without lines fail", "high", 10)
    assert first.traces.count() == 10
    assert (second.trace_count, second.claimed_count) == (None, 4)
    cited = list(first.citations.order_by("position").values_list("state", "quote_state"))
    assert cited == [("verified", "found"), ("verified", "missing"), ("unknown", "")]
    told = list(run.events.order_by("sequence").values_list("kind", "text"))
    assert told[0] == ("started", "Reads 30 of 30 traces")
    assert ("tool_call", "Looks at the overview") in told
    assert ("tool_call", "Reads a trace") in told
    assert run.turn == 3
    first_asked = server.asked[-1]
    assert "Why do orders fail?" in json.dumps(first_asked.body)
    assert "F1: " in json.dumps(first_asked.body)


def test_drafts_of_signals_are_kept_and_can_be_discussed(project: Project, now: datetime, serve: Any) -> None:
    drafts = {
        "signals": [{"name": "Empty orders", "scope": "run", "prompt": "Has the order no lines?", "why": "Ten do."}]
    }
    block = f"```json\n{json.dumps(drafts)}\n```"
    server = serve(analyst(f"One is worth counting.\n\n{block}"))
    first = report(project, now, prompt="Which signals should I add?")
    assert "Only if you are asked for signals" in json.dumps(server.asked[-1].body)
    (kept,) = first.signal_drafts
    assert (first.text, kept["name"], kept["scope"]) == ("One is worth counting.", "Empty orders", "trace")
    server.script, reported = analyst(block.replace("no lines?", "no lines at all?")), len(server.asked)
    asked = follow_ups.ask(first, "Make it stricter.", now)
    worker.work(lambda: now)
    asked.refresh_from_db()
    assert "Has the order no lines?" in json.dumps(server.asked[reported].history)
    assert [each["prompt"] for each in asked.signal_drafts] == ["Has the order no lines at all?"]
    assert "no lines at all?" in asked.text


def test_a_question_goes_on_with_what_was_said(project: Project, now: datetime, serve: Any) -> None:
    server = serve(analyst(ANSWER))
    first = report(project, now, prompt="Why do orders fail?")
    answer = f"Since the deploy: [trace:{3:032x}], but not [trace:{'ab' * 16}]."
    server.script, reported = analyst(answer, *LOOK), len(server.asked)
    asked = follow_ups.ask(first, "Since when?", now)
    worker.work(lambda: now)
    asked.refresh_from_db()
    assert (asked.status, asked.text, asked.error) == (RunStatus.COMPLETED, answer, "")
    assert (asked.read_trace_count, asked.turn) == (30, 3)
    assert list(asked.citations.order_by("position").values_list("state", flat=True)) == ["verified", "unknown"]
    said = [item for item in server.asked[reported].history if item["role"] in {"user", "assistant"}]
    texts = [json.dumps(item) for item in said]
    assert "Why do orders fail?" in texts[0]
    assert "It fails." in texts[1]
    assert "Since when?" in texts[2]
    assert "This is a question about the report above" in texts[2]
    # The next one knows this answer.
    server.script, reported = analyst("No."), len(server.asked)
    follow_ups.ask(first, "Only then?", now)
    worker.work(lambda: now)
    assert "Since the deploy" in json.dumps(server.asked[reported].history)


def test_the_meter_says_what_the_server_counted(project: Project, now: datetime, serve: Any) -> None:
    server = serve(analyst(ANSWER, *LOOK))
    run = report(project, now)
    calls = [asked for asked in server.asked if "root agent" in json.dumps(asked.body)]
    assert run.call_count == len(calls) == 3
    assert (run.input_tokens, run.output_tokens) == (3_000, 60)
    assert run.cost is not None
    assert run.cost > 0
    sent = [{name.lower(): value for name, value in asked.headers.items()} for asked in server.asked]
    assert {headers["authorization"] for headers in sent} == {"Bearer sk-of-the-operator"}


def test_an_answer_in_prose_is_shown(project: Project, now: datetime, serve: Any) -> None:
    serve(analyst("All is well, as far as I can see."))
    run = report(project, now)
    assert (run.status, run.text) == (RunStatus.COMPLETED, "All is well, as far as I can see.")
    assert run.findings.count() == 0
    assert any("no list of findings" in note for note in run.notes)


def test_without_a_final_answer_the_last_text_stays(project: Project, now: datetime, serve: Any) -> None:
    serve(lambda asked: Reply(["I think I am done."] if asked.is_stream else ["Short."]))
    run = report(project, now)
    assert (run.status, run.text, run.is_partial) == (RunStatus.COMPLETED, "I think I am done.", True)
    assert any("without its final answer" in note for note in run.notes)


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "refused the API key (401)"), (404, "does not know this model or address (404)")],
)
def test_a_refusal_ends_it_at_once(project: Project, now: datetime, serve: Any, status: int, words: str) -> None:
    serve(lambda _asked: Reply(status=status))
    run = report(project, now)
    assert run.status == RunStatus.FAILED
    assert words in run.error
    assert "sk-of-the-operator" not in run.error


def test_a_server_that_is_down_is_named(project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env, "judge_url", "http://127.0.0.1:9/v1")
    monkeypatch.setattr(env, "judge_model", MODEL)
    run = report(project, now)
    assert run.status == RunStatus.FAILED
    assert "127.0.0.1:9 can't be reached" in run.error


def test_a_budget_of_tokens_ends_it(project: Project, now: datetime, serve: Any) -> None:
    serve(lambda _asked: Reply(["Let me look.", LOOK[0]]))
    run = report(project, now, budget_tokens=30_000)
    assert (run.status, run.is_partial, run.text) == (RunStatus.FAILED, True, "Let me look.")
    assert "Its limit of 30,000 tokens was used up" in run.error
    assert 25_000 < run.total_tokens < 32_000


def test_cancelling_stops_the_engine(project: Project, now: datetime, serve: Any) -> None:
    serve(lambda asked: Reply(stalls=True) if asked.results else Reply(["Half a report.", LOOK[0]]))
    run = ask(project, now)
    thread = threading.Thread(target=work, args=[now])
    thread.start()
    eventually(lambda: run.events.filter(kind="tool_call").exists(), seconds=60)
    requests.cancel(run, now)
    thread.join(5)
    assert not thread.is_alive()
    run.refresh_from_db()
    assert (run.status, run.text, run.is_partial) == (RunStatus.CANCELLED, "Half a report.", True)
    assert engines() == []
    assert not list(folders.parent().glob("*"))


def test_without_the_engine_it_says_how_to_install_it(
    project: Project, now: datetime, serve: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    serve(analyst(ANSWER))
    monkeypatch.setattr(env, "halo_engine", tmp_path / "nothing")
    run = report(project, now)
    assert run.status == RunStatus.FAILED
    assert "halo install" in run.error


def test_it_waits_for_an_engine_that_is_being_installed(
    project: Project, now: datetime, serve: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    serve(analyst(ANSWER))
    folder = tmp_path / "engine"
    folder.mkdir()
    monkeypatch.setattr(env, "halo_engine", folder)
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run = ask(project, now)
        thread = threading.Thread(target=work, args=[now])
        thread.start()
        eventually(run.events.exists)
        assert "Waits until the engine is installed" in run.events.get().text
        (folder / engine_environment.environment().python.parent.parent.name).symlink_to(
            EngineEnvironment(ENGINE_FOLDER).python.parent.parent
        )
    thread.join(60)
    run.refresh_from_db()
    assert (run.status, run.findings.count()) == (RunStatus.COMPLETED, 2)


def test_a_full_disk_ends_it_before_the_model_is_asked(
    project: Project, now: datetime, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(analyst(ANSWER))
    with files_of_at_most(1_000):
        run = report(project, now)
    assert run.status == RunStatus.FAILED
    assert "is full, so the traces could not be written" in run.error
    assert server.asked == []


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a disk with so much room."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_killed_worker_leaves_its_run_to_the_next(
    project: Project, now: datetime, serve: Any, tmp_path: Path
) -> None:
    stalls = threading.Event()

    def script(asked: Asked) -> Reply:
        return analyst(ANSWER, *LOOK)(asked) if stalls.is_set() or not asked.results else Reply(stalls=True)

    server = serve(script)
    run = ask(project, now)
    script_of_worker = "from django.utils import timezone; from halo.runs import worker; worker.work(timezone.now)"
    about = {"CATALYST_DATA": str(tmp_path), "CATALYST_JUDGE_URL": server.url, "CATALYST_JUDGE_MODEL": MODEL}
    with running("shell", "-v", "0", "-c", script_of_worker, **about) as process:
        eventually(lambda: run.events.filter(kind="tool_call").exists(), seconds=60)
        (engine,) = engines_of(process.pid)
        process.kill()
        eventually(lambda: not psutil.pid_exists(engine))
    run.refresh_from_db()
    assert (run.status, run.attempts) == (RunStatus.RUNNING, 1)
    stalls.set()
    assert worker.work(timezone.now) == 0
    worker.work(lambda: timezone.now() + 2 * LEASE)
    run.refresh_from_db()
    assert (run.status, run.attempts, run.findings.count()) == (RunStatus.COMPLETED, 2, 2)
    assert not list(folders.parent().glob("*"))


@pytest.mark.parametrize("speaks_responses", [True, False])
def test_the_recorded_airline_conversations(project: Project, shared: Path, serve: Any, speaks_responses: bool) -> None:
    spans = recording(shared / "data" / "airline.otlp.jsonl.gz")
    end = datetime.fromtimestamp(max(span.end_ns for span in spans) / 1e9, UTC) + timedelta(hours=1)
    for batch in batched(spans, 2_000, strict=False):
        pipeline.store(project.pk, batch, end)
    trace = project.traces.filter(tool_count__gt=0).order_by("trace_id")[0]
    tool = next(span for span in conversations.spans_of(trace) if span.kind == "TOOL")
    cited = f"{trace.hex_id}:{hex_span_id(tool.span_id)}"
    answer = (
        "Tools answer with errors.\n\n"
        f"The tool `{tool.tool}` is called in [span:{cited}], where it says \u201cnobody ever said this\u201d.\n\n"
        f"See also the trace {'ab' * 16}."
    )
    look = (Call("count_traces", {"filters": {}}), Call("view_trace", {"trace_id": trace.hex_id}))
    script = analyst(answer, *look)
    server = serve(lambda asked: script(asked) if speaks_responses or asked.is_chat else Reply(status=404))
    agent = project.agents.get(identity="airline-support")
    window = Definition(window_start=end - timedelta(days=30), window_end=end, engine=EngineKind.MODEL)
    run = requests.create(agent, window, end)
    worker.work(lambda: end)
    run.refresh_from_db()
    assert (run.status, run.error) == (RunStatus.COMPLETED, "")
    assert (run.trace_count, run.read_trace_count, run.read_span_count) == (757, 757, run.span_count)
    states = list(run.citations.order_by("position").values_list("state", "quote_state"))
    assert states == [("verified", "missing"), ("unknown", "")]
    told = [result for asked in server.asked for result in asked.results]
    assert any(re.search(r'"total": ?757\b', result) for result in told)
    assert ("tool_call", "Reads a trace") in run.events.values_list("kind", "text")
    roots = [asked for asked in server.asked if asked.is_stream and asked.is_root and asked.is_chat != speaks_responses]
    assert run.call_count == len(roots) == 3
