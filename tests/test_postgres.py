"""The embedded PostgreSQL is started once, by whoever comes first, and found again whatever happened to it."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import psycopg
import pytest

from catalyst import postgres
from catalyst.database import embedded_url, socket_folder
from catalyst.env import env
from catalyst.postgres import PostgresError
from tests.processes import ROOT, environment, eventually

ENSURE = """
import sys
from pathlib import Path
from catalyst import postgres
print(postgres.ensure(Path(sys.argv[1])))
"""
FAST = {**postgres.SETTINGS, "fsync": "off", "shared_buffers": "16MB"}


@pytest.fixture
def data() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="catalyst-pg-"))
    yield from tidied(folder)


def tidied(folder: Path) -> Iterator[Path]:
    yield folder
    postgres.stop(folder)
    if (folder / "postgres").exists():
        shutil.rmtree((folder / "postgres").resolve())
    shutil.rmtree(folder)


def answers(data: Path) -> bool:
    with psycopg.connect(embedded_url(data)) as connection:
        return connection.execute("SELECT current_database()").fetchone() == ("catalyst",)


@pytest.mark.slow
def test_it_starts_attaches_and_stops(data: Path) -> None:
    mode = data.stat().st_mode
    assert not postgres.listens(data)
    assert postgres.ensure(data, FAST)
    assert postgres.listens(data)
    assert not postgres.ensure(data, FAST)
    assert answers(data)
    assert data.stat().st_mode == mode
    assert socket_folder(data).stat().st_mode & 0o077 == 0
    with psycopg.connect(embedded_url(data)) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        assert connection.execute("SHOW jit").fetchone() == ("off",)
    assert postgres.stop(data)
    assert not postgres.listens(data)
    assert not postgres.stop(data)


@pytest.mark.slow
def test_it_starts_again_after_a_kill(data: Path) -> None:
    postgres.ensure(data, FAST)
    with psycopg.connect(embedded_url(data)) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1")
    pid = postgres.postmaster(data)
    assert pid
    os.kill(pid, signal.SIGKILL)
    assert postgres.ensure(data, FAST)
    with psycopg.connect(embedded_url(data)) as connection:
        assert connection.execute("SELECT * FROM kept").fetchone() == (1,)


@pytest.mark.slow
def test_it_starts_again_after_a_kill_while_it_waits(data: Path) -> None:
    postgres.ensure(data, FAST)
    pid = postgres.postmaster(data)
    assert pid
    os.kill(pid, signal.SIGSTOP)

    def kill() -> None:
        eventually(lambda: "already exists" in postgres.log_file(data).read_text())
        os.kill(pid, signal.SIGKILL)

    killer = Thread(target=kill)
    killer.start()
    assert postgres.ensure(data)
    assert answers(data)
    killer.join()


@pytest.mark.slow
def test_it_is_started_by_one_of_many(data: Path) -> None:
    command = [sys.executable, "-c", ENSURE, str(data)]
    racing = [
        subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    said = sorted(process.communicate(timeout=60)[0].strip() for process in racing)
    assert said == ["False", "False", "False", "True"]
    assert answers(data)


@pytest.mark.slow
def test_it_takes_a_path_too_long_for_a_socket() -> None:
    for folder in tidied(Path(tempfile.mkdtemp(prefix="x" * 100))):
        assert postgres.ensure(folder, FAST)
        assert answers(folder)
        assert not socket_folder(folder).is_relative_to(folder)
        postgres.stop(folder)
        shutil.rmtree(socket_folder(folder))


@pytest.mark.slow
def test_it_makes_the_cluster_anew_when_that_was_cut_off(data: Path) -> None:
    fresh = data / "postgres" / "cluster.new"
    fresh.mkdir(parents=True)
    (fresh / "PG_VERSION").write_text("18\n")
    data.chmod(0o755)
    assert postgres.ensure(data, FAST)
    assert answers(data)


def test_it_refuses_another_major_version(data: Path) -> None:
    data.chmod(0o755)
    cluster = data / "postgres" / "cluster"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("12\n")
    with pytest.raises(PostgresError, match=r"is of PostgreSQL 12, the installed server is \d+: .*dump.*restore"):
        postgres.ensure(data)


def test_it_refuses_a_folder_it_cannot_use(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PostgresError, match="can't be used"):
        postgres.ensure(tmp_path / "file" / "data")


def test_it_says_when_there_are_no_binaries(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env, "embedded_pg_bin", str(tmp_path))
    with pytest.raises(PostgresError, match="No PostgreSQL server in"):
        postgres.ensure(data)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_it_runs_for_root_below_folders_nobody_else_may_enter(data: Path) -> None:
    assert data.stat().st_mode & 0o077 == 0
    assert postgres.ensure(data, FAST)
    pid = postgres.postmaster(data)
    assert Path(f"/proc/{pid}").stat().st_uid != 0
    assert data.stat().st_mode & 0o077 == 0
    eventually(lambda: answers(data))
