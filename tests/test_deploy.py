"""The systemd unit and the container: what they may do is written down, and checked where systemd is at hand."""

import re
import shutil
import subprocess

import pytest

from tests.processes import ROOT

UNIT = ROOT / "deploy" / "catalyst.service"
MAX_EXPOSURE = 3.0


def test_the_unit_limits_what_it_may_take() -> None:
    settings = dict(line.split("=", 1) for line in UNIT.read_text().splitlines() if "=" in line and line[0] != "#")
    assert {"MemoryMax", "MemoryHigh", "LimitNOFILE", "TasksMax"} <= settings.keys()
    assert (settings["ProtectSystem"], settings["UMask"], settings["CapabilityBoundingSet"]) == ("strict", "0077", "")
    assert "ExecStartPre" not in settings, "the code's folder is not writable"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd")
def test_the_unit_is_confined() -> None:
    command = ["systemd-analyze", "security", "--offline=true", str(UNIT)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    level = re.search(r"Overall exposure level for catalyst.service: ([\d.]+)", said)
    assert level, said
    assert float(level[1]) < MAX_EXPOSURE


def test_the_image_is_built_from_the_lock_and_runs_as_a_user() -> None:
    lines = (ROOT / "deploy" / "Containerfile").read_text().splitlines()
    assert "RUN pip install --no-cache-dir --require-hashes -r requirements.lock" in lines
    assert lines.index("USER catalyst") > lines.index("COPY . .")
    assert lines.index("RUN python -m halo.engine_environment") < lines.index("USER catalyst")
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {".git", ".venv", ".cache"} <= set(ignored)
