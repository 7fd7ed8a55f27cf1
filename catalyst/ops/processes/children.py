"""The child processes of `manage.py up`."""

import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

from django.db import connections

from catalyst.ops.processes import orphans

STOP_SECONDS = 10
MAX_PAUSE_SECONDS = 5.0
STEADY_SECONDS = 10  # restarted without a longer pause after that
LOG_BYTES = 20_000_000
STOP_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
ERROR = re.compile(r"^\S+ \S+ (?:ERROR|CRITICAL) ")


@dataclass(frozen=True, slots=True)
class Program:
    """`run` returns after SIGTERM. With `runs_once` it is not started again when it ends."""

    name: str
    run: Callable[[], object]
    ends_with_parent: bool = True
    runs_once: bool = False


@dataclass(slots=True)
class Child:
    """A program in a process group of its own that is restarted when it ends. Output goes to a log file.

    Forked without exec: programs share imported modules, which saves seconds.
    """

    program: Program
    log: Path
    process: BaseProcess | None = None
    started_at: float = 0
    pause: float = 0.5
    read_until: int = 0

    @property
    def pid(self) -> int:
        """The ID of the process and its group. 0 before the first start."""
        return (self.process and self.process.pid) or 0

    def start(self) -> None:
        # Children inherit open files, but must not share database connections.
        connections.close_all()
        self.log.parent.mkdir(exist_ok=True)
        self.read_until = self.read_until or (self.log.stat().st_size if self.log.exists() else 0)
        self.process = get_context("fork").Process(target=self._run, args=[os.getpid()], name=self.program.name)
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        self.process.start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        self.started_at = time.monotonic()

    def _run(self, parent: int) -> None:
        os.setsid()
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        log = os.open(self.log, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        if self.program.ends_with_parent:
            orphans.follow(parent)
        self.program.run()

    def revive(self, report: Callable[[str], None]) -> bool:
        """Restart after an exit and a pause. Returns whether it was restarted."""
        if self.process is None or self.program.runs_once or self.process.is_alive():
            return False
        ran = time.monotonic() - self.started_at
        if ran < self.pause:
            return False
        self.kill()
        report(f"{self.program.name} ended ({ending(self.process.exitcode or 0)}), starting it again; see {self.log}")
        self.pause = 0.5 if ran > STEADY_SECONDS else min(self.pause * 2, MAX_PAUSE_SECONDS)
        self.start()
        return True

    def wait(self) -> int | None:
        """Wait for the process and return its exit code, None before the first start."""
        if self.process is None:
            return None
        self.process.join()
        return self.process.exitcode

    def is_alive(self) -> bool:
        return self.process is not None and self.process.is_alive()

    def terminate(self) -> None:
        if self.process:
            self.process.terminate()

    def kill(self) -> None:
        # Kills the whole group.
        if self.process:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            self.process.kill()
            self.process.join()

    def new_errors(self) -> list[str]:
        """Return error lines logged since the last call. Moves a log that is too long to `.log.1`."""
        size = self.log.stat().st_size if self.log.exists() else 0
        if size <= self.read_until:
            return []
        with self.log.open("rb") as log:
            log.seek(self.read_until)
            lines = log.read().decode(errors="replace").splitlines()
        self.read_until = size
        if size > LOG_BYTES:
            shutil.copyfile(self.log, self.log.with_suffix(".log.1"))
            os.truncate(self.log, 0)
            self.read_until = 0
        return [line for line in lines if ERROR.match(line)]


def ending(code: int) -> str:
    return f"exit {code}" if code >= 0 else signal.Signals(-code).name


def stop_all(children: list[Child]) -> None:
    """Terminate all, then kill what still runs after STOP_SECONDS."""
    for child in children:
        child.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    try:
        while any(child.is_alive() for child in children):
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
    finally:
        for child in children:
            child.kill()
