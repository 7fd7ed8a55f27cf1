"""A hundred recorded conversations, judged by a scripted judge that knows the truth."""

import csv
import re
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from itertools import batched
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone

from catalyst.core.models import Project, User
from signals.definitions.templates import TEMPLATES
from signals.judging import claims
from signals.judging import worker as judging
from signals.models import Label, Verdict
from tests.factories import LATER, make_agent, make_signal, settle_all
from tests.judge_server import Answer, Asked, JudgeServer, says
from tests.page import Page
from tests.traces.recorded import recording
from traces.ingest import pipeline

pytestmark = pytest.mark.slow

OUTCOME = TEMPLATES["task_outcome"]


def test_it_labels_every_session_right_though_a_worker_dies(
    project: Project, judge: JudgeServer, shared: Path, client_as: Callable[[User], Client], viewer: User
) -> None:
    with (shared / "data" / "airline.truth.csv").open() as rows:
        truth = {row["session_id"]: "completed" if row["reward"] == "1" else "failed" for row in csv.DictReader(rows)}

    def knows(asked: Asked) -> Answer:
        found = re.search(r"^\[session id\]\n\| (\S+)$", asked.recording, re.MULTILINE)
        assert found
        return says(truth[found[1]], f"The file says so of {found[1]}.")

    judge.script = knows
    now = timezone.now()
    spans = recording(shared / "data" / "airline.otlp.jsonl.gz")
    agent = make_agent(project, "airline-support")
    signal = make_signal(
        agent, scope=OUTCOME.scope, prompt=OUTCOME.prompt, labels=OUTCOME.labels, active_since=now - timedelta(hours=1)
    )
    for some in batched(spans, 500, strict=False):
        pipeline.store(project.pk, some, now)
    assert settle_all(now) == 100
    labels = Label.objects.filter(signal=signal)

    settled = now + LATER
    assert len(claims.claim(30, judging.LEASE, settled)) == 30
    assert judging.run(lambda: settled, until=lambda: labels.filter(status="done").exists()) > 0
    assert judging.run(lambda: settled + judging.LEASE + timedelta(seconds=1)) > 0

    assert dict(labels.filter(status="done").values_list("session_key", "value")) == truth
    assert Verdict.objects.count() == 100
    confusion = Counter((truth[key], value) for key, value in labels.values_list("session_key", "value"))
    right = Counter(truth.values())
    assert confusion == {(outcome, outcome): count for outcome, count in right.items()}
    assert confusion.total() == 100
    browser = client_as(viewer)
    for label in labels:
        page = Page(browser.get(f"/p/default/signals/{signal.pk}/labels/{label.pk}/").text)
        (row,) = page.table("Judge calls for this label, newest first").rows
        assert row["Label"] == f"{truth[label.session_key]} current"
        assert row["Reason"] == f"The file says so of {label.session_key}."
