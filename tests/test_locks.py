"""The locks hold what pyproject.toml asks for, with hashes and without addresses."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME = PROJECT["project"]["dependencies"]
LOCKS = {"requirements.lock": RUNTIME, "requirements-dev.lock": RUNTIME + PROJECT["dependency-groups"]["dev"]}
APPS = ("catalyst", "traces", "signals", "halo", "alerts")


def locked_by(name: str) -> dict[str, str]:
    """Versions of the packages in a lock."""
    return dict(re.findall(r"^([\w.-]+)==([^ ;\\]+)", (ROOT / name).read_text(), re.MULTILINE))


def imported_by(path: Path) -> Iterator[str]:
    """The top-level modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


@pytest.mark.parametrize("app", APPS)
def test_it_imports_only_what_is_installed_with_it(app: str) -> None:
    # The engine of reports has an environment of its own.
    sources = [path for path in (ROOT / app).rglob("*.py") if path.parent != ROOT / "halo" / "engine"]
    imported = {module for path in sources for module in imported_by(path)}
    locked = locked_by("requirements.lock")
    packages = packages_distributions()
    for module in imported - sys.stdlib_module_names - set(APPS):
        names = {canonicalize_name(name) for name in packages[module]}
        assert names & set(locked), f"{app} imports {module}, which is not in requirements.lock"


@pytest.mark.parametrize("name", LOCKS)
def test_it_locks_what_the_project_asks_for(name: str) -> None:
    locked = locked_by(name)
    wanted = {canonicalize_name((asked := Requirement(text)).name): asked.specifier for text in LOCKS[name]}
    missing = [name for name, versions in wanted.items() if name not in locked or locked[name] not in versions]
    assert not missing, "run `make lock`"


@pytest.mark.parametrize("name", LOCKS)
def test_it_names_hashes_and_no_address(name: str) -> None:
    text = (ROOT / name).read_text()
    assert text.count("==") <= text.count("--hash=sha256:")
    assert "://" not in text
    assert "--index" not in text
