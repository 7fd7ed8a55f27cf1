"""A hundred recorded conversations through ingest, settling and judging, against what is known of them."""

import csv
import gzip
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from catalyst.agents.models import Agent
from catalyst.core.models import Project
from signals import actions
from signals.actions import Question
from signals.judge import run
from signals.models import Label, Signal, Verdict
from signals.templates import TEMPLATES
from tests.factories import settle_all
from tests.judge_server import Answer, Asked, JudgeServer, says
from traces import ingest
from traces.otlp import Decoded, decode_json

OUTCOMES = {"1": "completed", "0": "failed"}


@pytest.fixture
def truth(shared: Path) -> dict[str, str]:
    """What became of each session."""
    with (shared / "data" / "airline.truth.csv").open() as lines:
        return {row["session_id"]: OUTCOMES[row["reward"]] for row in csv.DictReader(lines)}


@pytest.fixture
def recording(shared: Path) -> list[Decoded]:
    with gzip.open(shared / "data" / "airline.otlp.jsonl.gz") as lines:
        return [decode_json(line) for line in lines]


def longest_words(recording: list[Decoded]) -> dict[str, str]:
    """The longest thing the user says in each session, by session: enough to recognise it in a prompt."""
    said: dict[str, str] = defaultdict(str)
    for decoded in recording:
        for span in decoded.spans:
            if span.parent_id is None:
                session = span.attributes["session.id"]
                line = max(span.attributes["input.value"].splitlines(), key=len)
                said[session] = max(said[session], line, key=len)
    assert len(set(said.values())) == len(said)
    return said


def knowing(truth: Mapping[str, str], said: Mapping[str, str]) -> Callable[[Asked], Answer]:
    """A judge that recognises the conversation and tells the truth."""

    def answer(asked: Asked) -> Answer:
        (session,) = (session for session, words in said.items() if words in asked.recording)
        return says(truth[session], f"It is {session}.")

    return answer


def store(project: Project, recording: list[Decoded], now: datetime) -> Agent:
    for first in range(0, len(recording), 20):
        ingest.store(project.pk, [span for decoded in recording[first : first + 20] for span in decoded.spans], now)
    return Agent.objects.get(project=project)


def task_outcome(agent: Agent, rate: int, now: datetime) -> Signal:
    template = TEMPLATES["task_outcome"]
    question = Question(template.type, template.prompt, rate, template.labels, template.sentiments)
    signal = actions.create_signal(
        agent, name=template.name, scope="session", question=question, template="task_outcome"
    )
    actions.activate(signal, now)
    return signal


def labelled(signal: Signal) -> dict[str, str]:
    return dict(Label.objects.filter(signal=signal).values_list("session_key", "value"))


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_it_labels_every_conversation_with_the_truth(
    project: Project, recording: list[Decoded], truth: dict[str, str], judge: JudgeServer, now: datetime
) -> None:
    judge.script = knowing(truth, longest_words(recording))
    agent = Agent.objects.create(
        project=project, identity="airline-support", source="agent_id", name="Airline support", first_seen_at=now
    )
    signal = task_outcome(agent, 100, now)
    store(project, recording, now)
    settle_all(now + timedelta(days=1))
    assert run(lambda: now + timedelta(days=2)) == 100
    assert labelled(signal) == truth
    assert Verdict.objects.filter(label__signal=signal).count() == 100


@pytest.mark.slow
def test_it_samples_nested_and_coinciding_sets(
    project: Project, other_project: Project, recording: list[Decoded], now: datetime
) -> None:
    agents = [store(each, recording, now) for each in (project, other_project)]
    rates = {25: task_outcome(agents[0], 25, now), 50: task_outcome(agents[1], 50, now)}
    twin = task_outcome(agents[0], 25, now)
    settle_all(now + timedelta(days=1))
    quarter, half = labelled(rates[25]).keys(), labelled(rates[50]).keys()
    assert quarter < half
    assert labelled(twin).keys() == quarter
    assert 10 <= len(quarter) <= 40
