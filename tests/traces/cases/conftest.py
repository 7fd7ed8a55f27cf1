"""Ground for the cases: a sender with a key of the project."""

import pytest
from django.test import Client

from catalyst.core.models import Project
from tests.traces.cases.sender import Sender


@pytest.fixture
def sender(client: Client, project: Project) -> Sender:
    return Sender(client, project)
