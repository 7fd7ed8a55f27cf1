"""halo-engine as a process: what it is told, says and may do, and that it always ends."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from halo.engine_process import Answer, Delta, Event, Failed, Incomplete, Started, Step
from tests.halo.engine_runs import KEY, TRACE, EngineRuns, configuration, engines, write_traces
from tests.halo.model_server import Asked, Call, ModelServer, Reply, analyst
from tests.processes import ROOT, environment, eventually

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("halo engine")]

REPORT = f"# Refunds fail\n\nCards expire, see [trace:{TRACE}]. — ✓"
OVERVIEW = Call("get_dataset_overview", {"filters": {}})
SUBAGENT = Call("call_subagent", {"input": f"Look at {TRACE}."})
SYNTHESIS = Call("synthesize_traces", {"trace_ids": [TRACE], "focus": "errors"})
WORK = analyst(REPORT, OVERVIEW, SUBAGENT, SYNTHESIS)
STUCK = Call("search_trace", {"trace_id": TRACE, "regex_pattern": "(a+)+$"})


@pytest.mark.parametrize("api", ["responses", "chat_completions"])
def test_it_reads_traces_and_answers(engine: EngineRuns, api: str) -> None:
    with ModelServer(WORK) as server:
        ending = engine.run(server.url, api=api, dataset_context="Orders of a shop.")
    assert ending == Answer(text=REPORT)
    assert engine.events[0] == Started(engine="0.3.5")
    assert engine.events[-1] == ending

    said = [(step.depth, step.kind, step.name) for step in engine.steps]
    for call in (OVERVIEW, SUBAGENT, SYNTHESIS):
        assert {(0, "tool_call", call.name), (0, "tool_result", call.name)} <= set(said)
    assert (1, "text", "") in said
    overview = next(step for step in engine.steps if (step.kind, step.name) == ("tool_result", OVERVIEW.name))
    assert json.loads(overview.text)["result"]["total_traces"] == 1
    written = "".join(event.text for event in engine.events if isinstance(event, Delta))
    assert written.startswith("Let me look.")
    assert engines() == []

    agents = [asked for asked in server.asked if asked.is_stream]
    assert {asked.is_chat for asked in agents} == {api == "chat_completions"}
    assert all("Orders of a shop." in json.dumps(asked.body) for asked in agents)
    assert {asked.headers["Authorization"] for asked in server.asked} == {f"Bearer {KEY}"}
    if api == "chat_completions":
        assert all(asked.body["stream_options"] == {"include_usage": True} for asked in agents)


def test_it_has_reading_tools_alone(engine: EngineRuns) -> None:
    with ModelServer(WORK) as server:
        engine.run(server.url)
    assert set().union(*(asked.tools for asked in server.asked)) == {
        *("get_dataset_overview", "query_traces", "count_traces", "view_trace", "view_spans", "search_trace"),
        *("search_span", "get_context_item", "synthesize_traces", "call_subagent", "final_answer"),
    }


def test_it_is_told_how_to_ask(engine: EngineRuns) -> None:
    with ModelServer(WORK) as server:
        engine.run(server.url, reasoning_effort="low", temperature=0.2)
    first = server.asked[0].body
    assert (first["reasoning"]["effort"], first["temperature"], first["model"]) == ("low", 0.2, "scripted-1")


def test_it_says_what_was_written_when_it_ends_without_a_report(engine: EngineRuns) -> None:
    with ModelServer(lambda _asked: Reply(["Refunds fail, I think."])) as server:
        ending = engine.run(server.url)
    assert ending == Incomplete(reason="no_final_answer", text="Refunds fail, I think.")
    assert len(server.asked) == 2, "it is asked once more for a report"


def test_it_ends_when_its_turns_are_used_up(engine: EngineRuns) -> None:
    with ModelServer(lambda _asked: Reply(["Again.", OVERVIEW])) as server:
        ending = engine.run(server.url, max_turns=2)
    assert isinstance(ending, Failed)
    assert (ending.reason, ending.text) == ("max_turns", "Again.")


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(status=401), "unauthorized"),
        (Reply(status=403), "forbidden"),
        (Reply(status=404), "not_found"),
        (Reply(status=429), "rate_limited"),
        (Reply(status=500), "server_error"),
        (Reply(status=400), "bad_request"),
        (Reply(status=400, code="context_length_exceeded"), "context_length"),
        (Reply(raw=b"data: {not json\n\n"), "malformed_answer"),
        (Reply(raw=b"hello"), "malformed_answer"),
        (Reply(["Half."], breaks_off=True), "malformed_answer"),
        (Reply(["Sorry, but I cannot assist with that request."]), "refused"),
    ],
)
def test_it_says_why_it_failed(engine: EngineRuns, reply: Reply, reason: str) -> None:
    with ModelServer(lambda _asked: reply) as server:
        ending = engine.run(server.url)
    assert isinstance(ending, Failed)
    assert ending.reason == reason, ending
    assert KEY not in repr(engine.events)
    assert engines() == []


def test_it_says_that_nobody_answers(engine: EngineRuns) -> None:
    with ModelServer(WORK) as server:
        gone = server.url
    ending = engine.run(gone)
    assert isinstance(ending, Failed)
    assert ending.reason == "unreachable"


def test_it_gets_over_errors_that_pass(engine: EngineRuns) -> None:
    def script(asked: Asked) -> Reply:
        return Reply(status=500) if len(server.asked) == 1 else WORK(asked)

    with ModelServer(script) as server:
        assert engine.run(server.url, max_failures=3) == Answer(text=REPORT)


def test_it_says_that_the_traces_are_not_in_its_format(engine: EngineRuns) -> None:
    (engine.folder / "traces.jsonl").write_text('{"trace_id": "x"}\n')
    with ModelServer(WORK) as server:
        ending = engine.run(server.url)
    assert isinstance(ending, Failed)
    assert ending.reason == "bad_traces"


def test_it_cuts_long_steps(engine: EngineRuns) -> None:
    write_traces(engine.folder / "traces.jsonl", **{f"part.{n}": "long " * 700 for n in range(20)})
    with ModelServer(analyst("x" * 500_000, Call("view_trace", {"trace_id": TRACE}))) as server:
        ending = engine.run(server.url)
    assert len(ending.text) == 400_000
    assert ending.text.endswith("[cut: 500,000 characters]")
    assert max(len(step.text) for step in engine.steps) == 4_000


def test_it_ends_when_it_wants_too_much_memory(engine: EngineRuns) -> None:
    with ModelServer(WORK) as server:
        write_traces(engine.folder / "traces.jsonl", text="a" * 150_000_000)
        ending = engine.run(server.url, memory_mb=200)
    assert isinstance(ending, Failed)
    assert ending.reason == "out_of_memory"
    assert server.asked == []


def test_it_gets_nothing_of_ours(engine: EngineRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-operator")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    seen: list[dict[str, Any]] = []
    connected: set[tuple[str, int]] = set()

    async def look(event: Event) -> None:
        if not isinstance(event, Step):
            return
        # It may have ended by the time its last events are read.
        with suppress(psutil.NoSuchProcess):
            for process in engines():
                connected.update(each.raddr for each in process.net_connections() if each.raddr)
                about = {"nice": process.nice(), "group": os.getpgid(process.pid), "pid": process.pid}
                seen.append(about | {"environment": process.environ(), "cwd": process.cwd()})

    with ModelServer(WORK) as server:
        engine.run(server.url, look)
        assert connected == {server.address}
    folder = str(engine.folder)
    assert seen[0]["environment"] == {
        "PATH": str(engine.python.parent),
        "HOME": folder,
        "TMPDIR": folder,
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
    }
    assert (seen[0]["nice"], seen[0]["cwd"], seen[0]["group"]) == (10, folder, seen[0]["pid"])
    others = {path for path in engine.folder.iterdir() if path.name != "traces.jsonl"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in others)


STALLED: Callable[[Asked], Reply] = lambda _asked: Reply(stalls=True)  # noqa: E731
MATCHING: Callable[[Asked], Reply] = lambda _asked: Reply([STUCK])  # noqa: E731


def is_busy(server: ModelServer, folder: Path) -> bool:
    """Whether the engine waits for the model, or for a search that takes for ever."""
    if server.script is STALLED:
        return bool(server.asked)
    return any(process.cpu_times().user > 3 for process in engines() if process.cwd() == str(folder))


@pytest.mark.parametrize("script", [STALLED, MATCHING], ids=["waiting for the model", "matching for ever"])
def test_it_is_gone_two_seconds_after_it_is_cancelled(engine: EngineRuns, script: Callable[[Asked], Reply]) -> None:
    write_traces(engine.folder / "traces.jsonl", text="a" * 60 + "!")

    async def cancelled(server: ModelServer) -> None:
        run = asyncio.create_task(engine.start(server.url))
        await asyncio.to_thread(eventually, lambda: is_busy(server, engine.folder))
        run.cancel()
        async with asyncio.timeout(2):
            with suppress(asyncio.CancelledError):
                await run
        assert run.cancelled()
        assert engines() == []

    with ModelServer(script) as server:
        asyncio.run(cancelled(server))


def test_it_is_gone_when_the_host_can_not_take_an_event(engine: EngineRuns) -> None:
    async def fail(_event: Event) -> None:
        raise RuntimeError("The database is gone.")

    with ModelServer(STALLED) as server, pytest.raises(RuntimeError, match="database"):
        engine.run(server.url, fail)
    assert engines() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_says_that_it_was_killed(engine: EngineRuns, number: signal.Signals) -> None:
    def script(_asked: Asked) -> Reply:
        for process in engines():
            process.send_signal(number)
        return Reply(stalls=True)

    with ModelServer(script) as server:
        ending = engine.run(server.url)
    assert isinstance(ending, Failed)
    assert ending.reason == "crashed"
    assert ending.error.startswith(f"It was ended by signal {number}.")


def test_it_leaves_nothing_behind_that_it_started(engine: EngineRuns) -> None:
    python = engine.folder / "python"
    python.write_text("#!/bin/sh\n/bin/sleep 1000 &\necho $! > started\necho Bye. >&2\n")
    python.chmod(0o700)
    ending = EngineRuns(python, engine.folder).run("http://127.0.0.1:9/v1")
    assert ending == Failed(reason="crashed", error="It ended with code 0. Bye.")
    started = int((engine.folder / "started").read_text())
    eventually(lambda: not is_alive(started))


def test_it_is_reaped_even_if_it_is_cancelled_twice(engine: EngineRuns) -> None:
    async def cancelled(server: ModelServer) -> None:
        run = asyncio.create_task(engine.start(server.url))
        await asyncio.to_thread(eventually, lambda: bool(server.asked))
        run.cancel()
        await asyncio.sleep(0)
        run.cancel()
        with suppress(asyncio.CancelledError):
            await run
        assert engines() == []

    with ModelServer(STALLED) as server:
        asyncio.run(cancelled(server))


@pytest.mark.parametrize(
    "said",
    ["hello", '{"type": "answer"}', '{"type": "other"}', '["answer"]', "x" * 9_000_000],
    ids=["no JSON", "a part of an event", "an unknown event", "no object", "a long line"],
)
def test_it_does_not_believe_what_is_no_event(engine: EngineRuns, said: str) -> None:
    (engine.folder / "said").write_text(f"{said}\n")
    python = engine.folder / "python"
    python.write_text("#!/bin/sh\n/bin/cat said\nexec /bin/sleep 1000\n")
    python.chmod(0o700)
    ending = EngineRuns(python, engine.folder).run("http://127.0.0.1:9/v1")
    assert ending == Failed(reason="crashed", error="It wrote what is no event, or too much.")
    assert engines() == []


HOST = """
import asyncio, json, sys
from pathlib import Path
from halo.engine_process import EngineConfig, run_engine

async def ignore(event): ...

values = json.loads(sys.argv[1])
config = EngineConfig(**values | {"trace_path": Path(values["trace_path"])})
asyncio.run(run_engine(config, python=Path(sys.argv[2]), folder=Path(sys.argv[3]), on_event=ignore))
"""


@pytest.mark.parametrize("script", [STALLED, MATCHING], ids=["waiting for the model", "matching for ever"])
def test_it_ends_with_a_host_that_is_killed(engine: EngineRuns, script: Callable[[Asked], Reply]) -> None:
    write_traces(engine.folder / "traces.jsonl", text="a" * 60 + "!")
    with ModelServer(script) as server:
        config = json.loads(configuration(engine.folder, server.url).line(engine.folder))
        del config["work_dir"]
        arguments = [sys.executable, "-c", HOST, json.dumps(config), str(engine.python), str(engine.folder)]
        host = subprocess.Popen(arguments, cwd=ROOT, env=environment(), start_new_session=True)
        eventually(lambda: is_busy(server, engine.folder))
        (process,) = engines()
        host.kill()
        host.wait()
        eventually(lambda: not is_alive(process.pid), seconds=5)
    assert not is_alive(process.pid)


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
