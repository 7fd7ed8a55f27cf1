"""Ground for tests of traces: a browser."""

from collections.abc import Callable

import pytest
from django.test import Client

from catalyst.core.models import User


@pytest.fixture
def browser(client_as: Callable[[User], Client], alice: User) -> Client:
    """Alice's browser."""
    return client_as(alice)
