"""The processes under `manage.py up`: started, watched, started again, stopped."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

STOP_SECONDS = 10
LONGEST_PAUSE = 30.0
STEADY_SECONDS = 60  # who ran so long is started again at once
LOG_BYTES = 20_000_000
ERROR = re.compile(r"^\S+ \S+ (?:ERROR|CRITICAL) ")


@dataclass(frozen=True, slots=True)
class Program:
    """What a child runs: arguments of this Python, and what its environment has on top."""

    name: str
    arguments: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Child:
    """A program that is kept running in a process group of its own; its output goes to a log file."""

    program: Program
    log: Path
    open_files: tuple[int, ...]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0
    pause: float = 0.5
    read_until: int = 0

    @property
    def pid(self) -> int:
        """Its process id, which is also its group's; 0 before the first start."""
        return self.process.pid if self.process else 0

    def start(self) -> None:
        """Start it; it holds the given open files."""
        self.log.parent.mkdir(exist_ok=True)
        with self.log.open("ab") as log:
            self.read_until = self.read_until or log.tell()
            self.process = subprocess.Popen(
                [sys.executable, *self.program.arguments],
                cwd=settings.BASE_DIR,
                env={**os.environ, **self.program.environment, "CATALYST_SUPERVISOR": str(os.getpid())},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=self.open_files,
                start_new_session=True,
            )
        self.started_at = time.monotonic()

    def revive(self, tell: Callable[[str], None]) -> bool:
        """Start it again if it has ended and its pause is over; returns whether it was."""
        if self.process is None or self.process.poll() is None:
            return False
        ran = time.monotonic() - self.started_at
        if ran < self.pause:
            return False
        self.kill()
        tell(f"{self.program.name} ended ({ending(self.process.returncode)}), starting it again; see {self.log}")
        self.pause = 0.5 if ran > STEADY_SECONDS else min(self.pause * 2, LONGEST_PAUSE)
        self.start()
        return True

    def terminate(self) -> None:
        """Ask it to stop."""
        if self.process and self.process.poll() is None:
            self.process.terminate()

    def kill(self) -> None:
        """End whatever is left of its process group."""
        if self.process:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def new_errors(self) -> list[str]:
        """Errors it has logged since the last call."""
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
    """How a process ended, in words."""
    return f"exit {code}" if code >= 0 else signal.Signals(-code).name


def stop_all(children: list[Child]) -> None:
    """Stop all of them: those that don't end by themselves in STOP_SECONDS are killed, and so is what they leave."""
    for child in children:
        child.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    try:
        while any(child.process and child.process.poll() is None for child in children):
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
    finally:
        for child in children:
            child.kill()
