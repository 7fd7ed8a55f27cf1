"""The package that `uv build` makes: it runs by itself, outside the checkout."""

import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import httpx
import pytest
from uv import find_uv_bin

from catalyst import __version__
from tests.e2e.instance import use_login_link
from tests.ops.catalyst import Catalyst, catalyst
from tests.page import Page
from tests.processes import ROOT, environment

# One test worker builds it once.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("package")]


def uv(*arguments: str | Path) -> None:
    """Run uv without a network."""
    command = [find_uv_bin(), "--offline", "--no-config", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment())
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `uv build` does: a source distribution from the checkout, a wheel from that."""
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder)
    assert (folder / f"catalyst-{__version__}.tar.gz").exists()
    return folder / f"catalyst-{__version__}-py3-none-any.whl"


@pytest.fixture(scope="module")
def environment_folder(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel in it. It borrows what the wheel depends on from the tests' own."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    uv("venv", "--python", sys.executable, folder)
    uv("pip", "install", "--no-deps", "--python", folder, wheel)
    (site_packages(folder) / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return folder


@pytest.fixture
def installed(environment_folder: Path, tmp_path: Path) -> Iterator[Catalyst]:
    with catalyst() as it:
        it.program = [str(environment_folder / "bin" / "catalyst")]
        it.folder = tmp_path
        yield it


def site_packages(folder: Path) -> Path:
    (found,) = folder.glob("lib/python*/site-packages")
    return found


def files_of(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}


def test_it_takes_no_names_that_others_may_have(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        top = {name.partition("/")[0] for name in archive.namelist()}
    assert top == {"catalyst", "traces", "signals", "halo", "alerts", f"catalyst-{__version__}.dist-info"}


def test_it_holds_everything_that_is_not_python(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        held = set(archive.namelist())
    for folder in ("templates", "static"):
        files = [path.relative_to(ROOT) for path in files_of(ROOT / folder)]
        assert {f"catalyst/{path}" for path in files} <= held
    for app in ("catalyst", "traces", "signals", "halo", "alerts"):
        assert {str(path.relative_to(ROOT)) for path in files_of(ROOT / app)} <= held


def test_it_says_what_it_is(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        about = Parser().parsestr(archive.read(f"catalyst-{__version__}.dist-info/METADATA").decode())
    assert (about["Name"], about["Version"], about["License-Expression"]) == ("catalyst", __version__, "Apache-2.0")
    assert about.get_all("License-File") == ["LICENSE", "static/vendor/plotly-cartesian-4.1.1.LICENSE.txt"]


def test_it_runs_outside_the_checkout(installed: Catalyst, environment_folder: Path) -> None:
    before = files_of(environment_folder)
    assert installed.command("--version").communicate(timeout=60)[0] == f"Catalyst {__version__}\n"
    facts = installed.up()
    with httpx.Client(base_url=facts["url"], timeout=30) as browser:
        login = browser.get("/login/").text
        assert "catalyst up" in [code.text for code in Page(login).all("//code")]
        for path in re.findall(r'"(/static/[^"]+)"', login):
            assert browser.get(path).status_code == 200, path
        assert use_login_link(browser, facts["login_url"]).status_code == 302
        assert f"Catalyst {__version__}" in browser.get("/p/default/traces/").text
    assert installed.post(facts["ingest_key"]).status_code == 200

    down = installed.command("down")
    assert down.communicate(timeout=60) == ("Stopped.\n", "")
    assert installed.process
    printed = installed.process.communicate(timeout=60)[0]
    assert facts["url"] in printed
    assert re.search(r"CATALYST_DATA=\S+ .*catalyst login_link\n", printed)
    assert installed.leftovers() == []
    assert files_of(environment_folder) == before, "data belongs into the data folder"
