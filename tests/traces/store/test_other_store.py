"""The product works with a store that is not in its database."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import cast

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from pytest_django import Settings

from catalyst.core.models import Project
from signals.models import Label
from signals.targets.scopes import targets_of
from tests.factories import make_agent, make_signal, make_trace, settle_all
from tests.traces.sent import sent_span
from tests.traces.store.memory import MemorySpanStore
from traces import demo, retention
from traces.filters import Filter
from traces.ingest import pipeline
from traces.models import Payload, Span, Trace
from traces.span_store import span_store

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def memory(settings: Settings) -> Iterator[MemorySpanStore]:
    """The instance keeps its spans in memory."""
    settings.SPAN_STORE = "tests.traces.store.memory.MemorySpanStore"
    store = cast(MemorySpanStore, span_store())
    yield store
    store.stored.clear()
    assert not Span.objects.exists()
    assert not Payload.objects.exists()


def make_traffic(project: Project, now: datetime) -> None:
    """Two traces, of which only the first has the attribute tenant=acme."""
    make_trace(project, 1, now=now, session="chat 1")
    make_trace(project, 2, now=now, session="chat 2")
    child = sent_span(99, 17, start=now, openinference__span__kind="LLM", tenant="acme")
    pipeline.store(project.pk, [child], now)


def test_lists_and_pages_show_its_spans(
    browser: Client, project: Project, now: datetime, memory: MemorySpanStore
) -> None:
    make_traffic(project, now)
    window = f"from={now - HOUR:%Y-%m-%dT%H:%M}&to={now + HOUR:%Y-%m-%dT%H:%M}"
    for path, keys in (("traces", [f"{1:032x}", f"{2:032x}"]), ("sessions", ["chat 1", "chat 2"])):
        text = browser.get(f"/p/default/{path}/?{window}&attribute=tenant=acme").text
        assert [key in text for key in keys] == [True, False]
    page = browser.get(f"/p/default/traces/{1:032x}/")
    assert page.status_code == 200
    assert "Where is my parcel?" in page.text
    assert memory.stored


@pytest.mark.parametrize("scope", ["span", "trace", "session"])
@pytest.mark.usefixtures("memory")
def test_signals_evaluate_its_spans(project: Project, now: datetime, scope: str) -> None:
    agent, wanted = make_agent(project), Filter.parse({"attributes": {"tenant": "acme"}})
    make_signal(agent, scope=scope, active_since=now, traffic_filter=wanted)
    make_traffic(project, now)
    traffic = targets_of(scope)(agent, now - HOUR, now + HOUR, wanted)
    keys = [target.target_key for chunk in traffic.chunks() for target in chunk.targets]
    assert (len(keys), traffic.count()) == (1, 1)
    assert [target.target_key for target in traffic.among(keys)] == keys
    assert settle_all(now) == 1
    assert Label.objects.get().target_key == keys[0]


def test_what_expires_or_is_erased_leaves_it(project: Project, now: datetime, memory: MemorySpanStore) -> None:
    make_traffic(project, now - 40 * timedelta(days=1))
    make_trace(project, 3, now=now)
    retention.delete_expired_traces(now)
    assert {key[1].int for key in memory.stored} == {3}
    demo.erase(project.pk)
    assert not memory.stored
    assert not Trace.objects.exists()


def test_a_store_that_does_not_exist_is_named(settings: Settings) -> None:
    settings.SPAN_STORE = "traces.store.postgres.NoSuchStore"
    with pytest.raises(ImproperlyConfigured, match=r"CATALYST_SPAN_STORE is 'traces\.store\.postgres\.NoSuchStore'"):
        span_store()
