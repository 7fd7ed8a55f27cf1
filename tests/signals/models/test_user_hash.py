"""Labels keep a keyed hash of the user of their target, so that they are found when its spans are gone."""

import logging
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from pytest_django import Settings

from catalyst.core import user_hashes
from catalyst.core.models import Project, UserHashKey
from catalyst.core.user_hashes import user_hash
from signals.models import Label
from signals.runs import backfill
from tests.factories import make_agent, make_signal, make_trace, settle_all
from traces.models import Session, Span, Trace

pytestmark = pytest.mark.django_db
USER = "ada@example.org"


@pytest.fixture(autouse=True)
def _no_known_keys() -> None:
    user_hashes._known.clear()


@pytest.mark.parametrize("scope", ["span", "trace", "session"])
def test_labels_of_a_user_are_found_without_spans(project: Project, now: datetime, scope: str) -> None:
    signal = make_signal(make_agent(project), scope=scope, active_since=now)
    make_trace(project, 1, now=now, session="a", user=USER)
    make_trace(project, 2, now=now, session="b", user="bob")
    make_trace(project, 3, now=now, session="c")
    settle_all(now)
    for model in (Span, Trace, Session):
        model._default_manager.all().delete()
    found = Label.objects.of_user(project, USER)
    assert found.count() * 3 == signal.label_set.count() > 0
    assert {label.trace_id or label.session_key for label in found} <= {UUID(int=1), "a"}
    assert not Label.objects.of_user(project, "").exists()


def test_runs_keep_it_too(project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project))
    make_trace(project, 1, now=now, user=USER)
    backfill.start(signal, start=now - timedelta(days=1), end=now, sample_rate=100, now=now)
    while backfill.step(now):
        pass
    assert Label.objects.of_user(project, USER).count() == 1


def test_a_later_user_is_taken_and_none_is_lost(project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), active_since=now)
    make_trace(project, 1, now=now)
    settle_all(now)
    assert signal.label_set.get().user_hash is None
    Trace.objects.update(user=USER, revision=9)
    backfill.start(signal, start=now - timedelta(days=1), end=now, sample_rate=100, now=now)
    while backfill.step(now):
        pass
    assert signal.label_set.get().user_hash == user_hash(project.pk, USER)


def test_projects_have_different_hashes_and_ids_do_not_show(project: Project, other_project: Project) -> None:
    hashes = [user_hash(each.pk, USER) for each in (project, other_project, project)]
    assert hashes[0] == hashes[2] != hashes[1]
    assert UserHashKey.objects.count() == 2


def test_a_key_that_was_rolled_back_is_not_kept(project: Project) -> None:
    first = user_hash(project.pk, USER)
    UserHashKey.objects.all().delete()
    assert user_hash(project.pk, USER) != first
    stored = user_hash(project.pk, USER)
    assert user_hash(project.pk, USER) == stored


def test_an_unreadable_key_stops_no_label(
    project: Project, now: datetime, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    user_hash(project.pk, USER)
    settings.SECRET_KEY = "another key, and the old one is lost"
    signal = make_signal(make_agent(project), active_since=now)
    make_trace(project, 1, now=now, user=USER)
    with caplog.at_level(logging.ERROR):
        settle_all(now)
    assert signal.label_set.get().user_hash is None
    assert "CATALYST_OLD_SECRET_KEYS" in caplog.text
    assert USER not in caplog.text
