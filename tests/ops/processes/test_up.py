"""`manage.py up` and `down`, as people and scripts meet them."""

import os
import shutil
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import database_copy
from tests.e2e.instance import use_login_link
from tests.ops.catalyst import Catalyst, catalyst, kill
from tests.processes import database_url, eventually

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("up")]


@pytest.fixture
def up() -> Iterator[Catalyst]:
    """One that has never run."""
    with catalyst() as it:
        yield it


@pytest.fixture(scope="module")
def shared_up() -> Iterator[Catalyst]:
    with catalyst() as it:
        yield it


@pytest.fixture
def running(shared_up: Catalyst) -> Catalyst:
    """One that runs, on data that the tests of this module share: it is started only when a test has ended it."""
    if not shared_up.is_running():
        shared_up.up()
    return shared_up


def test_it_runs_until_interrupted_and_goes_on_with_its_data(running: Catalyst) -> None:
    first = running.facts()
    assert first["url"] == f"http://127.0.0.1:{running.port}"
    assert set(first["pids"]) == {
        "up",
        "postgres",
        "guard",
        "web",
        "worker-default",
        "worker-judge",
        "worker-long",
        "clock",
    }
    assert stat.S_IMODE((running.data / "up.json").stat().st_mode) == 0o600
    assert running.post(first["ingest_key"]).status_code == 200
    assert running.post("cat_wrong").status_code == 401
    with httpx.Client() as browser:
        assert use_login_link(browser, first["login_url"]).status_code == 302
        assert browser.get(first["url"] + "/").is_redirect
    with httpx.Client() as browser:
        assert use_login_link(browser, first["login_url"]).status_code != 302
        another = running.command("login_link").communicate(timeout=30)[0].strip()
        assert use_login_link(browser, another).status_code == 302
    running.facts()

    text = running.stop(signal.SIGINT)

    assert first["url"] in text
    assert "up.json" in text
    for secret in ("login_url", "ingest_key", "api_key"):
        assert first[secret] not in text, "it was not printed to a terminal"
    assert "Traceback" not in text
    assert running.process
    assert running.process.returncode == 0
    assert running.leftovers() == []
    assert not (running.data / "up.json").exists()

    second = running.up()
    assert second["ingest_key"] == first["ingest_key"]
    assert running.post(first["ingest_key"]).status_code == 200
    down = running.command("down")
    assert down.communicate(timeout=60) == ("Stopped.\n", "")
    running.killed()
    assert running.process.returncode == 0


def test_it_leaves_nothing_behind_when_killed(running: Catalyst) -> None:
    first = running.facts()
    assert running.process
    running.process.kill()
    running.killed()
    assert not (running.data / "up.json").exists()

    second = running.up()
    assert second["ingest_key"] == first["ingest_key"]
    kill(second["pids"])
    running.killed()

    third = running.up()
    assert third["ingest_key"] == first["ingest_key"]
    assert running.post(third["ingest_key"]).status_code == 200


def test_it_replaces_what_dies(running: Catalyst) -> None:
    before = running.facts()
    pids = {name: pid for name, pid in before["pids"].items() if name != "up"}
    kill(pids)

    eventually(lambda: not set(pids.values()) & set(running.facts()["pids"].values()), 60)

    def accepts() -> bool:
        try:
            return running.post(before["ingest_key"]).status_code == 200
        except httpx.HTTPError:
            return False

    eventually(accepts, 60)
    text = running.stop(signal.SIGTERM)
    assert "web ended (SIGKILL), starting it again" in text
    assert running.leftovers() == []


def test_it_runs_twice_side_by_side(running: Catalyst, up: Catalyst) -> None:
    ours, theirs = running.facts(), up.up()
    assert running.post(ours["ingest_key"]).status_code == 200
    assert up.post(ours["ingest_key"]).status_code == 401
    assert theirs["database_url"] != ours["database_url"]
    assert "already runs" in Catalyst(running.data).refused("up")
    up.stop()
    assert up.leftovers() == []
    assert running.post(ours["ingest_key"]).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_it_leaves_the_embedded_server_alone_where_another_is_named() -> None:
    with catalyst(DATABASE_URL=database_url()) as up:
        facts = up.up()
        assert "postgres" not in facts["pids"]
        assert facts["database_url"] == database_url()
        assert up.post(facts["ingest_key"]).status_code == 200
        up.stop()
        assert up.leftovers() == []
        assert not (up.data / "postgres").exists()


def test_it_stops_everything_when_its_data_folder_is_deleted(up: Catalyst) -> None:
    up.up()
    assert up.process
    base = (up.data / "postgres").resolve()  # elsewhere for root
    shutil.rmtree(up.data)
    try:
        _, errors = up.process.communicate(timeout=120)
        assert errors == (
            f"The data folder {up.data} was deleted or moved, so everything has been stopped. "
            "Move it back or restore a backup, then start again.\n"
        )
        assert up.process.returncode == 1
        assert up.leftovers() == []
        assert not up.data.exists()
    finally:
        shutil.rmtree(base, ignore_errors=True)
        up.data.mkdir(exist_ok=True)


def test_it_keeps_data_that_is_moved_while_it_runs(up: Catalyst) -> None:
    first = up.up()
    assert up.process
    moved = up.data.with_name(f"{up.data.name}-moved")
    up.data.rename(moved)
    try:
        _, errors = up.process.communicate(timeout=120)
        assert "was deleted or moved" in errors
        assert up.leftovers() == []
    finally:
        moved.rename(up.data)
    assert up.up()["ingest_key"] == first["ingest_key"]
    assert up.post(first["ingest_key"]).status_code == 200


def test_it_says_that_the_port_is_in_use(up: Catalyst) -> None:
    with socket.create_server(("127.0.0.1", up.port)):
        assert up.refused("up") == f"Port {up.port} of 127.0.0.1 is in use. Set CATALYST_PORT to another one."


def test_it_says_that_the_data_folder_is_unusable(up: Catalyst, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    up.extra["CATALYST_DATA"] = str(file / "data")
    assert up.refused("up").startswith(f"The data folder {file / 'data'} can't be used")
    up.extra["CATALYST_SECRET_KEY"] = "x" * 50
    assert up.refused("up").startswith(f"The data folder {file / 'data'} can't be used")


def test_it_says_that_the_data_is_of_another_postgresql(up: Catalyst) -> None:
    cluster = up.data / "postgres" / "cluster"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("12\n")
    os.chmod(up.data, 0o755)
    assert "is of PostgreSQL 12, the installed server is" in up.refused("up")


def test_it_says_that_the_database_does_not_answer(up: Catalyst) -> None:
    up.extra["DATABASE_URL"] = "postgresql://nobody@127.0.0.1:1/none"
    assert up.refused("up").startswith("The database can't be used: ")
    up.extra["DATABASE_URL"] = "mysql://localhost/none"
    assert "needs postgresql://" in up.refused("up")


def test_it_says_where_to_read_why_it_is_not_up_to_date(up: Catalyst) -> None:
    (up.data / "static").touch()
    with database_copy("static") as up.extra["DATABASE_URL"]:  # rather than migrate one
        assert up.refused("up").endswith(f"can't be brought up to date; see {up.data / 'logs' / 'prepare.log'}.")
    assert "File exists" in (up.data / "logs" / "prepare.log").read_text()


def test_it_says_that_a_setting_makes_no_sense(up: Catalyst) -> None:
    up.extra["CATALYST_PORT"] = "eighty"
    assert up.refused("up").startswith("CATALYST_PORT: ")


def test_it_has_nothing_to_stop(up: Catalyst) -> None:
    down = up.command("down")
    assert down.communicate(timeout=30) == (f"Nothing runs on {up.data}.\n", "")
    assert down.returncode == 0


def test_it_prepares_the_engine_of_reports_after_it_printed_its_address(up: Catalyst) -> None:
    nowhere = up.data / "no-packages"
    up.extra |= {"CATALYST_HALO_ENGINE": str(up.data / "engine"), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(nowhere)}
    pids = up.up()["pids"]
    log = up.data / "logs" / "prepare-halo-engine.log"
    eventually(lambda: log.exists() and "Reports are written by rules alone." in log.read_text(), 60)
    assert not any(name.startswith("prepare") for name in pids), "it ends by itself"
    assert "Traceback" not in log.read_text()
    text = up.stop()
    assert "ERROR" not in text
    assert "halo" not in text, "all else works without it"
