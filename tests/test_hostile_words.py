"""Whatever people and senders write: no page takes it for markup."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import time_machine
from django.test import Client

from catalyst.core.models import Project, User
from signals.models import Label, Signal, SignalVersion
from tests.page import Page
from tests.twins import ask_everything, make_twin
from traces.models import Span

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
# It ends any attribute and begins an element.
HOSTILE = """'"><x-y>"""


def test_no_page_takes_what_was_written_for_markup(
    client_as: Callable[[User], Client], project: Project, alice: User
) -> None:
    twin = make_twin(project, alice, HOSTILE, NOW)
    Project.objects.filter(pk=project.pk).update(name=f"Project {HOSTILE}")
    User.objects.filter(pk=alice.pk).update(first_name=HOSTILE)
    # An outcome, too, is what somebody wrote.
    asked = Signal.objects.filter(pk=twin.signals["trace"].pk)
    SignalVersion.objects.filter(signal__in=asked).update(
        labels=[HOSTILE, "no"], sentiments={HOSTILE: "negative", "no": "positive"}
    )
    Label.objects.filter(signal__in=asked).update(value=HOSTILE)
    Span.objects.update(status_message=HOSTILE)
    shown = 0
    with time_machine.travel(NOW, tick=False):
        for url, response in ask_everything(client_as(alice), twin, [HOSTILE]):
            if response.headers.get("Content-Type", "").startswith("text/html"):
                body = response.getvalue().decode()
                assert "<x-y" not in body, url
                shown += HOSTILE in Page(body).text
    assert shown > 20
