"""What a child logs as an error is seen once, and its log never fills the disk."""

import os
from pathlib import Path

import pytest

from catalyst.ops.processes import children
from catalyst.ops.processes.children import Child, Program, ending

INFO = "2026-11-20 12:00:00,000 INFO uvicorn.error: Started\n"
ERROR = "2026-11-20 12:00:01,000 ERROR django.request: Internal Server Error: /\n"


@pytest.fixture
def child(tmp_path: Path) -> Child:
    return Child(Program("web", lambda: None), tmp_path / "web.log")


def test_it_shows_each_error_once(child: Child) -> None:
    assert child.new_errors() == []
    child.log.write_text(INFO + ERROR + "Traceback (most recent call last):\n")
    assert child.new_errors() == [ERROR.strip()]
    assert child.new_errors() == []
    with child.log.open("a") as log:
        log.write(INFO + ERROR + ERROR)
    assert child.new_errors() == [ERROR.strip()] * 2


def test_it_starts_a_long_log_anew(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "LOG_BYTES", 100)
    child.log.write_text(INFO * 3)
    assert child.new_errors() == []
    assert child.log.read_text() == ""
    assert child.log.with_suffix(".log.1").read_text() == INFO * 3
    child.log.write_text(ERROR)
    assert child.new_errors() == [ERROR.strip()]


def test_it_does_not_repeat_what_runs_once(tmp_path: Path) -> None:
    once = Child(Program("once", lambda: os.write(1, b"Ran.\n"), runs_once=True), tmp_path / "once.log")
    once.start()
    assert once.wait() == 0
    assert not once.revive(pytest.fail)
    assert once.log.read_text() == "Ran.\n"


def test_it_says_how_a_process_ended() -> None:
    assert (ending(3), ending(-9)) == ("exit 3", "SIGKILL")
