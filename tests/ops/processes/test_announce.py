"""What `manage.py up` tells people, and scripts."""

import json
import shlex
import stat
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from catalyst.core.models import AuditEntry, User
from catalyst.ops.processes import announce
from catalyst.ops.processes.prepare import Installation

pytestmark = pytest.mark.django_db
PIDS = {"up": 1, "web": 2}


def announced(data: Path, alice: User, now: datetime, *, to_terminal: bool) -> tuple[str, dict[str, Any]]:
    """The text, and up.json."""
    installation = Installation(alice, "cat_ingest", "cat_api")
    text = announce.write_status(data, installation, PIDS, now, to_terminal=to_terminal)
    return text, json.loads((data / "up.json").read_text())


def test_a_terminal_gets_the_link_and_the_ingest_key(tmp_path: Path, alice: User, now: datetime) -> None:
    text, facts = announced(tmp_path, alice, now, to_terminal=True)
    assert facts["login_url"] in text
    assert text.count("cat_ingest") == 3
    assert "cat_api" not in text


def test_a_journal_gets_no_secret(tmp_path: Path, alice: User, now: datetime) -> None:
    text, facts = announced(tmp_path, alice, now, to_terminal=False)
    for secret in (facts["login_url"], "cat_ingest", "cat_api"):
        assert secret not in text
    assert facts["url"] in text
    assert str(tmp_path / "up.json") in text


def test_a_journal_has_the_command_that_makes_a_link(tmp_path: Path, alice: User, now: datetime) -> None:
    (tmp_path / "my data").mkdir()
    text, _ = announced(tmp_path / "my data", alice, now, to_terminal=False)
    (line,) = (line.strip() for line in text.splitlines() if line.endswith("login_link"))
    words = shlex.split(line)
    assert f"CATALYST_DATA={tmp_path / 'my data'}" in words
    program = words[next(index for index, word in enumerate(words) if "=" not in word) :]
    assert [Path(word).name for word in program] == ["python", "manage.py", "login_link"]
    assert all(Path(word).exists() for word in program[:2])


def test_scripts_get_it_all_from_a_file_of_the_owner(tmp_path: Path, alice: User, now: datetime) -> None:
    _, facts = announced(tmp_path, alice, now, to_terminal=False)
    assert (facts["ingest_key"], facts["api_key"], facts["pids"]) == ("cat_ingest", "cat_api", PIDS)
    assert stat.S_IMODE((tmp_path / "up.json").stat().st_mode) == 0o600
    entry = AuditEntry.objects.get()
    assert (entry.actor_name, entry.action, entry.target_name) == ("Catalyst", "made a login link for", "alice")
    assert facts["login_url"].rstrip("/").rpartition("/")[2] not in entry.detail
