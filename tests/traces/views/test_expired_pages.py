"""What pages say when what they are about has expired."""

from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from catalyst.core.models import Project
from signals.models import Label
from tests.factories import make_agent, make_labels, make_session, make_signal, make_trace, settle_all
from tests.page import Page
from traces.models import Session, Span
from traces.models.span import hex_span_id
from traces.retention import delete_expired_traces

pytestmark = pytest.mark.real_clock

DAY = timedelta(days=1)
LATER = 32 * DAY
HEX = f"{1:032x}"


def answered(**about: str) -> None:
    Label.objects.update(
        status="done", value="yes", reason="It asks <twice>.", labelled_at=timezone.now(), judge="judge-1", **about
    )


@pytest.mark.parametrize("scope", ["trace", "span"])
def test_a_trace_that_a_label_refers_to_has_expired(
    browser: Client, project: Project, now: datetime, scope: str
) -> None:
    signal = make_signal(make_agent(project), scope=scope, active_since=now - DAY)
    make_labels(signal, project, 1, now=now)
    answered()
    delete_expired_traces(now + LATER)
    page = browser.get(f"/p/default/traces/{HEX}/?span={hex_span_id(18)}")
    assert page.status_code == 404
    shown = Page(page.text)
    assert "This trace was deleted after 30 days" in shown.headings
    assert "It asks <twice>." in shown.region("Label Refund wanted").text
    assert browser.get(f"/p/default/traces/{2:032x}/").status_code == 404
    assert "was deleted after" not in browser.get(f"/p/default/traces/{2:032x}/").text


def test_a_trace_whose_spans_went_first_has_expired(browser: Client, project: Project, now: datetime) -> None:
    trace = make_trace(project, 1, now=now)
    Span.objects.filter(project_id=project.pk, parent_id__isnull=False).delete()
    words = Page(browser.get(trace.get_absolute_url()).text).text
    assert "Spans are kept for 30 days; of this trace's 2, 1 are left." in words
    Span.objects.filter(project_id=project.pk).delete()
    page = browser.get(trace.get_absolute_url())
    assert page.status_code == 404
    assert "This trace was deleted after 30 days" in Page(page.text).headings


def test_a_session_that_a_label_refers_to_has_expired(browser: Client, project: Project, now: datetime) -> None:
    make_signal(make_agent(project), scope="session", active_since=now - DAY)
    make_session(project, "chat", now=now)
    settle_all(now)
    answered()
    Project.objects.update(retention_days=1)
    delete_expired_traces(now + 3 * DAY)
    assert not Session.objects.exists()
    page = browser.get("/p/default/sessions/?key=chat")
    assert page.status_code == 404
    assert "This session was deleted after 1 day" in Page(page.text).headings
    assert "was deleted after" not in browser.get("/p/default/sessions/?key=other").text


@pytest.mark.parametrize("path", ["traces", "sessions"])
def test_lists_say_where_they_begin(browser: Client, project: Project, now: datetime, path: str) -> None:
    make_session(project, "chat", now=now)
    since = f"{now - 30 * DAY:%-d %b %Y}"
    text = Page(browser.get(f"/p/default/{path}/?range=90d").text).text
    assert f"{path.capitalize()} are kept for 30 days: the list begins on {since}" in text
    assert "are kept for" not in browser.get(f"/p/default/{path}/?range=30d").text
