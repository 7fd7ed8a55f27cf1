"""Runs halo-engine as a process of its own (halo/engine/runner.py) and reads its events.

The process gets nothing of ours but a folder, an address, and a key for that address. It never outlives `run_engine`,
nor the process that called it.
"""

import asyncio
import json
import os
import signal
from asyncio import Task
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

RUNNER = Path(__file__).parent / "engine" / "runner.py"
MEMORY_MB = 2_048
MAX_LINE_BYTES = 8 << 20
MAX_OUTPUT_BYTES = 512 << 20
LOG_TAIL_BYTES = 16 << 10
MAX_ERROR_CHARACTERS = 1_000
# What Python says of an allocation that the limit refused, and what Rust says.
OUT_OF_MEMORY = ("MemoryError", "memory allocation of")
# After its last event it has nothing left to do.
END_SECONDS = 2.0
LOOK_SECONDS = 0.05
# -I and -B: as if PYTHON… variables and a user's packages were not there, and no bytecode is written.
PYTHON_OPTIONS = ("-I", "-B", "-X", "utf8")

type StepKind = Literal["text", "tool_call", "tool_result"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """What runner.py is told. `messages`: objects with role and content, the prompt as the last one.

    `api`: responses or chat_completions. `reasoning_effort`: if None, OpenAI's models get the highest that they know.
    `max_turns`: of each agent; the engine may use up to twice as many for the root agent, if it does not end in time.
    `max_failures`: calls that may fail in a row. None: as the engine thinks best, which takes up to two minutes.
    """

    base_url: str
    api_key: str
    model: str
    api: str
    messages: tuple[Mapping[str, str], ...]
    trace_path: Path
    dataset_context: str | None = None
    max_depth: int = 2
    max_turns: int = 20
    max_parallel: int = 4
    reasoning_effort: str | None = None
    temperature: float | None = None
    memory_mb: int = MEMORY_MB
    max_failures: int | None = None

    def line(self, folder: Path) -> bytes:
        values = asdict(self) | {"trace_path": str(self.trace_path.absolute()), "work_dir": str(folder.absolute())}
        return json.dumps(values).encode() + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    engine: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What an agent has said, asked a tool, or been told by it. Long texts are cut.

    `sequence` grows, and may skip numbers. `depth` is 0 for the root agent.
    """

    sequence: int
    agent_id: str
    parent_agent_id: str | None
    agent: str
    depth: int
    kind: StepKind
    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A further part of what the root agent is writing. The whole text comes as a step."""

    agent_id: str
    depth: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The report."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Incomplete:
    """It ended without a report. `text`: the last that the root agent wrote."""

    reason: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """It could not go on. `reason` is a stable word, `error` what was said, `text` as in `Incomplete`.

    Reasons: unauthorized, forbidden, not_found, rate_limited, bad_request, context_length, server_error, unreachable,
    timeout, malformed_answer, refused, max_turns, bad_traces, disk_full, out_of_memory, crashed.
    """

    reason: str
    error: str
    text: str = ""


type Event = Started | Step | Delta | Answer | Incomplete | Failed
type Ending = Answer | Incomplete | Failed

EVENTS: dict[str, type[Event]] = {
    "started": Started,
    "step": Step,
    "delta": Delta,
    "answer": Answer,
    "incomplete": Incomplete,
    "failed": Failed,
}


async def run_engine(
    config: EngineConfig, *, python: Path, folder: Path, on_event: Callable[[Event], Awaitable[object]]
) -> Ending:
    """Run the engine to its end; returns its last event, which `on_event` gets as well.

    `python`: of the engine's environment. `folder`: its home, its temporary folder, and where it keeps its index. When
    this is cancelled, or `on_event` raises, the process and all that it started are dead before this returns.
    """
    process = await _start(python, folder)
    tail = bytearray()
    log = asyncio.create_task(_keep_tail(process, tail))
    ended = asyncio.create_task(_follow(process))
    try:
        ending = await _talk(process, config.line(folder), on_event)
        if ending is None:
            await _end(process, ended, log)
            ending = _crash(process.returncode, tail, config.api_key)
            await on_event(ending)
        return ending
    finally:
        if process.returncode is None:
            _kill(process)
        await _reap(ended)
        log.cancel()


async def _start(python: Path, folder: Path) -> Process:
    return await asyncio.create_subprocess_exec(
        *(str(python), *PYTHON_OPTIONS, str(RUNNER)),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        cwd=folder,
        env=environment(python, folder),
        limit=MAX_LINE_BYTES,
        start_new_session=True,
        umask=0o077,
    )


def environment(python: Path, folder: Path) -> dict[str, str]:
    """All environment variables of the engine. The path leads to its own environment alone: it finds no other tools."""
    home = str(folder.absolute())
    return {
        "PATH": str(python.parent),
        "HOME": home,
        "TMPDIR": home,
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
    }


async def _talk(process: Process, config: bytes, on_event: Callable[[Event], Awaitable[object]]) -> Ending | None:
    """Tell it what to do and pass its events on. Returns the last one, or None if it ends without one."""
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(ConnectionError):
        process.stdin.write(config)
        await process.stdin.drain()
    said = 0
    while line := await _line(process.stdout):
        said += len(line)
        event = read_event(line) if said <= MAX_OUTPUT_BYTES else None
        if event is None:
            event = Failed(reason="crashed", error="It wrote what is no event, or too much.")
        await on_event(event)
        if isinstance(event, Answer | Incomplete | Failed):
            return event
    return None


async def _line(stream: asyncio.StreamReader) -> bytes:
    try:
        return await stream.readline()
    except ValueError:
        # The line is longer than MAX_LINE_BYTES.
        return b"\n"


def read_event(line: bytes) -> Event | None:
    """Return the event of a line; None if it is none."""
    try:
        values: dict[str, Any] = json.loads(line)
        kind = EVENTS[values.pop("type")]
        return kind(**{field.name: values[field.name] for field in fields(kind)})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


async def _keep_tail(process: Process, tail: bytearray) -> None:
    """Read standard error, and keep the last of it."""
    assert process.stderr is not None
    while chunk := await process.stderr.read(4096):
        tail += chunk
        del tail[:-LOG_TAIL_BYTES]


def _crash(code: int | None, log: bytearray, secret: str) -> Failed:
    """What the end without a last event and the end of standard error say."""
    text = log.decode(errors="replace")
    lines = [line.strip() for line in (text.replace(secret, "[key]") if secret else text).splitlines()]
    lines = [line for line in lines if line]
    ending = f"It was ended by signal {-code}." if code is not None and code < 0 else f"It ended with code {code}."
    reason = "out_of_memory" if any(sign in text for sign in OUT_OF_MEMORY) else "crashed"
    return Failed(reason=reason, error=f"{ending} {lines[-1][:MAX_ERROR_CHARACTERS]}" if lines else ending)


async def _follow(process: Process) -> None:
    """Wait for the end of a process, and end what it started. `Process.wait` would wait for that as well."""
    while process.returncode is None:
        await asyncio.sleep(LOOK_SECONDS)
    _kill(process)
    with suppress(TimeoutError):
        async with asyncio.timeout(END_SECONDS):
            await process.wait()


async def _end(process: Process, ended: Task[None], log: Task[None]) -> None:
    """Wait a little for the end of a process that has closed its output, then kill it."""
    await asyncio.wait({ended, log}, timeout=END_SECONDS)
    if not ended.done():
        _kill(process)
    await asyncio.wait({ended, log}, timeout=END_SECONDS)


async def _reap(ended: Task[None]) -> None:
    """Wait for the end of a process that was killed, even if this is cancelled again."""
    interruption: asyncio.CancelledError | None = None
    while not ended.done():
        try:
            await asyncio.wait({ended})
        except asyncio.CancelledError as error:
            interruption = error
    if interruption:
        raise interruption


def _kill(process: Process) -> None:
    # It leads a process group of its own.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
