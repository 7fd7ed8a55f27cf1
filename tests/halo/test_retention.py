"""What of reports is deleted, and when."""

from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from pytest_django import Settings

from catalyst.core.models import Project
from halo import retention
from halo.models import Conversation, Finding, Run
from halo.runs import folders, requests
from halo.runs.requests import Definition
from tests.factories import make_agent

pytestmark = pytest.mark.django_db


def ask(project: Project, now: datetime) -> Run:
    window = Definition(window_start=now - timedelta(days=1), window_end=now)
    return requests.create(make_agent(project), window, now)


def finding_of(run: Run, now: datetime) -> Finding:
    about = {"severity": "high", "category": "cost", "trace_count": 2, "created_at": now}
    finding = Finding.objects.create(run=run, project=run.project, agent=run.agent, rank=1, title="It loops", **about)
    for number in (1, 2):
        finding.traces.create(trace_id=UUID(int=number))
    return finding


def test_reports_are_kept_as_long_as_labels(project: Project, now: datetime, settings: Settings) -> None:
    settings.KEEP_LABELS_DAYS = 10
    old, waits = ask(project, now - timedelta(days=12)), ask(project, now - timedelta(days=12))
    recent = ask(project, now - timedelta(days=9))
    requests.cancel(old, now)
    assert retention.delete_expired_reports(now) == 1
    assert set(Run.objects.all()) == {waits, recent}
    assert Conversation.objects.count() == 2


def test_lists_expire_with_the_traces(project: Project, now: datetime, settings: Settings) -> None:
    settings.RETENTION_DAYS = 5
    old, recent = (finding_of(ask(project, now - timedelta(days=age)), now) for age in (7, 3))
    assert retention.delete_expired_lists(now) == 2
    assert (old.traces.count(), recent.traces.count()) == (0, 2)
    old.refresh_from_db()
    assert old.trace_count == 2
    assert not Run.objects.get(pk=old.run_id).lists_traces
    assert retention.delete_expired_lists(now) == 0


def test_folders_of_dead_workers_are_deleted(
    project: Project, now: datetime, settings: Settings, tmp_path: Path
) -> None:
    settings.DATA_FOLDER = tmp_path
    ended, running = ask(project, now), ask(project, now)
    requests.cancel(ended, now)
    for run in (ended, running):
        (folders.parent() / str(run.pk)).mkdir(parents=True)
    retention.delete_leftovers(now)
    assert [path.name for path in folders.parent().iterdir()] == [str(running.pk)]


def test_a_folder_is_private_and_goes(settings: Settings, tmp_path: Path) -> None:
    settings.DATA_FOLDER = tmp_path
    (folders.parent() / "7").mkdir(parents=True)
    (folders.parent() / "7" / "left").touch()
    with folders.folder_of(7) as folder:
        assert list(folder.iterdir()) == []
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()
