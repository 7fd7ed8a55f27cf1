"""Heartbeats: every few seconds a process records that it is alive, and its last error."""

import json
import logging
import mmap
import os
import socket
from collections.abc import Callable
from datetime import datetime
from threading import Event, Thread

from django.db import Error as DatabaseError
from django.db import connection
from django.utils import timezone

from catalyst import __version__, database
from catalyst.ops.models import Heartbeat
from catalyst.task_backend import run_cluster

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 5
MAX_ERROR_CHARACTERS = 500
_PAGE = 4096


class LastError(logging.Handler):
    """Remembers the last error of this process and its forks in shared memory."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._shared = mmap.mmap(-1, _PAGE)

    def emit(self, record: logging.LogRecord) -> None:
        # Invalid requests of strangers are no errors.
        if record.name.startswith("django.security"):
            return
        lines = record.getMessage().splitlines() or [""]
        problem = record.exc_info[1] if record.exc_info else None
        reason = f" ({type(problem).__name__}: {problem})" if problem else ""
        text = f"{record.name}: {lines[0]}{reason}".replace("\x00", "")[:MAX_ERROR_CHARACTERS]
        note = json.dumps([text, timezone.now().isoformat()]).encode()
        self._shared[: len(note) + 1] = note + b"\x00"

    def read(self) -> tuple[str, datetime | None]:
        """Return the last error and its time, or ("", None)."""
        try:
            text, at = json.loads(self._shared[:].partition(b"\x00")[0] or b'["", ""]')
        except ValueError:
            return "an error that could not be read", None
        return text, datetime.fromisoformat(at) if at else None


class HeartbeatThread:
    """Runs `chore` and records a heartbeat every few seconds, in a thread."""

    def __init__(self, name: str, chore: Callable[[], object] = lambda: None) -> None:
        self._name, self._pid, self._chore = name, os.getpid(), chore
        self._started_at = timezone.now()
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="heartbeat", daemon=True)
        self._beats = True
        self._error = LastError()
        logging.getLogger().addHandler(self._error)

    def start(self) -> None:
        # Fork before this: threads are not inherited.
        self._thread.start()

    def stop(self) -> None:
        # The doctor must not miss a process that stopped normally.
        self._stopped.set()
        self._thread.join()
        self._try(self._chore)
        self._try(lambda: Heartbeat.objects.remove(self._name, socket.gethostname(), self._pid))

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._try(self._chore)
            self._try(self._beat)
            self._stopped.wait(INTERVAL_SECONDS)
        connection.close()

    def _try(self, work: Callable[[], object]) -> None:
        # The database may be unavailable.
        try:
            work()
            self._beats = True
        except DatabaseError as error:
            if self._beats:
                logger.warning("The database takes no heartbeat: %s", error)
            self._beats = False
        finally:
            database.release()

    def _beat(self) -> None:
        text, at = self._error.read()
        Heartbeat.objects.beat(
            Heartbeat(
                name=self._name,
                host=socket.gethostname(),
                pid=self._pid,
                started_at=self._started_at,
                seen_at=timezone.now(),
                version=__version__,
                error=text,
                error_at=at,
            )
        )


def run_worker(queue: str) -> None:
    heart = HeartbeatThread(f"worker-{queue}")
    run_cluster(queue, heart.start)
    heart.stop()
