"""What the tests that look from outside look at: `manage.py up` on a free port, one per test worker, and a browser."""

import fcntl
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Response, expect

from tests.conftest import database_copy
from tests.e2e import instance, pages
from tests.e2e.instance import Instance
from tests.e2e.pages import Stop
from tests.judge_server import JudgeServer, says
from tests.processes import ROOT

expect.set_options(timeout=20_000)  # a machine may have more to do


HERE = Path(__file__).parent
INSTANCES = ("demo", "catalyst")
# The first test of an instance also starts it, and some walk through all pages.
MAX_TEST_SECONDS = 1200


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run all tests of an instance on one worker, so that it is started once, and stopped after the last of them."""
    for item in items:
        for name in INSTANCES:
            if item.path.parent == HERE and name in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.xdist_group(name))
                item.add_marker(pytest.mark.timeout(MAX_TEST_SECONDS))


@pytest.fixture(scope="package")
def judge() -> Iterator[JudgeServer]:
    """The scripted model; tests set its script."""
    with JudgeServer(lambda _: says("no")) as server:
        yield server


@pytest.fixture(scope="package")
def catalyst(tmp_path_factory: pytest.TempPathFactory, judge: JudgeServer) -> Iterator[Instance]:
    """One without the demo, whose judge is scripted and settles at once."""
    with (
        database_copy("catalyst") as url,
        instance.started(
            tmp_path_factory.mktemp("catalyst"),
            DATABASE_URL=url,
            CATALYST_JUDGE_URL=judge.url,
            CATALYST_JUDGE_MODEL="scripted-judge",
            CATALYST_JUDGE_TIMEOUT_SECONDS="60",
            CATALYST_SETTLE_TRACE_SECONDS="1",
            CATALYST_SETTLE_SESSION_SECONDS="1",
        ) as started,
    ):
        yield started


@pytest.fixture(scope="package")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """One as a newcomer gets it, with the demo."""
    folder = tmp_path_factory.mktemp("demo")
    with (
        database_copy("demo") as url,
        instance.started_with_demo(folder, DATABASE_URL=url, CATALYST_ALLOWED_PRIVATE_TARGETS="127.0.0.0/8") as started,
    ):
        yield started


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The real browser; the tests that need it are skipped where there is none.

    It lives for one module: as long as Playwright is there, no other event loop can run in the tests' thread, and a
    test that reaches its time limit breaks the connection.
    """
    if instance.CHROMIUM is None:
        pytest.skip("needs Chromium")
    with instance.browser() as browser:
        yield browser


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A fresh window whose console must stay silent."""
    with silent_window(chromium) as page:
        yield page


@contextmanager
def silent_window(chromium: Browser) -> Iterator[Page]:
    """A window whose console must stay silent, but for pages that are errors themselves."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    said: list[tuple[str, str]] = []
    failed: set[str] = set()

    def hear(message: ConsoleMessage) -> None:
        said.append((f"{message.type}: {message.text}", message.location["url"]))

    def note(response: Response) -> None:
        if response.request.is_navigation_request() and response.status >= 400:
            failed.add(response.url)

    page.on("console", hear)
    page.on("pageerror", lambda error: said.append((f"error: {error}", "")))
    page.on("response", note)
    yield page
    context.close()
    assert [text for text, url in said if url not in failed] == []


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


@pytest.fixture
def recording(shared: Path) -> Path:
    """A hundred recorded conversations."""
    return shared / "data" / "airline.otlp.jsonl.gz"


@pytest.fixture(scope="package")
def stops(demo: Instance) -> list[Stop]:
    """Every page of the instance with the demo."""
    return pages.every(demo)
