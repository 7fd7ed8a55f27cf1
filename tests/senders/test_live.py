"""What real SDKs send now reads as what they sent before. `make senders` runs all of them, `make test` three."""

import os

import pytest

from catalyst.core.models import Project
from tests.senders.environments import NotInstalled, record
from tests.senders.reading import assert_reads

# Small ones, which install in seconds.
QUICK = "litellm openai_agents pydantic_ai"
CHOSEN = os.environ.get("SENDERS")


@pytest.mark.django_db
@pytest.mark.slow
@pytest.mark.parametrize("name", (CHOSEN or QUICK).split())
def test_it_reads_what_a_sender_sends(project: Project, name: str) -> None:
    try:
        recording = record(name)
    except NotInstalled as reason:
        # `make senders` was asked for these.
        (pytest.fail if CHOSEN else pytest.skip)(f"can't install {name}: {reason}")
    assert_reads(name, recording.requests, project)
