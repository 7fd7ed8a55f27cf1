"""The environment that halo-engine runs in: a virtual environment of its own (docs/adr/0028).

`python -m halo.engine_environment` makes it. Without Django, so that a container image can hold it.
"""

import fcntl
import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from catalyst.env import env
from catalyst.package import command

logger = logging.getLogger(__name__)

LOCK = Path(__file__).parent / "engine" / "requirements.lock"
INSTALL_SECONDS = 1_800
CHECK_SECONDS = 120
NICENESS = 10
CHECK = "import engine.main"
MAX_REASON_CHARACTERS = 500

type Report = Callable[[str], None]


class State(StrEnum):
    READY = "ready"
    PREPARING = "being prepared"
    FAILED = "failed"
    MISSING = "not installed"


@dataclass(frozen=True, slots=True)
class Status:
    """`reason` says why it failed, `remedy` what to do about it. Both are empty if it is ready."""

    state: State
    reason: str = ""
    remedy: str = ""


class EngineUnavailable(Exception):
    """There is no environment to run the engine in, or it can't be made. The message says why and what to do."""

    def __init__(self, status: Status) -> None:
        super().__init__(" ".join(filter(None, (status.reason, status.remedy))))
        self.status = status


def default_folder() -> Path:
    return env.halo_engine or env.data / "halo-engine"


@dataclass(frozen=True, slots=True)
class EngineEnvironment:
    """A folder with the environment, in a folder named by what is in it.

    Another lock or another Python gets another folder. The earlier one is deleted when the new one is ready.
    """

    folder: Path
    lock: Path = LOCK

    @property
    def python(self) -> Path:
        return self._home / "bin" / "python"

    @property
    def _home(self) -> Path:
        contents = hashlib.sha256(self.lock.read_bytes())
        contents.update(f"{sys.implementation.cache_tag} {sysconfig.get_platform()}".encode())
        return self.folder / contents.hexdigest()[:16]

    @property
    def _failure(self) -> Path:
        return self.folder / f"{self._home.name}.failed.json"

    def is_ready(self) -> bool:
        # A link to a Python that an upgrade has removed does not exist.
        return self.python.exists()

    def status(self) -> Status:
        if self.is_ready():
            return Status(State.READY)
        if self._is_preparing():
            return Status(State.PREPARING, "The engine is being installed.", "This takes a minute or two.")
        with suppress(OSError, ValueError, TypeError):
            return Status(State.FAILED, **json.loads(self._failure.read_text()))
        return Status(State.MISSING, "The engine is not installed.", f"Run {command('halo install')}.")

    def python_path(self) -> Path:
        """The Python of the environment. Raises EngineUnavailable."""
        if not self.is_ready():
            raise EngineUnavailable(self.status())
        return self.python

    def prepare(self, report: Report = lambda _: None) -> Path:
        """Make the environment if it is missing, and delete earlier ones. Returns its Python.

        Waits for a preparation that is under way. Raises EngineUnavailable, and keeps the reason for `status`.
        """
        if self.is_ready():
            return self.python
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._locked():
                if not self.is_ready():
                    report("Installing halo-engine in an environment of its own…")
                    self._make()
                self._delete_others()
        except _Trouble as trouble:
            status = Status(State.FAILED, trouble.reason, trouble.remedy)
            self._remember(status)
            raise EngineUnavailable(status) from trouble
        except OSError as error:
            status = Status(State.FAILED, f"{error.filename or self.folder}: {error.strerror}.", _TRY_AGAIN)
            raise EngineUnavailable(status) from error
        return self.python

    def _make(self) -> None:
        new = self.folder / f"{self._home.name}.new"
        shutil.rmtree(new, ignore_errors=True)
        try:
            _run([sys.executable, "-m", "venv", new], CHECK_SECONDS)
            pip: list[str | Path] = [new / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
            _run([*pip, "install", "--quiet", "--no-deps", "--require-hashes", "-r", self.lock], INSTALL_SECONDS)
            # It is not needed any more, and a sixth of all.
            _run([*pip, "uninstall", "--quiet", "--yes", "pip"], CHECK_SECONDS)
            _run([new / "bin" / "python", "-I", "-c", CHECK], CHECK_SECONDS)
            # A dead link may be in the way, of an environment whose Python is gone.
            shutil.rmtree(self._home, ignore_errors=True)
            new.rename(self._home)
        finally:
            shutil.rmtree(new, ignore_errors=True)

    def _delete_others(self) -> None:
        for path in self.folder.iterdir():
            if path.is_dir() and path != self._home:
                shutil.rmtree(path, ignore_errors=True)
            elif path.name.endswith(".failed.json"):
                path.unlink(missing_ok=True)

    def _remember(self, status: Status) -> None:
        with suppress(OSError):
            self._failure.write_text(json.dumps({"reason": status.reason, "remedy": status.remedy}))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / "lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _is_preparing(self) -> bool:
        try:
            with (self.folder / "lock").open("a") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False


class _Trouble(Exception):
    """A step that failed."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


_TRY_AGAIN = f"Then run {command('halo install')}."
# What programs say, what it means, and what helps.
_CAUSES = (
    (
        ("ensurepip is not", "No module named venv", "No module named 'venv'", "No module named ensurepip"),
        "This Python can't make virtual environments.",
        "Install what it lacks (Debian, Ubuntu: apt-get install python3-venv).",
    ),
    (("No space left on device", "Disk quota exceeded"), "The disk is full.", "Make room."),
    (
        ("DO NOT MATCH THE HASHES",),
        "The package registry gave other files than those that the lock names.",
        "Use another mirror of the registry.",
    ),
    (
        ("certificate verify failed", "CERTIFICATE_VERIFY_FAILED"),
        "The certificate of the package registry is not trusted.",
        "Name the certificates in pip's settings (PIP_CERT).",
    ),
    (
        ("Could not find a version", "NewConnectionError", "Connection refused", "ConnectTimeout", "ProxyError",
         "Name or service not known", "name resolution", "Read timed out", "404 Client Error", "403 Client Error"),
        "The package registry can't be reached, or lacks a package.",
        "Allow the connection, or name a mirror (PIP_INDEX_URL) or a proxy (HTTPS_PROXY).",
    ),
)  # fmt: skip


def _run(step: Sequence[str | Path], seconds: float) -> None:
    """Run a step of the preparation. Raises _Trouble with what it means."""
    try:
        done = subprocess.run(
            step, capture_output=True, text=True, errors="replace", check=False, timeout=seconds, env=_environment()
        )
    except subprocess.TimeoutExpired as error:
        raise _Trouble(f"It was not done within {seconds / 60:.0f} minutes.", _TRY_AGAIN) from error
    if done.returncode:
        raise _explained(f"{done.stdout}\n{done.stderr}")


def _explained(said: str) -> _Trouble:
    for signs, reason, remedy in _CAUSES:
        if any(sign in said for sign in signs):
            return _Trouble(reason, f"{remedy} {_TRY_AGAIN}")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines or ["It did not say why."]
    return _Trouble(f"It can't be installed: {errors[-1][:MAX_REASON_CHARACTERS]}", f"Mend that. {_TRY_AGAIN}")


def _environment() -> Mapping[str, str]:
    """Ours, with the operator's settings for pip, its proxies and its certificates; nothing that bends Python."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    variables.pop("VIRTUAL_ENV", None)
    mirror = variables.get("UV_DEFAULT_INDEX") or variables.get("UV_INDEX_URL")
    return ({"PIP_INDEX_URL": mirror} if mirror else {}) | variables


def environment() -> EngineEnvironment:
    """That of this instance."""
    return EngineEnvironment(default_folder())


def status() -> Status:
    return environment().status()


def python_path() -> Path:
    """The Python that runs the engine. Raises EngineUnavailable."""
    return environment().python_path()


def prepare(report: Report = lambda _: None) -> Path:
    """Make the environment if it is missing. Raises EngineUnavailable."""
    return environment().prepare(report)


def prepare_in_background() -> None:
    """What `manage.py up` starts. Reports work without the engine, so a failure is only worth a warning."""
    # People look at their first pages meanwhile.
    os.nice(NICENESS)
    try:
        prepare(logger.info)
    except EngineUnavailable as error:
        logger.warning("Reports are written by rules alone. %s", error)


def install(report: Report) -> None:
    """`manage.py halo install`. Raises EngineUnavailable."""
    python = prepare(report)
    report(f"halo-engine is ready in {python.parent.parent}.")


if __name__ == "__main__":
    try:
        install(print)
    except EngineUnavailable as error:
        sys.exit(str(error))
