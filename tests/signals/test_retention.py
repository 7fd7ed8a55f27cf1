"""Labels and verdicts outlive their traces, but not for ever."""

from datetime import datetime, timedelta

import pytest
from pytest_django import Settings

from catalyst.core.models import Project
from signals import retention
from signals.definitions.templates import NSFW
from signals.judging import worker
from signals.models import Label, Unsampled, Verdict
from tests.factories import make_agent, make_labels, make_signal, settle_all, turn
from traces.ingest import pipeline
from traces.models import Trace
from traces.retention import delete_expired_traces

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def test_it_deletes_old_labels_with_their_verdicts(
    project: Project, now: datetime, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal = make_signal(make_agent(project), prompt=NSFW.prompt, active_since=now - 500 * DAY)
    make_labels(signal, project, 5, now=now)
    worker.run(clock=lambda: now + DAY)
    assert Verdict.objects.count() == 5
    delete_expired_traces(now + 100 * DAY)
    assert not Trace.objects.exists()
    assert retention.delete_expired_labels(now + 400 * DAY) == 0
    assert Label.objects.labelled().count() == 5
    monkeypatch.setattr(retention, "LABELS", 2)
    assert retention.delete_expired_labels(now + 402 * DAY, batches=2) == 4
    assert list(Verdict.objects.values_list("label_id", flat=True)) == [Label.objects.get().pk]
    settings.KEEP_LABELS_DAYS = 500
    assert retention.delete_expired_labels(now + 402 * DAY) == 0


def test_it_deletes_targets_that_were_not_sampled_of_a_clock_far_ahead(project: Project, now: datetime) -> None:
    make_signal(make_agent(project), sample_rate=0, active_since=now)
    pipeline.store(project.pk, turn(1, start=now.replace(year=2500)), now)
    pipeline.store(project.pk, turn(2, start=now), now)
    settle_all(now)
    assert Unsampled.objects.count() == 2
    retention.delete_expired_labels(now)
    assert Unsampled.objects.get().hour.year == now.year
