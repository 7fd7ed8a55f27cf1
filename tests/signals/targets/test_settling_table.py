"""When a target is judged and how much of it the judge is shown, as a table of what happens to it.

Times are seconds. Spans are received at their time and end at it, unless the sender's clock is `ahead` of ours.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection

from catalyst.core.models import Project
from signals import operations
from signals.definitions.definition import Definition
from signals.definitions.templates import TEMPLATES
from signals.judging import calls, claims
from signals.judging.worker import LEASE, finish
from signals.models import Label, Signal, Verdict
from signals.targets import settling
from signals.targets.scopes import load_inputs
from tests.factories import make_agent, make_signal
from tests.traces.sent import sent_span
from traces.ingest import pipeline
from traces.models import Unsettled
from traces.otlp import DecodedSpan

pytestmark = pytest.mark.slow

TEMPLATE = TEMPLATES["nsfw"]
HOUR = 3600
ACTIVE = (-60, "activate")


@dataclass(frozen=True)
class Case:
    """What happens when, and what is expected: at which second a judge read how many spans.

    Spans are `root`, `call` and `late`, of one trace; a number in front says of which turn of the session.
    `takes`: how long a judge thinks. `value`: whether the label has one in the end.
    """

    name: str
    happens: Sequence[tuple[int, str]]
    judged: Sequence[tuple[int, int]]
    scope: str = "trace"
    takes: int = 0
    ahead: int = 0
    value: bool = True


CASES = [
    Case("all at once", [ACTIVE, (0, "root, call")], [(10, 2)]),
    Case("child before root", [ACTIVE, (0, "call"), (4, "root")], [(14, 2)]),
    Case("late root", [ACTIVE, (0, "call"), (200, "root")], [(210, 2)]),
    Case("no root", [ACTIVE, (0, "call")], [(300, 1)]),
    Case("no root, but more spans", [ACTIVE, (0, "call"), (200, "late")], [(500, 2)]),
    Case("root after it settled without", [ACTIVE, (0, "call"), (400, "root")], [(300, 1), (410, 2)]),
    Case("root that never ends", [ACTIVE, (0, "open root, call")], [(300, 2)]),
    Case("root that ends late", [ACTIVE, (0, "open root, call"), (100, "root")], [(110, 2)]),
    Case("late span before it settled", [ACTIVE, (0, "root, call"), (9, "late")], [(19, 3)]),
    Case("late span while judged", [ACTIVE, (0, "root, call"), (12, "late")], [(10, 2), (22, 3)], takes=5),
    Case("late span settles while judged", [ACTIVE, (0, "root, call"), (12, "late")], [(10, 2), (30, 3)], takes=20),
    Case("late span after judging", [ACTIVE, (0, "root, call"), (60, "late")], [(10, 2), (70, 3)]),
    Case("the same span again", [ACTIVE, (0, "root, call"), (0, "root, call")], [(10, 2)]),
    Case("sender's clock an hour ahead", [ACTIVE, (0, "root, call")], [(10, 2)], ahead=HOUR),
    Case("sender's clock an hour behind", [ACTIVE, (0, "root, call")], [(0, 2)], ahead=-HOUR),
    Case("behind, in two requests", [ACTIVE, (0, "root"), (3, "call")], [(0, 1), (3, 2)], ahead=-HOUR),
    Case("two clocks, one behind", [ACTIVE, (0, "root, behind call")], [(10, 2)]),
    Case("two clocks, one ahead", [ACTIVE, (0, "root, ahead call")], [(10, 2)]),
    Case("session", [ACTIVE, (0, "1 root, 1 call")], [(1800, 2)], scope="session"),
    Case("session goes on", [ACTIVE, (0, "1 root"), (1700, "2 root")], [(3500, 2)], scope="session"),
    Case("session resumes", [ACTIVE, (0, "1 root"), (5000, "2 root")], [(1800, 1), (6800, 2)], scope="session"),
    Case(
        "session resumes while judged",
        [ACTIVE, (0, "1 root"), (1802, "2 root")],
        [(1800, 1), (3602, 2)],
        scope="session",
        takes=5,
    ),
    Case("span of a known agent", [ACTIVE, (0, "root, call")], [(0, 1)], scope="span"),
    Case("span before the agent is known", [ACTIVE, (0, "nameless call"), (7, "root")], [(7, 1)], scope="span"),
    Case("activated before it settled", [(0, "root, call"), (5, "activate")], [], value=False),
    Case("activated between its spans", [(0, "root, call"), (5, "activate"), (8, "late")], [(18, 3)]),
    Case("activated after it settled", [(0, "root, call"), (50, "activate"), (60, "late")], [(70, 3)]),
    Case("activated twice", [ACTIVE, (0, "root, call"), (5, "activate")], [(10, 2)]),
    Case("disabled before it settled", [ACTIVE, (0, "root, call"), (5, "disable")], [], value=False),
    Case("activated again before", [ACTIVE, (0, "root"), (5, "disable"), (6, "activate")], [], value=False),
    Case(
        "activated again, then a late span",
        [ACTIVE, (0, "root, call"), (5, "disable"), (6, "activate"), (8, "late")],
        [(18, 3)],
    ),
    Case("disabled while judged", [ACTIVE, (0, "root, call"), (12, "disable")], [(10, 2)], takes=5),
    Case(
        "disabled and activated while judged",
        [ACTIVE, (0, "root, call"), (12, "disable"), (13, "activate"), (14, "late")],
        [(10, 2), (24, 3)],
        takes=5,
    ),
    Case("disabled after judging", [ACTIVE, (0, "root, call"), (40, "disable"), (60, "late")], [(10, 2)]),
    Case("edited before it settled", [ACTIVE, (0, "root, call"), (5, "edit")], [(10, 2)]),
    Case("edited after judging", [ACTIVE, (0, "root, call"), (40, "edit")], [(10, 2)]),
    Case("edited, then a late span", [ACTIVE, (0, "root, call"), (40, "edit"), (60, "late")], [(10, 2), (70, 3)]),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_judges_what_has_settled(case: Case, project: Project, now: datetime) -> None:
    assert Story(case, project, now).play() == list(case.judged)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_come_to_the_same(now: datetime) -> None:
    with ThreadPoolExecutor(2) as workers:
        for number, case in enumerate(CASES[::2]):
            project = Project.objects.create(name=case.name, slug=f"case-{number}")
            story = Story(case, project, now, workers)
            assert story.play() == list(case.judged), case.name
        story.together(leave)


def leave() -> None:
    """Close this thread's connection."""
    connection.close()


class Story:
    """One case, played on a clock of its own. A worker settles what is due, and claims and judges what waits."""

    def __init__(self, case: Case, project: Project, start: datetime, workers: Executor | None = None) -> None:
        self.case, self.project, self.start, self.workers = case, project, start, workers
        self.signal = make_signal(make_agent(project), scope=case.scope, prompt=TEMPLATE.prompt)
        self.judged: list[tuple[int, int]] = []
        self.thinking: list[tuple[int, calls.CallResult]] = []
        self.starts: dict[tuple[int, int], datetime] = {}

    def play(self) -> list[tuple[int, int]]:
        """What was judged: at which second, how many spans."""
        for second, what in self.case.happens:
            self.work_until(second)
            self.happen(second, what)
        self.work_until(5 * HOUR)
        labels = Label.objects.filter(project=self.project)
        assert labels.exclude(status="done").count() == 0
        assert labels.exclude(value="").exists() == self.case.value
        assert Verdict.objects.filter(label__in=labels).exclude(value="").count() == len(self.judged)
        return self.judged

    def happen(self, second: int, what: str) -> None:
        at, signal = self.at(second), Signal.objects.get(pk=self.signal.pk)
        if what == "activate":
            operations.activate(signal, at)
        elif what == "disable":
            operations.disable(signal, at)
        elif what == "edit":
            operations.publish_version(signal, Definition(type="binary", prompt=TEMPLATE.prompt, sample_rate=99))
        else:
            pipeline.store(self.project.pk, [self.span(each, at) for each in what.split(", ")], at)

    def span(self, what: str, at: datetime) -> DecodedSpan:
        clock = self.case.ahead + HOUR * (("ahead" in what) - ("behind" in what))
        turn = int(what[0]) if what[0].isdigit() else 1
        own_id, parent = {"root": (1, None), "call": (2, 1), "late": (3, 1)}[what.rpartition(" ")[2]]
        start = self.starts.setdefault((turn, own_id), at - timedelta(seconds=1))
        about: dict[str, Any] = {"openinference__span__kind": "LLM" if own_id == 2 else "CHAIN", "output__value": "Hm."}
        if "nameless" not in what:
            about |= {"agent__name": self.signal.agent.identity, "session__id": "chat"}
        return sent_span(
            own_id,
            parent,
            trace=turn,
            start=start + timedelta(seconds=clock),
            seconds=None if "open" in what else (at - start).total_seconds(),
            **about,
        )

    def work_until(self, second: int) -> None:
        """Do what is due before that second, in its order."""
        while (due := min(self.due(), default=second)) < second:
            self.answer(due)
            self.together(partial(settling.settle, self.at(due)))
            self.claim(due)

    def due(self) -> Iterator[int]:
        targets = Unsettled.objects.values_list("due_at", flat=True)
        yield from (round((due_at - self.start).total_seconds()) for due_at in targets)
        yield from (second for second, _ in self.thinking)

    def claim(self, second: int) -> None:
        claimed: list[Label] = []
        self.together(lambda: claimed.extend(claims.claim(5, LEASE, self.at(second))))
        for label, read in load_inputs(claimed):
            ending = calls.prepare(label, read, self.at(second), {})
            target = read()
            assert isinstance(ending, calls.CallResult)
            assert target is not None
            self.judged.append((second, len(target.spans)))
            self.thinking.append((second + self.case.takes, ending))
        self.answer(second)

    def answer(self, second: int) -> None:
        """Write what judges have found by now, and take up what waited for it."""
        ended = [ending for at, ending in self.thinking if at <= second]
        self.thinking = [(at, ending) for at, ending in self.thinking if at > second]
        if ended:
            finish(ended, self.at(second))
            self.claim(second)

    def at(self, second: int) -> datetime:
        return self.start + timedelta(seconds=second)

    def together(self, work: Callable[[], object]) -> None:
        """Have two workers do the same at once, where there are two."""
        if self.workers is None:
            work()
            return
        both = threading.Barrier(2)

        def meet() -> None:
            both.wait(10)
            work()

        for done in [self.workers.submit(meet) for _ in range(2)]:
            done.result(20)
