"""A real Catalyst in a temporary data folder, for tests through the outside."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from catalyst import postgres
from tests.processes import ROOT, environment, eventually, free_port

SECONDS = 180.0


class Catalyst:
    """`manage.py up` on a data folder and port of its own."""

    def __init__(self, data: Path, **extra: str) -> None:
        self.data = data
        self.port = free_port()
        self.extra = {"CATALYST_DATA": str(data), "CATALYST_PORT": str(self.port)} | extra
        self.program = [sys.executable, "manage.py"]
        self.folder = ROOT
        self.process: subprocess.Popen[str] | None = None
        self.seen: dict[int, float] = {}

    def command(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `manage.py ARGUMENTS` with this Catalyst's settings."""
        return subprocess.Popen(
            [*self.program, *arguments],
            cwd=self.folder,
            env=environment(**self.extra),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def refused(self, *arguments: str) -> str:
        """The only line of a command that fails."""
        process = self.command(*arguments)
        output, errors = process.communicate(timeout=SECONDS)
        assert (process.returncode, output) == (1, "")
        assert len(errors.splitlines()) == 1, errors
        return errors.strip()

    def up(self) -> dict[str, Any]:
        """Start it; returns its up.json, which appears when everything answers."""
        process = self.process = self.command("up")
        written = self.data / "up.json"

        def answers() -> bool:
            assert process.poll() is None, process.communicate()
            return written.exists() and json.loads(written.read_text())["pids"]["up"] == process.pid

        eventually(answers, SECONDS)
        return self.facts()

    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self.process is not None and self.process.poll() is None

    def facts(self) -> dict[str, Any]:
        """up.json as it is now. Every process of it is remembered for `leftovers`."""
        facts: dict[str, Any] = json.loads((self.data / "up.json").read_text())
        for pid in facts["pids"].values():
            with suppress(psutil.NoSuchProcess):
                for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
                    self.seen[process.pid] = process.create_time()
        return facts

    def killed(self) -> None:
        """Wait for the end of what has been killed."""
        assert self.process
        self.process.communicate(timeout=SECONDS)
        eventually(lambda: not self.leftovers())

    def leftovers(self) -> list[int]:
        """Processes that were seen and still run."""
        alive = []
        for pid, created in self.seen.items():
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                if process.create_time() == created and process.status() != psutil.STATUS_ZOMBIE:
                    alive.append(pid)
        return alive

    def stop(self, how: signal.Signals = signal.SIGINT) -> str:
        """Stop it; returns what it printed."""
        assert self.process
        self.process.send_signal(how)
        return self.process.communicate(timeout=SECONDS)[0]

    def post(self, key: str) -> httpx.Response:
        """Post an empty OTLP request."""
        url = f"http://127.0.0.1:{self.port}/v1/traces"
        return httpx.post(url, json={"resourceSpans": []}, headers={"Authorization": f"Bearer {key}"}, timeout=30)


@contextmanager
def catalyst(**extra: str) -> Iterator[Catalyst]:
    """A Catalyst that is gone with all its data at the end."""
    data = Path(tempfile.mkdtemp(prefix="catalyst-test-"))
    it = Catalyst(data, **extra)
    try:
        yield it
    finally:
        if it.process and it.is_running():
            it.process.kill()
            it.killed()
        if (data / "postgres").exists():
            eventually(lambda: not postgres.stop(data))
            shutil.rmtree((data / "postgres").resolve())
        shutil.rmtree(data)


def kill(pids: dict[str, int]) -> None:
    """kill -9 all of them."""
    for pid in pids.values():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
