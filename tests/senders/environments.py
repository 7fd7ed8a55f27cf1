"""An environment for each sender, apart from that of Catalyst, from its own lock."""

import hashlib
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

from tests.processes import ROOT, environment
from tests.senders import model
from tests.senders.loopback import Reply, Request, serving
from tests.senders.recording import FOLDER, Recording, versions

CACHE = ROOT / ".cache" / "senders"
UV = Path(sys.executable).with_name("uv")
MAX_RUN_SECONDS = 120
KEY = "key"
# Their own reports about themselves would leave the machine.
QUIET = {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "MASTRA_TELEMETRY_DISABLED": "1",
    "TRACELOOP_TELEMETRY": "false",
}


class NotInstalled(Exception):
    """The packages of a sender can't be had here. The text says why."""


def record(name: str) -> Recording:
    """Run a sender against the scripted model, and return what it sent. Raises NotInstalled."""
    return Recording(versions(FOLDER / name), run(*install(name)))


def run(command: list[str], place: Path) -> list[Request]:
    """Run a program that asks the scripted model, and return the spans that it sent."""
    sent: list[Request] = []
    with serving(model.answer) as llm, serving(lambda request: _received(request, sent)) as catalyst:
        variables = environment(
            **QUIET,
            HOME=str(place / "home"),
            OPENAI_BASE_URL=f"{llm}/v1",
            OPENAI_API_BASE=f"{llm}/v1",
            OPENAI_API_KEY="none",
            ANTHROPIC_BASE_URL=llm,
            ANTHROPIC_API_KEY="none",
            GOOGLE_GEMINI_BASE_URL=llm,
            GOOGLE_API_KEY="none",
            CATALYST=catalyst,
            KEY=KEY,
            OTEL_EXPORTER_OTLP_ENDPOINT=catalyst,
            OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
            OTEL_EXPORTER_OTLP_HEADERS=f"Authorization=Bearer {KEY}",
            OTEL_SERVICE_NAME="shop",
            # No names of this machine in recordings.
            OTEL_NODE_RESOURCE_DETECTORS="env",
            TRACELOOP_BASE_URL=catalyst,
            TRACELOOP_HEADERS=f"Authorization=Bearer {KEY}",
        )
        done = subprocess.run(
            command, cwd=place, env=variables, timeout=MAX_RUN_SECONDS, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return sent


def install(name: str) -> tuple[list[str], Path]:
    """The command that runs a sender, and the folder to run it in. Raises NotInstalled."""
    source, place = FOLDER / name, CACHE / name
    (place / "home").mkdir(parents=True, exist_ok=True)
    (program,) = source.glob("send.*")
    shutil.copy(program, place)
    is_python = program.suffix == ".py"
    lock = source / ("requirements.lock" if is_python else "package-lock.json")
    stamp, wanted = place / "lock.sha256", hashlib.sha256(lock.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        stamp.unlink(missing_ok=True)
        _install_python(lock, place) if is_python else _install_node(source, place)
        stamp.write_text(wanted)
    return [str(place / ".venv" / "bin" / "python") if is_python else "node", program.name], place


def upgrade(name: str) -> None:
    """Write the lock of a sender anew, from today's releases."""
    folder = FOLDER / name
    if (folder / "requirements.in").exists():
        # Versions alone: with hashes for every platform, the locks would take two megabytes.
        compile_ = [str(UV), "pip", "compile", "--quiet", "--upgrade", "--universal", "--python-version", "3.13"]
        compile_ += ["--no-header", "--no-annotate", "--no-emit-index-url", "requirements.in"]
        _get([*compile_, "-o", "requirements.lock"], folder)
    else:
        (folder / "package-lock.json").unlink(missing_ok=True)
        _get(["npm", "install", "--package-lock-only", "--omit-lockfile-registry-resolved", "--quiet"], folder)


def _install_python(lock: Path, place: Path) -> None:
    _get([str(UV), "venv", "--quiet", "--clear", "--no-project", "--python", sys.executable, ".venv"], place)
    _get([str(UV), "pip", "sync", "--quiet", "--python", ".venv", str(lock)], place)


def _install_node(source: Path, place: Path) -> None:
    if not shutil.which("npm"):
        raise NotInstalled("npm is missing")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(source / name, place)
    _get(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--quiet"], place)


def _get(command: list[str], place: Path) -> None:
    # The mirror of the package registry, where pip's settings name one.
    settings = runpy.run_path(str(ROOT / "bin" / "bootstrap.py"))["environment"]()
    done = subprocess.run(command, cwd=place, env=settings, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotInstalled(f"{Path(command[0]).name}: {' '.join(done.stderr.split())[:600] or done.returncode}")


def _received(request: Request, sent: list[Request]) -> Reply:
    is_known = request.authorization == f"Bearer {KEY}"
    if request.path.endswith("/v1/traces") and is_known:
        sent.append(request)
    return Reply(request.content_type, b"{}" if "json" in request.content_type else b"", 200 if is_known else 401)
