"""A running Catalyst for the tests that look from outside: `manage.py up` on a free port, one per test worker."""

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.judge_server import JudgeServer, says
from tests.processes import ROOT, environment, eventually, free_port

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

NEW_PROJECTS = """
from catalyst.core.models import ApiKey, Membership, Project, User
for slug in {slugs}:
    project = Project.objects.create(name=slug.title(), slug=slug)
    Membership.objects.create(project=project, user=User.objects.earliest("pk"), role="owner")
    print(ApiKey.issue(project=project, name="sdk", scopes=["ingest"])[1])
"""


@dataclass(frozen=True)
class Instance:
    """What `up.json` says, and the judge it was started with."""

    url: str
    login_url: str
    ingest_key: str
    database_url: str
    pids: dict[str, int]
    data: Path
    judge: JudgeServer

    def query(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Rows straight from its database."""
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(statement, parameters).fetchall()

    def count(self, statement: str, *parameters: object) -> int:
        """One number straight from its database."""
        ((number,),) = self.query(statement, *parameters)
        assert isinstance(number, int)
        return number

    def manage(self, *arguments: str) -> str:
        """What `manage.py ARGUMENTS` prints on its data folder."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=environment(CATALYST_DATA=str(self.data)),
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    def new_projects(self, *slugs: str) -> list[str]:
        """Make projects of the printed login's user; returns an ingest key of each."""
        return self.manage("shell", "--verbosity=0", "-c", NEW_PROJECTS.format(slugs=slugs)).split()


@pytest.fixture(scope="session")
def judge() -> Iterator[JudgeServer]:
    """The scripted model; tests set its script."""
    with JudgeServer(lambda _: says("no")) as server:
        yield server


@pytest.fixture(scope="session")
def catalyst(tmp_path_factory: pytest.TempPathFactory, judge: JudgeServer) -> Iterator[Instance]:
    """A Catalyst as `make up` starts it, stopped at the end as Ctrl-C would."""
    data = tmp_path_factory.mktemp("catalyst")
    extra = {
        "CATALYST_DATA": str(data),
        "CATALYST_PORT": str(free_port()),
        "CATALYST_JUDGE_URL": judge.url,
        "CATALYST_JUDGE_MODEL": "scripted-judge",
        "CATALYST_JUDGE_TIMEOUT_SECONDS": "5",
        "CATALYST_SETTLE_TRACE_SECONDS": "1",
        "CATALYST_SETTLE_SESSION_SECONDS": "1",
    }
    with (data / "up.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "up"], cwd=ROOT, env=environment(**extra), stdout=log, stderr=log
        )
    ready = data / "up.json"
    eventually(lambda: ready.exists() or process.poll() is not None, seconds=90)
    assert ready.exists(), (data / "up.log").read_text()
    yield Instance(**json.loads(ready.read_text()), data=data, judge=judge)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)
    shutil.rmtree((data / "postgres").resolve())


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The real browser; the tests that need it are skipped where there is none."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    arguments = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    with sync_playwright() as playwright:
        sandbox = os.geteuid() != 0
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments, chromium_sandbox=sandbox)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A fresh window whose console must stay silent."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    yield page
    context.close()
    assert said == []


@pytest.fixture(scope="session")
def javascript() -> Path:
    """A folder in which the packages of tests/e2e/js/package.json are installed."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("needs npm")
    folder = ROOT / ".cache" / "js"
    folder.mkdir(parents=True, exist_ok=True)
    install = [npm, "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--prefer-offline"]
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the other test worker may want the same
        shutil.copy(Path(__file__).with_name("js") / "package.json", folder)
        done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        pytest.skip(f"npm can't install the packages: {done.stderr.strip()[-300:]}")
    return folder


def replay(recording: Path, instance: Instance, key: str) -> None:
    """Post the recording with its own client, shifted so that it ends now."""
    script = str(recording.with_name("replay.py"))
    command = [sys.executable, script, str(recording), f"{instance.url}/v1/traces", "--key", key]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


def sign_in(page: Page, instance: Instance) -> None:
    """Through a link as `up` prints it."""
    link = instance.manage("login_link").split()[-1]
    page.goto(instance.url + link[link.index("/login/") :])
    expect(page).to_have_url(re.compile(r"/p/[\w-]+/traces/$"))


@pytest.fixture
def recording(shared: Path) -> Path:
    """A hundred recorded conversations."""
    return shared / "data" / "airline.otlp.jsonl.gz"
