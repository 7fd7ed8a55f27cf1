"""Have .venv hold exactly what the lock says. Runs on any Python from 3.9 with nothing installed.

    bootstrap.py          what running Catalyst needs
    bootstrap.py dev      and what testing it needs
    bootstrap.py lock     write the locks anew, from pyproject.toml and today's releases

Quick when nothing has changed. Fetches uv where it is missing; needs nothing but the package registry. uv checks the
hashes of everything else, so it comes from the lock as well, and no other uv is used.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
CACHE = ROOT / ".cache" / "uv"
STAMP = VENV / "lock.sha256"
LOCKS = {"run": ROOT / "requirements.lock", "dev": ROOT / "requirements-dev.lock"}
MINOR = (ROOT / ".python-version").read_text().strip()
OPTIMISED = "import sys, sysconfig as s; sys.exit('--enable-optimizations' not in s.get_config_var('CONFIG_ARGS'))"
MIRROR = "A mirror of the package registry is set by UV_DEFAULT_INDEX, or by pip's index-url."


def main(flavour: str) -> None:
    """Make or update .venv; an environment for development stays one."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if flavour == "lock":
            write_locks(locked_uv())
            return
        healthy = runs([VENV / "bin" / "python", "-c", ""])
        installed = STAMP.read_text().split() if healthy and STAMP.exists() else []
        if installed[:1] == ["dev"]:
            flavour = "dev"
        wanted = [flavour, hashlib.sha256(LOCKS[flavour].read_bytes()).hexdigest()]
        if installed == wanted:
            return
        uv = locked_uv()
        if not healthy:
            make_environment(uv)
        print(f"Installing what {LOCKS[flavour].name} lists…", flush=True)
        call([uv, "pip", "sync", "--quiet", "--require-hashes", "--python", VENV, LOCKS[flavour]], "packages")
        STAMP.write_text(" ".join(wanted))


def write_locks(uv: str) -> None:
    """Exact versions and hashes for every platform, and no address, so that they work behind any mirror."""
    compile_ = [uv, "pip", "compile", "--quiet", "--upgrade", "--universal", "--python-version", MINOR]
    compile_ += ["--generate-hashes", "--no-header", "pyproject.toml"]
    call([*compile_, "-o", LOCKS["run"].name], "the lock")
    call([*compile_, "--group", "dev", "-c", LOCKS["run"].name, "-o", LOCKS["dev"].name], "the lock")
    # halo-engine has an environment of its own (docs/adr/0028).
    call([*compile_, "--directory", "halo/engine", "-o", "requirements.lock"], "the lock")


def locked_uv() -> str:
    """The uv of the lock, fetched if this place does not have it."""
    requirement = uv_requirement(LOCKS["dev"].read_text())
    uv, fetched = CACHE / "bin" / "uv", CACHE / "uv.txt"
    if not fetched.exists() or fetched.read_text() != requirement or not runs([uv, "--version"]):
        uv.unlink(missing_ok=True)
        fetch_uv(requirement)
        fetched.write_text(requirement)
    return str(uv)


def uv_requirement(lock: str) -> str:
    """The version and the hashes of uv in the text of a lock."""
    found = re.search(r"^uv==.*(?:\n +--hash=.*)+", lock, re.MULTILINE)
    if not found:
        stop(f"{LOCKS['dev'].name} does not list uv.")
    return found[0]


def fetch_uv(requirement: str) -> None:
    """Install uv in a private place: a virtual environment, or a plain folder where Debian lacks python3-venv."""
    print("Fetching uv…", flush=True)
    wanted = CACHE / "wanted.txt"
    wanted.write_text(requirement)
    quiet = ["install", "-qq", "--disable-pip-version-check", "--no-deps", "--require-hashes", "-r", wanted]
    if runs([sys.executable, "-m", "venv", "--clear", CACHE / "venv"]):
        pip, uv = [CACHE / "venv" / "bin" / "python", "-m", "pip", *quiet], CACHE / "venv" / "bin" / "uv"
    elif runs([sys.executable, "-m", "pip", "--version"]):
        pip, uv = [sys.executable, "-m", "pip", *quiet, "--target", CACHE / "folder"], CACHE / "folder/bin/uv"
    else:
        stop("This Python has neither venv nor pip. Install one (Debian, Ubuntu: apt-get install python3-venv).")
    call(pip, "uv")
    (CACHE / "bin").mkdir(exist_ok=True)
    shutil.copy2(uv, CACHE / "bin" / "uv")
    for folder in ("venv", "folder"):
        shutil.rmtree(CACHE / folder, ignore_errors=True)


def make_environment(uv: str) -> None:
    """An environment on the Python of .python-version: one that is there, else one that uv fetches.

    pyenv builds without optimisations unless told otherwise, which takes Python nearly twice the time. uv's own is
    fetched instead of such a one where that can be.
    """
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    pyenv = sorted(versions.glob(f"{MINOR}.*/bin/python"), key=lambda path: path.parts[-3].zfill(8), reverse=True)
    python = next((str(path) for path in pyenv if runs([path, "-c", "import ssl, ctypes"])), MINOR)
    print(f"Making .venv on Python {MINOR}…", flush=True)
    make = [uv, "venv", "--quiet", "--clear", "--no-project", VENV, "--python"]
    slow = python != MINOR and not runs([python, "-c", OPTIMISED])
    if slow and runs([*make, MINOR, "--managed-python"], UV_HTTP_TIMEOUT="10", UV_HTTP_RETRIES="0"):
        return
    advice = f"Install Python {MINOR} where it is found (on PATH, or pyenv install {MINOR}) and try again."
    call([*make, python], f"Python {MINOR}", advice)


def environment() -> dict[str, str]:
    """uv does not read pip's settings; pass on the mirror and the certificates they name."""
    values = dict(os.environ)
    values.pop("VIRTUAL_ENV", None)
    said = pip_settings()
    if not {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & values.keys() and "index-url" in said:
        values["UV_DEFAULT_INDEX"] = said["index-url"]
    if "SSL_CERT_FILE" not in values and "cert" in said:
        values["SSL_CERT_FILE"] = said["cert"]
    return values


def pip_settings() -> dict[str, str]:
    """What pip is told by its files and variables, by name; the variables count more."""
    for python in (sys.executable, shutil.which("python3")):
        command = [str(python), "-m", "pip", "config", "list"]
        listed = subprocess.run(command, capture_output=True, text=True, check=False)
        if listed.returncode == 0:
            return settings_in(listed.stdout.splitlines())
    return {}


def settings_in(lines: list[str]) -> dict[str, str]:
    """The settings that `pip config list` prints, one per line: `global.timeout='60'`."""
    settings = {}
    for line in sorted(lines, key=lambda line: line.startswith(":env:")):
        place, _, value = line.partition("=")
        _, _, name = place.partition(".")
        if name:
            settings[name] = value.strip("'")
    return settings


def runs(command: list[object], **variables: str) -> bool:
    """Whether a command exists and succeeds, with these variables in its environment."""
    called = [str(part) for part in command]
    try:
        return subprocess.run(called, capture_output=True, check=False, env={**os.environ, **variables}).returncode == 0
    except OSError:
        return False


def call(command: list[object], what: str, advice: str = MIRROR) -> None:
    """Run a step; if it fails say so in one line, after what the program itself has to say."""
    done = subprocess.run([str(part) for part in command], check=False, env=environment(), cwd=ROOT)
    if done.returncode:
        stop(f"Could not get {what}; see above. {advice}")


def stop(message: str) -> NoReturn:
    """End with one line."""
    print(message, file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1] if sys.argv[1:] else "run")
