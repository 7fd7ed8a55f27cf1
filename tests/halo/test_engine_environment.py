"""The environment of halo-engine: made once, replaced as a whole, and plain words when it can't be."""

import fcntl
import hashlib
import re
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zipfile import ZipFile

import pytest

from halo import engine_environment
from halo.engine_environment import LOCK, EngineEnvironment, EngineUnavailable, State
from tests.processes import ROOT, environment

WHEEL = "halo_engine-1-py3-none-any.whl"
METADATA = "Metadata-Version: 2.1\nName: halo-engine\nVersion: 1\n"
WHEEL_ABOUT = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
MAKES_IT = pytest.mark.slow


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with packages that pip is told to use alone, by its own settings."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def publish(mirror: Path, module: str = "main") -> str:
    """Make a package with the engine's names; returns the line of a lock for it."""
    files = {f"engine/{module}.py": "", "halo_engine-1.dist-info/METADATA": METADATA}
    files["halo_engine-1.dist-info/WHEEL"] = WHEEL_ABOUT
    files["halo_engine-1.dist-info/RECORD"] = ""
    with ZipFile(mirror / WHEEL, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    return f"halo-engine==1 --hash=sha256:{hashlib.sha256((mirror / WHEEL).read_bytes()).hexdigest()}\n"


@pytest.fixture
def engine(tmp_path: Path, mirror: Path) -> EngineEnvironment:
    lock = tmp_path / "requirements.lock"
    lock.write_text(publish(mirror))
    return EngineEnvironment(tmp_path / "made" / "halo-engine", lock)


def imports(python: Path, module: str) -> bool:
    return subprocess.run([python, "-I", "-c", f"import {module}"], check=False, capture_output=True).returncode == 0


@MAKES_IT
def test_it_is_made_once(engine: EngineEnvironment) -> None:
    assert engine.status().state == State.MISSING
    assert engine.status().remedy == "Run manage.py halo install."
    reports: list[str] = []
    with ThreadPoolExecutor() as threads:
        made = [*threads.map(lambda _: engine.prepare(reports.append), range(3))]
    assert {*made} == {engine.python_path()}
    assert reports == ["Installing halo-engine in an environment of its own…"]
    assert engine.status() == engine_environment.Status(State.READY)
    assert imports(engine.python, "engine.main")
    assert not imports(engine.python, "pip")
    assert not imports(engine.python, "django")


@MAKES_IT
def test_another_lock_replaces_it_as_a_whole(engine: EngineEnvironment, mirror: Path) -> None:
    first = engine.prepare()
    unfinished = engine.folder / "killed.new"
    unfinished.mkdir()
    engine.lock.write_text(f"# Renewed.\n{engine.lock.read_text()}")
    assert engine.status().state == State.MISSING
    assert first.exists()
    second = engine.prepare()
    assert second.exists()
    assert {path.name for path in engine.folder.iterdir()} == {"lock", second.parent.parent.name}


@MAKES_IT
def test_it_is_made_again_when_its_python_is_gone(engine: EngineEnvironment) -> None:
    python = engine.prepare()
    python.unlink()
    python.symlink_to(engine.folder / "upgraded-away")
    assert engine.status().state == State.MISSING
    assert engine.prepare().exists()


@MAKES_IT
@pytest.mark.parametrize(
    ("lock", "reason"),
    [
        ("halo-engine==2 --hash=sha256:" + "0" * 64, "The package registry can't be reached, or lacks a package."),
        ("halo-engine==1 --hash=sha256:" + "0" * 64, "The package registry gave other files than those that the lock"),
        ("halo-engine", "It can't be installed: ERROR: "),
    ],
)
def test_it_says_why_it_can_not_be_made(engine: EngineEnvironment, lock: str, reason: str) -> None:
    engine.lock.write_text(f"{lock}\n")
    with pytest.raises(EngineUnavailable, match=re.escape(reason)):
        engine.prepare()
    status = engine.status()
    assert status.state == State.FAILED
    assert status.reason.startswith(reason)
    assert status.remedy.endswith("Then run manage.py halo install.")
    with pytest.raises(EngineUnavailable, match=re.escape(reason)):
        engine.python_path()
    assert [path for path in engine.folder.iterdir() if path.is_dir()] == [], "nothing half made is left"


@MAKES_IT
def test_it_is_not_ready_when_the_engine_can_not_be_imported(engine: EngineEnvironment, mirror: Path) -> None:
    engine.lock.write_text(publish(mirror, module="other"))
    with pytest.raises(EngineUnavailable, match=r"No module named 'engine\.main'"):
        engine.prepare()
    engine.lock.write_text(publish(mirror))
    assert engine.prepare().exists()
    assert [path.name for path in engine.folder.iterdir() if path.suffix == ".json"] == []


def test_it_says_that_it_is_being_made(engine: EngineEnvironment) -> None:
    engine.folder.mkdir(parents=True)
    with (engine.folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert engine.status().state == State.PREPARING
    assert engine.status().state == State.MISSING


def test_it_says_that_its_folder_can_not_be_used(engine: EngineEnvironment, tmp_path: Path) -> None:
    (tmp_path / "made").write_text("a file")
    with pytest.raises(EngineUnavailable, match=r"made.*Not a directory"):
        engine.prepare()
    assert engine.status().state == State.MISSING


@MAKES_IT
def test_an_image_makes_it_without_django(engine: EngineEnvironment, engine_python: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "halo.engine_environment"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, env=environment())
    assert done.stdout == f"halo-engine is ready in {engine_python.parent.parent}.\n"
    assert "django" not in done.stderr


def test_the_lock_names_files_and_no_registry() -> None:
    text = LOCK.read_text()
    lines = re.findall(r"^\S+==\S+.*\\$", text, re.MULTILINE)
    assert len(lines) > 20
    assert len(re.findall(r"\\\n    --hash=sha256:[0-9a-f]{64}", text)) >= len(lines)
    assert "://" not in text
    asked = tomllib.loads((LOCK.parent / "pyproject.toml").read_text())
    (pinned,) = asked["project"]["dependencies"]
    assert any(line.startswith(f"{pinned} ") for line in lines)
    left_out = {each.partition(";")[0] for each in asked["tool"]["uv"]["override-dependencies"]}
    assert left_out.isdisjoint(line.partition("==")[0] for line in lines)
