"""Runs of the real halo-engine for tests."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from halo.engine_process import RUNNER, Ending, EngineConfig, Event, Step, run_engine

KEY = "run-token-hush"
PROMPT = {"role": "user", "content": "What goes wrong?"}
TRACE = "a" * 32


def write_traces(path: Path, **attributes: Any) -> Path:
    """A file with one trace of one failed call."""
    span = {
        "trace_id": TRACE,
        "span_id": "b" * 16,
        "name": "refund",
        "kind": "SPAN_KIND_CLIENT",
        "start_time": "2026-11-01T12:00:00.000000000Z",
        "end_time": "2026-11-01T12:00:01.000000000Z",
        "status": {"code": "STATUS_CODE_ERROR", "message": "card expired"},
        "resource": {"attributes": {"service.name": "shop"}},
        "scope": {"name": "scope"},
        "attributes": {"openinference.span.kind": "TOOL", **attributes},
    }
    path.write_text(json.dumps(span) + "\n")
    return path


def configuration(folder: Path, url: str, **changes: Any) -> EngineConfig:
    values: dict[str, Any] = {
        "base_url": url,
        "api_key": KEY,
        "model": "scripted-1",
        "api": "responses",
        "messages": (PROMPT,),
        "trace_path": folder / "traces.jsonl",
        "max_failures": 1,
    }
    if not (folder / "traces.jsonl").exists():
        write_traces(folder / "traces.jsonl")
    return EngineConfig(**values | changes)


async def _ignore(_event: Event) -> None: ...


@dataclass
class EngineRuns:
    """Runs the engine in a folder, and keeps the events of the last run."""

    python: Path
    folder: Path
    events: list[Event] = field(default_factory=list)

    def run(self, url: str, on_event: Callable[[Event], Awaitable[object]] = _ignore, **changes: Any) -> Ending:
        """Run it to its end."""
        return asyncio.run(self.start(url, on_event, **changes))

    async def start(self, url: str, on_event: Callable[[Event], Awaitable[object]] = _ignore, **changes: Any) -> Ending:
        async def keep(event: Event) -> None:
            self.events.append(event)
            await on_event(event)

        self.events.clear()
        config = configuration(self.folder, url, **changes)
        return await run_engine(config, python=self.python, folder=self.folder, on_event=keep)

    @property
    def steps(self) -> list[Step]:
        return [event for event in self.events if isinstance(event, Step)]


def engines() -> list[psutil.Process]:
    """Processes of the engine that run below this one."""
    return [process for process in psutil.Process().children(recursive=True) if is_engine(process)]


def is_engine(process: psutil.Process) -> bool:
    try:
        return str(RUNNER) in process.cmdline()
    except psutil.NoSuchProcess:
        return False
