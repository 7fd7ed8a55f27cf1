"""The links of a span lead to their traces, if these are stored in the project."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.test import Client

from catalyst.core.models import Project, User
from tests.traces.sent import sent_span
from traces.ingest import pipeline

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(client_as: Callable[[User], Client], alice: User, project: Project, now: datetime) -> Callable[..., str]:
    """The events of a span that has these links."""

    def page(*links: dict[str, Any]) -> str:
        span = sent_span(1, trace=1, start=now)
        span.links = [{"span_id": f"{7:016x}", "attributes": {}, **link} for link in links]
        pipeline.store(project.pk, [span], now)
        url = f"/p/{project.slug}/traces/{1:032x}/?span={1:016x}&pane=events"
        return client_as(alice).get(url).content.decode()

    return page


def test_a_link_leads_to_its_span(project: Project, page: Callable[..., str], now: datetime) -> None:
    pipeline.store(project.pk, [sent_span(7, trace=2, start=now)], now)
    text = page({"trace_id": f"{2:032x}", "attributes": {"reason": "retry"}})
    assert f'href="/p/{project.slug}/traces/{2:032x}/?span={7:016x}"' in text
    assert "reason" in text
    assert 'Events, links<span class="count">1</span>' in text


def test_a_link_to_a_trace_that_is_not_here_leads_nowhere(
    other_project: Project, page: Callable[..., str], now: datetime
) -> None:
    pipeline.store(other_project.pk, [sent_span(7, trace=2, start=now)], now)
    text = page({"trace_id": f"{2:032x}"}, {"trace_id": "<b>odd"}, {"trace_id": ""})
    assert f"/traces/{2:032x}/" not in text
    assert text.count("not stored here") == 3
    assert "&lt;b&gt;odd" in text


def test_a_span_without_links_has_events_alone(page: Callable[..., str]) -> None:
    assert 'Events<span class="count">0</span>' in page()
