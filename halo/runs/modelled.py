"""A run with a model: the engine reads an export of the traces, and asks the model through the relay."""

import time
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.db import transaction

from catalyst.llm import LLMError
from catalyst.llms import budgets
from catalyst.llms.amounts import Account, Calls
from catalyst.llms.endpoints import ConnectedModel
from catalyst.llms.models import Budget as DailyBudget
from halo import engine_environment, export, sample
from halo.analyst.reading import Interrupted
from halo.analyst.report import analyze
from halo.choices import Origin, RunStatus
from halo.drafts import FindingDraft
from halo.engine_environment import EngineUnavailable, State
from halo.engine_process import Answer, Delta, Ending, EngineConfig, Event, Failed, Incomplete, Step
from halo.export import DiskFull
from halo.models import Issue
from halo.relay import Api, Budget, Meter
from halo.report import citations, parsing
from halo.runs import facts, folders, follow_ups, storing, words
from halo.runs.claims import Claim, Clock, Lost, Watch
from halo.runs.engine_thread import EngineThread

TRACES = "traces.jsonl"
POLL_SECONDS = 0.5
# The relay holds the time limit. This is for an engine that does not notice.
GRACE_SECONDS = 4
# A fresh instance installs the engine while people already ask for reports.
INSTALL_SECONDS = 600
MAX_PARALLEL = 4
MAX_KEPT_CHARACTERS = 200_000
THINKING = ("gpt-5", "o1", "o3", "o4")


class Ended(Exception):
    """The run ends here, with a status and a sentence for people."""

    def __init__(self, status: RunStatus, error: str) -> None:
        super().__init__(error)
        self.status = status


def work_on(claim: Claim, watch: Watch, clock: Clock) -> None:
    """Bring a run to its end. Raises Lost."""
    try:
        with folders.folder_of(claim.run.pk) as folder:
            _Work(claim, watch, folder, clock).do()
    except OSError as error:
        _end(claim, RunStatus.FAILED, f"The folder {folders.parent()} can't be used: {error.strerror}.", clock)
    except Ended as ended:
        _end(claim, ended.status, str(ended), clock)
    except (Lost, Interrupted):
        claim.keep(claim.run.engine_text)
        raise


def _end(claim: Claim, status: RunStatus, error: str, clock: Clock) -> None:
    """End the run with what the model had written, if anything."""
    text = claim.run.engine_text
    claim.end(status, clock(), error=error, text=text, engine_text="", is_partial=bool(text))


class _Work:
    def __init__(self, claim: Claim, watch: Watch, folder: Path, clock: Clock) -> None:
        self._claim, self._lease, self._folder, self._clock = claim, watch, folder, clock
        self._run = claim.run
        self._model = ConnectedModel(self._run.model_name, self._run.connection)
        self._facts: Mapping[str, FindingDraft] = {}
        self._issues: Mapping[str, Issue] = {}
        self._context = ""
        self._messages: tuple[Mapping[str, str], ...] = ()
        self._charged = Decimal(0)
        self._talk = _Talk()

    def do(self) -> None:
        python, budget = self._python(), self._budget()
        self._prepare()
        self._claim.update(self._clock(), status=RunStatus.STARTING)
        with EngineThread(self._model, budget, python, self._folder, self._config) as engine:
            self._watch(engine)
            self._store_progress(engine, [])
            self._conclude(engine)

    def _python(self) -> Path:
        """The Python of the engine, once that is installed."""
        if engine_environment.status().state == State.PREPARING:
            self._claim.update(self._clock(), status=RunStatus.QUEUED)
            self._claim.tell(self._clock(), words.INSTALLING)
        deadline = time.monotonic() + INSTALL_SECONDS
        while engine_environment.status().state == State.PREPARING and time.monotonic() < deadline:
            self._claim.update(self._clock())
            time.sleep(POLL_SECONDS)
        try:
            return engine_environment.python_path()
        except EngineUnavailable as error:
            raise Ended(RunStatus.FAILED, str(error)) from error

    def _budget(self) -> Budget:
        """The limits of the run, and what the project has left today."""
        run, now = self._run, self._clock()
        dollars = run.budget_usd
        daily = DailyBudget.objects.of(Account(run.project_id)).first()
        if daily is not None and (left := daily.remaining(now).usd) is not None:
            if left <= 0:
                text = f"The project has used up its daily limit of {daily.cap.text}. It is counted anew at 00:00 UTC."
                raise Ended(RunStatus.FAILED, text)
            dollars = left if dollars is None else min(dollars, left)
        return Budget(tokens=run.budget_tokens, dollars=dollars, minutes=run.budget_minutes)

    def _prepare(self) -> None:
        """Choose the traces, let the offline analyst count, and write the file."""
        run = self._run
        chosen = sample.choose(run)
        if not chosen.extents:
            text = f"Every trace has more than {run.span_limit:,} spans, the limit of this run. Raise the limit."
            raise Ended(RunStatus.FAILED, text)
        self._claim.tell(self._clock(), words.reading(len(chosen.extents), run.trace_count or 0))
        self._facts = facts.facts_of(analyze(run, self._clock(), self._lease.is_lost))
        self._issues = facts.issues_of(run)
        self._context = facts.context_text(run, chosen, self._facts, self._issues)
        self._messages = follow_ups.messages_of(run)
        try:
            exported = export.write_file(run.project, chosen.extents, self._folder / TRACES)
        except DiskFull as error:
            raise Ended(RunStatus.FAILED, str(error)) from error
        notes = [*run.notes, *words.sample(run, exported, chosen)]
        counts = {"read_trace_count": exported.traces, "read_span_count": exported.spans}
        self._claim.update(self._clock(), status=RunStatus.QUEUED, notes=notes, **counts)
        self._claim.tell(self._clock(), words.exported(exported))

    def _config(self, base_url: str, token: str, api: Api) -> EngineConfig:
        run = self._run
        return EngineConfig(
            base_url=base_url,
            api_key=token,
            model=run.model_name,
            api=api.value,
            messages=self._messages,
            trace_path=self._folder / TRACES,
            dataset_context=self._context,
            max_depth=run.max_depth,
            max_turns=run.max_turns,
            max_parallel=MAX_PARALLEL,
            reasoning_effort=run.reasoning_effort or _usual_effort(run.model_name),
        )

    def _watch(self, engine: EngineThread) -> None:
        """Write down what happens, until it is over. Raises Lost."""
        deadline = time.monotonic() + 60 * self._run.budget_minutes + GRACE_SECONDS
        while not engine.is_over:
            events = engine.news(POLL_SECONDS)
            self._store_progress(engine, events)
            if time.monotonic() > deadline:
                raise Ended(RunStatus.TIMED_OUT, words.out_of_time(self._run))

    def _store_progress(self, engine: EngineThread, events: list[Event]) -> None:
        events = [*events, *engine.news(0)]
        for event in events:
            self._talk.take(event)
        told = [told for event in events if (told := words.of_event(event))]
        columns: dict[str, Any] = _columns(engine.meter) | {"turn": min(self._talk.turn, self._run.max_turns)}
        if self._run.status == RunStatus.STARTING and events:
            columns["status"] = RunStatus.RUNNING
        if self._talk.text != self._run.engine_text:
            columns["engine_text"] = self._talk.text
        with transaction.atomic():
            self._claim.update(self._clock(), **columns)
            if told:
                self._claim.tell(self._clock(), *told)
            self._charge(engine.meter)

    def _charge(self, meter: Meter) -> None:
        """Charge the project's day with what was spent since the last time, in the transaction that stores it."""
        spent = (meter.cost or Decimal(0)) - self._charged
        if spent > 0:
            budgets.reconcile({Account(self._run.project_id): Calls(0, spent)}, self._clock())
            self._charged += spent

    def _conclude(self, engine: EngineThread) -> None:
        try:
            ending = engine.ending()
        except LLMError as error:
            raise Ended(RunStatus.FAILED, str(error)) from error
        if isinstance(ending, Answer):
            notes = words.early_finish(self._run) if engine.is_finishing else []
            self._store(ending.text, notes)
        elif isinstance(ending, Incomplete) and ending.text.strip():
            self._store(ending.text, [words.NO_FINAL_ANSWER], is_partial=True)
        else:
            self._fail(ending, engine)

    def _fail(self, ending: Ending, engine: EngineThread) -> None:
        if isinstance(ending, Failed) and ending.text.strip():
            self._claim.update(self._clock(), engine_text=ending.text[-MAX_KEPT_CHARACTERS:])
        if engine.exhausted:
            status = RunStatus.TIMED_OUT if "minute" in engine.exhausted else RunStatus.FAILED
            raise Ended(status, words.out_of_budget(engine.exhausted))
        raise Ended(RunStatus.FAILED, words.failure(ending, engine.problem))

    def _store(self, text: str, notes: list[str], *, is_partial: bool = False) -> None:
        run = self._run
        parsed = follow_ups.parsed(text) if run.origin == Origin.FOLLOW_UP else parsing.parse(text)
        cited = citations.check_report(run.project, run.window_start, run.window_end, parsed)
        draft = facts.report_of(parsed, self._facts, self._issues, [*notes, *cited.problems])
        total = run.trace_count or 0
        with transaction.atomic():
            storing.store(self._claim, draft, total, self._clock(), cited, engine_text="", is_partial=is_partial)


def _usual_effort(model: str) -> str | None:
    """Without one, the engine asks models that think for all they have, which costs many times as much."""
    return "medium" if model.startswith(THINKING) else None


def _columns(meter: Meter) -> dict[str, Any]:
    return {
        "call_count": meter.calls,
        "input_tokens": meter.input_tokens,
        "cached_tokens": meter.cached_tokens,
        "output_tokens": meter.output_tokens,
        "cost": meter.cost,
        "is_estimated": meter.is_estimated,
    }


class _Talk:
    """What the analyst itself says: its turns, and the last text."""

    def __init__(self) -> None:
        self.turn = 0
        self.text = ""
        self._is_waiting = True
        self._writing = ""

    def take(self, event: Event) -> None:
        if isinstance(event, Delta) and not event.depth:
            self._say()
            self._writing += event.text
            self._keep(self._writing)
        elif isinstance(event, Step) and not event.depth:
            self._take_step(event)
        elif isinstance(event, Answer):
            self._say()

    def _take_step(self, step: Step) -> None:
        if step.kind == "tool_result":
            self._is_waiting, self._writing = True, ""
            return
        self._say()
        if step.kind == "text":
            self._writing = ""
            # What was written part by part may be longer: a step is cut.
            if not self.text.startswith(step.text.strip()):
                self._keep(step.text)

    def _say(self) -> None:
        # A turn begins with the first that is said after the answers of tools.
        if self._is_waiting:
            self.turn += 1
        self._is_waiting = False

    def _keep(self, text: str) -> None:
        if text.strip():
            self.text = text.strip()[-MAX_KEPT_CHARACTERS:]
