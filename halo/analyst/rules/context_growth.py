"""Model calls that get more and more input, within a run or over the turns of a session."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, override

from catalyst import formats
from halo.analyst.before import CountsBefore
from halo.analyst.citing import Place
from halo.analyst.failures import TOOL_KINDS
from halo.analyst.material import Candidate, Step, Texts, TraceRun, Window
from halo.analyst.severities import severity_of
from halo.analyst.texts import read, returned, sent
from halo.analyst.touched import Touched
from halo.analyst.wording import counted, share_of_runs
from halo.choices import Category

MIN_RUNS = 3
# The input grows from the first call, or turn, to the largest one, by so much and to at least so many tokens.
MIN_CALLS = 4
GROWTH = 4
MIN_TOKENS = 4_000
# Runs whose results of tools are compared with what comes after them.
MAX_COMPARED_RUNS = 20
MAX_STEPS = 40
# Shorter results are not worth leaving out.
MIN_RESULT_CHARACTERS = 200
WORD = re.compile(r"[^\W_]{5,}")


# Whether a step is a tool, what it got, and what it returned.
type _Said = tuple[bool, str, str]


class _Steps(NamedTuple):
    """A run that grows, with its calls of models and tools in order."""

    run: TraceRun
    steps: tuple[tuple[int, bool], ...]


class ContextGrowth(CountsBefore):
    """Compares the input of the calls of a run, and of the first calls of the turns of a session."""

    def __init__(self) -> None:
        self._within_runs, self._over_turns = Touched(), Touched()
        self._tokens = self._grown_tokens = self._resent_tokens = 0
        self._compared: list[_Steps] = []
        # The session of the last run, the input of its first and last turn, and how many turns there were.
        self._session: int | None = None
        self._first_tokens = self._last_tokens = self._turns = 0

    @override
    def add(self, run: TraceRun, steps: Sequence[Step]) -> None:
        calls = [step for step in steps if step.kind == "LLM" and step.input_tokens]
        self._tokens += run.input_tokens
        if calls:
            self._add_turn(run, calls[0])
            self._add_calls(run, calls, steps)

    def _add_turn(self, run: TraceRun, call: Step) -> None:
        tokens = call.input_tokens or 0
        if run.session_id is None or run.session_id != self._session:
            self._session, self._first_tokens, self._last_tokens, self._turns = run.session_id, tokens, tokens, 0
        self._turns += 1
        # A turn that is far larger than the one before it has another reason.
        is_gradual = tokens < GROWTH * self._last_tokens
        self._last_tokens = tokens
        if self._turns >= MIN_CALLS and is_gradual and tokens >= max(GROWTH * self._first_tokens, MIN_TOKENS):
            self._over_turns.add(run, call.span_id, tokens - self._first_tokens)

    def _add_calls(self, run: TraceRun, calls: Sequence[Step], steps: Sequence[Step]) -> None:
        # Calls of other steps have other prompts.
        same = [call for call in calls if (call.name, call.model) == (calls[-1].name, calls[-1].model)]
        inputs = [call.input_tokens or 0 for call in same]
        largest = max(inputs)
        if len(same) >= MIN_CALLS and largest >= max(GROWTH * inputs[0], MIN_TOKENS):
            grown = sum(inputs) - inputs[0] * len(inputs)
            self._within_runs.add(run, same[inputs.index(largest)].span_id, grown)
            self._grown_tokens += sum(inputs)
            self._resent_tokens += sum(map(min, inputs, inputs[1:]))
            self._remember(run, steps)

    def _remember(self, run: TraceRun, steps: Sequence[Step]) -> None:
        if len(self._compared) < MAX_COMPARED_RUNS:
            relevant = [step for step in steps if step.kind == "LLM" or step.kind in TOOL_KINDS]
            of_run = tuple((step.span_id, step.kind in TOOL_KINDS) for step in relevant[-MAX_STEPS:])
            self._compared.append(_Steps(run, of_run))

    @override
    def candidates(self, window: Window, texts: Texts) -> Sequence[Candidate]:
        found = []
        if len(self._within_runs) >= MIN_RUNS:
            found.append(self._growing_runs(window, texts))
        if len(self._over_turns) >= MIN_RUNS:
            found.append(self._growing_sessions(window))
        return found

    def _growing_runs(self, window: Window, texts: Texts) -> Candidate:
        touched = self._within_runs
        share = touched.total / self._tokens if self._tokens else 0
        resent = formats.percent(self._resent_tokens, self._grown_tokens)
        return Candidate(
            kind="context_growth",
            title=(
                f"The input of model calls grows at least {GROWTH} times over in "
                f"{share_of_runs(len(touched), window.total)}: {resent} of it was sent before in the same run"
            ),
            category=Category.COST,
            severity=severity_of(wasted=share),
            signature="context_growth:run",
            prior_count=len(self.before._within_runs) if self.before else None,
            happens=(
                f"From the first call to the largest one of the same step, the input grows at least {GROWTH} times "
                f"over, to {MIN_TOKENS:,} tokens or more. Each call sends again what the calls before it had sent."
            ),
            fix=(
                "Cut results of tools to what the next step needs, drop them or replace them by a summary once "
                "they are used, and summarize the history from some length on. Keep the beginning unchanged, so "
                "that it is cached."
            ),
            evidence=self._evidence(touched, share, texts),
            traces=touched.traces,
            harm=share,
            tokens=int(touched.total),
            citations=touched.citations(),
        )

    def _evidence(self, touched: Touched, share: float, texts: Texts) -> str:
        said = (
            f"Beyond the input of the first call, these runs sent {formats.short(touched.total)} tokens, "
            f"{formats.percent(share, 1)} of the input of all runs."
        )
        unused, results = _unused_results(self._compared, texts)
        if not unused:
            return said
        return (
            f"{said} In {counted(len(self._compared), 'run')} that were read, {unused:,} of {results:,} longer "
            "results of tools were carried along although no word that only they have came up again."
        )

    def _growing_sessions(self, window: Window) -> Candidate:
        touched = self._over_turns
        share = touched.total / self._tokens if self._tokens else 0
        sessions = len({run.session_id for run in touched.runs})
        return Candidate(
            kind="context_growth",
            title=(
                f"The input of {share_of_runs(len(touched), window.total)} is at least {GROWTH} times that of the "
                f"first turn of their session"
            ),
            category=Category.COST,
            severity=severity_of(wasted=share),
            signature="context_growth:session",
            prior_count=len(self.before._over_turns) if self.before else None,
            happens=(
                f"In {counted(sessions, 'session')} the first model call of a later turn gets {GROWTH} times the "
                f"input of the first turn or more, and at least {MIN_TOKENS:,} tokens, because the whole history "
                "is sent again."
            ),
            fix=(
                "Summarize older turns from some length on, and leave results of tools of earlier turns out. Keep "
                "the beginning unchanged, so that it is cached."
            ),
            evidence=(
                f"The first calls of these turns sent {formats.short(touched.total)} tokens more than those of the "
                f"first turns, {formats.percent(share, 1)} of the input of all runs."
            ),
            traces=touched.traces,
            harm=share,
            tokens=int(touched.total),
            citations=touched.citations(),
        )


def _unused_results(runs: Sequence[_Steps], texts: Texts) -> tuple[int, int]:
    """How many longer results of tools leave no trace in later answers and arguments, and how many there are."""
    are_used = [is_used for each in runs for is_used in _results(_said(each, texts))]
    return are_used.count(False), len(are_used)


def _said(each: _Steps, texts: Texts) -> list[_Said]:
    """What the steps of a run got and returned. What a model gets is left out: it repeats what was said before."""
    run, steps = each
    payloads = {place.span_id: payload for place, payload in read(texts, [Place(run, span) for span, _ in steps])}
    return [
        (is_tool, sent(payload) if is_tool else "", returned(payload))
        for span_id, is_tool in steps
        if (payload := payloads.get(span_id))
    ]


def _results(said: Sequence[_Said]) -> Iterator[bool]:
    """Of each longer result before the last step: whether a word that is new in it comes up again."""
    known: set[str] = set()
    for number, (is_tool, arguments, result) in enumerate(said[:-1]):
        words = set(WORD.findall(result))
        if is_tool and len(result) >= MIN_RESULT_CHARACTERS and (new := words - known - set(WORD.findall(arguments))):
            later = " ".join(
                f"{asked} {answer if not is_result else ''}" for is_result, asked, answer in said[number + 1 :]
            )
            yield not new.isdisjoint(WORD.findall(later))
        known |= words
