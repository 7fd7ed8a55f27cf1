"""The locks hold what pyproject.toml asks for, with hashes and without addresses."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME = PROJECT["project"]["dependencies"]
LOCKS = {"requirements.lock": RUNTIME, "requirements-dev.lock": RUNTIME + PROJECT["dependency-groups"]["dev"]}


@pytest.mark.parametrize("name", LOCKS)
def test_it_locks_what_the_project_asks_for(name: str) -> None:
    locked = dict(re.findall(r"^([\w.-]+)==([^ ;\\]+)", (ROOT / name).read_text(), re.MULTILINE))
    wanted = {canonicalize_name((asked := Requirement(text)).name): asked.specifier for text in LOCKS[name]}
    missing = [name for name, versions in wanted.items() if name not in locked or locked[name] not in versions]
    assert not missing, "run `make lock`"


@pytest.mark.parametrize("name", LOCKS)
def test_it_names_hashes_and_no_address(name: str) -> None:
    text = (ROOT / name).read_text()
    assert text.count("==") <= text.count("--hash=sha256:")
    assert "://" not in text
    assert "--index" not in text
