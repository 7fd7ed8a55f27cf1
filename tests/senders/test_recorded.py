"""What real SDKs sent reads as their users expect."""

import pytest

from catalyst.core.models import Project
from tests.senders.reading import assert_reads
from tests.senders.recording import FOLDER, SENDERS, load, versions

MAX_RECORDING_BYTES = 60_000
# What would name the machine that recorded.
PRIVATE = (b"host.name", b"process.command", b"/.cache/", b"site-packages", b"node_modules")


@pytest.mark.django_db
@pytest.mark.parametrize("name", SENDERS)
def test_it_reads_a_recording_as_expected(project: Project, name: str) -> None:
    assert_reads(name, load(FOLDER / name / "recorded.json").requests, project)


@pytest.mark.parametrize("name", SENDERS)
def test_a_recording_is_small_and_of_the_locked_versions(name: str) -> None:
    path = FOLDER / name / "recorded.json"
    assert path.stat().st_size <= MAX_RECORDING_BYTES
    assert load(path).versions == versions(FOLDER / name), f"record it: python -m tests.senders --record {name}"


@pytest.mark.parametrize("name", SENDERS)
def test_a_recording_does_not_name_the_machine(name: str) -> None:
    for request in load(FOLDER / name / "recorded.json").requests:
        assert [word for word in PRIVATE if word in request.body] == []
