"""`manage.py up`: PostgreSQL, web, workers and clock.

All forked processes inherit the locked file in the data folder. So the lock is free only when all processes of the
previous run have ended.
"""

import errno
import fcntl
import gc
import http.client
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from django.conf import settings
from django.urls import get_resolver
from django.utils import timezone
from django.utils.module_loading import import_string

from catalyst import postgres, pricing, registry
from catalyst.env import env
from catalyst.ops import scheduler
from catalyst.ops.demo import loader as demo
from catalyst.ops.heartbeat import run_worker
from catalyst.ops.models import PeriodicRun
from catalyst.ops.processes import announce, guard, memory, prepare, web
from catalyst.ops.processes.children import Child, Program, stop_all
from catalyst.ops.processes.prepare import NotReady
from catalyst.package import command
from catalyst.registry import PeriodicTask, Preparation

WEB_SECONDS = 120
WORKER_SECONDS = 15
LEFTOVER_SECONDS = 45
LOOK_SECONDS = 0.2
POSTGRES_LOOK_SECONDS = 2
LOCK = "up.lock"

type Report = Callable[[str], None]


def run(report: Report, parent: int = 0) -> None:
    """Run everything until interrupted, or until `parent` ends. Raises NotReady or PostgresError."""
    with ExitStack() as stack:
        lock = stack.enter_context(_exclusive(env.data))
        listener = stack.enter_context(_listening())
        stack.callback(announce.remove_status, env.data)
        announce.remove_status(env.data)
        children: list[Child] = []
        server = EmbeddedServer(env.data, lock)
        if not env.database_url:
            stack.callback(server.stop)
            server.start()
        children.append(_child(Program("guard", partial(_guard, os.getpid(), lock), ends_with_parent=False)))
        stack.callback(stop_all, children)
        start(children)
        now = timezone.now()
        prepare.require_database()
        _bring_up_to_date(now)
        installation = prepare.default_project()
        demo.stay_offline()
        PeriodicRun.objects.reset_outstanding(now)
        _share_memory()
        programs = [_child(program) for program in _programs(listener)]
        start(programs)
        children += programs
        _await_answers(children, now, report)
        if demo.is_due():
            demo.begin(installation.owner, timezone.now())
        is_terminal = sys.stdout.isatty()
        report(announce.write_status(env.data, installation, _pids(children), timezone.now(), to_terminal=is_terminal))
        preparations = [_child(program) for program in _preparations()]
        start(preparations)
        children += preparations
        _keep_running(children, server, report, parent)


def is_same(lock: int, path: Path) -> bool:
    """Return whether `path` still names the open file."""
    try:
        return os.path.samestat(os.fstat(lock), path.stat())
    except OSError:
        return False


@dataclass(slots=True)
class EmbeddedServer:
    """The embedded PostgreSQL. Its process is known even after its data folder is gone."""

    data: Path
    lock: int
    pid: int = 0

    @property
    def has_data(self) -> bool:
        return is_same(self.lock, self.data / LOCK)

    def require_data(self) -> None:
        """Raises NotReady."""
        if not self.has_data:
            raise NotReady(
                f"The data folder {self.data} was deleted or moved, so everything has been stopped. Move it back or "
                "restore a backup, then start again."
            )

    def start(self) -> bool:
        """Return whether it was started."""
        was_started = postgres.ensure(self.data)
        self.pid = postgres.postmaster(self.data) or 0
        return was_started

    def stop(self) -> None:
        if self.has_data:
            postgres.stop(self.data)
        elif self.pid:
            postgres.end(self.pid)

    def revive(self) -> bool:
        """Return whether it was started. Failures are retried at the next check."""
        if env.database_url or postgres.listens(self.data) or not postgres.has_cluster(self.data):
            return False
        with suppress(postgres.PostgresError):
            return self.start()
        return False


def start(children: list[Child]) -> None:
    for child in children:
        child.start()


def _bring_up_to_date(now: datetime) -> None:
    # Runs in a process that ends, because all later forks would keep the memory that this needs.
    child = _child(Program("prepare", partial(_prepare, now)))
    try:
        child.start()
        if child.wait():
            raise NotReady(f"Tables or static files can't be brought up to date; see {child.log}.")
    finally:
        child.kill()


def _prepare(now: datetime) -> None:
    prepare.tables(now)
    prepare.static_files()


def _programs(listener: socket.socket) -> list[Program]:
    return [
        Program("web", partial(web.serve, listener)),
        *(Program(f"worker-{queue}", partial(run_worker, queue)) for queue in settings.TASKS["default"]["QUEUES"]),
        Program("clock", scheduler.run_until_stopped),
    ]


def _preparations() -> list[Program]:
    return [Program(f"prepare-{each.name}", each.run, runs_once=True) for each in registry.entries(Preparation)]


def _guard(supervisor: int, lock: int) -> None:
    # The lock is kept, so that a new run waits for the cleanup.
    os.set_inheritable(lock, True)
    os.chdir(settings.BASE_DIR)
    stop = [] if env.database_url else [sys.executable, "-m", "catalyst.postgres", str(env.data)]
    script = [guard.__file__, str(supervisor), str(announce.status_file(env.data)), *stop]
    os.execv(sys.executable, [sys.executable, "-I", "-S", *script])


def _share_memory() -> None:
    # Load once what every child needs. Garbage collection in children would copy the shared pages, hence freeze().
    for work in registry.entries(PeriodicTask):
        import_string(work.task)
    get_resolver().url_patterns  # noqa: B018
    pricing.load()
    gc.collect()
    memory.limit_retained_memory()
    memory.trim()
    gc.freeze()


def _child(program: Program) -> Child:
    return Child(program, env.data / "logs" / f"{program.name}.log")


@contextmanager
def _exclusive(data: Path) -> Iterator[int]:
    # Locks the file, which names this process.
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = os.open(data / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise NotReady(
            f"The data folder {data} can't be used ({error.strerror}). Set CATALYST_DATA to one you can write."
        ) from error
    try:
        deadline = time.monotonic() + LEFTOVER_SECONDS
        while not _take(lock):
            if (pid := holder(data)) and postgres.runs(pid):
                raise NotReady(f"Catalyst already runs on {data} (process {pid}). Stop it with {command('down')}.")
            if time.monotonic() > deadline:
                raise NotReady(f"Processes of an earlier run still use {data}. End them and try again.")
            time.sleep(LOOK_SECONDS)
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        yield lock
        os.ftruncate(lock, 0)
    finally:
        os.close(lock)


def _take(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def holder(data: Path) -> int:
    """Return the process ID of the current or last supervisor. 0 if none or it stopped normally."""
    try:
        return int((data / LOCK).read_text() or 0)
    except (FileNotFoundError, ValueError):
        return 0


def is_running(data: Path) -> bool:
    """Return whether any process of a run on this data folder is alive."""
    try:
        lock = os.open(data / LOCK, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _take(lock)
    finally:
        os.close(lock)


@contextmanager
def _listening() -> Iterator[socket.socket]:
    # The supervisor holds the socket, so requests wait while the web process restarts.
    family = socket.AF_INET6 if ":" in env.host else socket.AF_INET
    try:
        listener = socket.create_server((env.host, env.port), family=family, backlog=1024)
    except OSError as error:
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"can't be used ({error.strerror})"
        raise NotReady(f"Port {env.port} of {env.host} {reason}. Set CATALYST_PORT to another one.") from error
    with listener:
        yield listener


def _await_answers(children: list[Child], since: datetime, report: Report) -> None:
    # Pages and ingest need no workers, so they never stop because workers are late.
    if not _answers_within(WEB_SECONDS, _web_answers, children, report):
        raise NotReady(f"The web process does not answer within {WEB_SECONDS} s; see {env.data / 'logs'}.")
    kinds = [work.name for work in registry.entries(PeriodicTask)]
    if not _answers_within(WORKER_SECONDS, lambda: PeriodicRun.objects.all_begun_since(kinds, since), children, report):
        report(f"Some background work has not begun after {WORKER_SECONDS} s; {command('doctor')} shows when it does.")


def _answers_within(seconds: float, answers: Callable[[], bool], children: list[Child], report: Report) -> bool:
    deadline = time.monotonic() + seconds
    while not answers():
        if time.monotonic() > deadline:
            return False
        for child in children:
            child.revive(report)
        time.sleep(LOOK_SECONDS / 2)
    return True


def _web_answers() -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(env.host, env.host)
    connection = http.client.HTTPConnection(host, env.port, timeout=2)
    try:
        connection.request("GET", "/login/")
        return connection.getresponse().status < 500
    except OSError:
        return False
    finally:
        connection.close()


def _pids(children: list[Child]) -> dict[str, int]:
    running = [child for child in children if not child.program.runs_once]
    embedded = {} if env.database_url else {"postgres": postgres.postmaster(env.data) or 0}
    return {"up": os.getpid(), **embedded, **{child.program.name: child.pid for child in running}}


def _keep_running(children: list[Child], server: EmbeddedServer, report: Report, parent: int) -> None:
    try:
        _watch(children, server, report, parent)
    except OSError as error:
        if error.filename is None:
            raise
        server.require_data()
        raise NotReady(f"{error.filename} can't be used any more ({error.strerror}).") from error


def _watch(children: list[Child], server: EmbeddedServer, report: Report, parent: int) -> None:
    checked_postgres_at = time.monotonic()
    while not parent or os.getppid() == parent:
        server.require_data()
        changed = [child.revive(report) for child in children]
        _report_errors(children, report)
        if time.monotonic() - checked_postgres_at > POSTGRES_LOOK_SECONDS:
            changed.append(server.revive())
            checked_postgres_at = time.monotonic()
        if any(changed):
            announce.update_pids(env.data, _pids(children))
        time.sleep(LOOK_SECONDS)


def _report_errors(children: list[Child], report: Report) -> None:
    for child in children:
        for line in child.new_errors():
            report(f"{child.program.name}: {line}")
