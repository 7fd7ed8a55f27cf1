"""Operations on tests of signals."""

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from catalyst.core.operation_context import Context
from catalyst.operations import CAMEL, Effect, Id, Input, NotFound, Scope, operation
from signals import operations
from signals.judging import exchanges
from signals.models import SignalTest, SignalVersion
from signals.operations.inputs import DefinitionInput, SignalInput, WindowInput, signal_of
from signals.operations.signals import DraftInput, changed_definition, draft_definition
from signals.results.rows import load_rows
from signals.runs import signal_tests
from signals.runs.signal_tests import Sample
from signals.serializers import ChatMessageRecord, ExchangeRecord, SignalTestRecord, messages_of
from traces.operations.inputs import agent_of

MAX_WAIT_SECONDS = 300
POLL_SECONDS = 0.5

Wait = Annotated[int, Field(ge=0, le=MAX_WAIT_SECONDS)]
WAIT = Field(0, alias="wait", description=f"Seconds to wait for the end of the test, up to {MAX_WAIT_SECONDS}.")


class SampleInput(WindowInput):
    """Which targets a test takes: those of an earlier test, else those named, else the newest of the window."""

    sample_size: Annotated[int, Field(ge=1, le=signal_tests.MAX_TARGETS)] = Field(
        20, description=f"Number of targets, up to {signal_tests.MAX_TARGETS}."
    )
    targets: Annotated[list[str], Field(max_length=signal_tests.MAX_TARGETS)] = Field(
        [], description="Instead of the newest: IDs of traces, of sessions, or of spans as TRACE:SPAN."
    )
    again: Id | None = Field(None, description="Instead of the newest: the targets of this test of yours.")
    wait_seconds: Wait = WAIT


class StartTestInput(SignalInput, DefinitionInput, SampleInput):
    pass


class StartDraftTestInput(DraftInput, SampleInput):
    pass


class TestInput(Input):
    test: Id = Field(description="Test ID.")
    wait_seconds: Wait = WAIT


@operation("signals.test", Scope.WRITE, Effect.WRITES)
def start_test(context: Context, arguments: StartTestInput) -> SignalTestRecord:
    """Judge recent targets by the current version or a changed one. Kept for a day, never as labels."""
    return _start(context, _changed_version(context, arguments), arguments)


@operation("signals.test_draft", Scope.WRITE, Effect.WRITES)
def start_draft_test(context: Context, arguments: StartDraftTestInput) -> SignalTestRecord:
    """Judge recent targets by a signal that is not created yet. Kept for a day, never as labels."""
    return _start(context, _draft_version(context, arguments), arguments)


@operation("signals.test_results", Scope.WRITE, Effect.READS)
def test_results(context: Context, arguments: TestInput) -> SignalTestRecord:
    """Show what a test of yours has found so far."""
    return _wait_for(context, arguments.test, arguments.wait_seconds)


@operation("signals.cancel_test", Scope.WRITE, Effect.WRITES)
def cancel_test(context: Context, arguments: TestInput) -> SignalTestRecord:
    """Make no further judge call for a test. Calls under way end, and are paid for."""
    signal_tests.cancel_test(_find_test(context, arguments.test), context.now)
    return _wait_for(context, arguments.test, arguments.wait_seconds)


class TestExchangeInput(Input):
    test: Id = Field(description="Test ID.")
    item: Id = Field(description="ID of a target of the test: `test_item_id` of its results.")


@operation("signals.test_exchange", Scope.WRITE, Effect.READS)
def show_test_exchange(context: Context, arguments: TestExchangeInput) -> ExchangeRecord:
    """Show what the judge was sent about a target of a test and what it answered, word for word."""
    test = _find_test(context, arguments.test)
    item = test.items.filter(pk=arguments.item, exchange__isnull=False).first()
    if item is None:
        raise NotFound(f"Test {test.pk} has no exchange that is kept for a target {arguments.item}.")
    return ExchangeRecord.of(item.judge, exchanges.decompress(bytes(item.exchange or b"")))


class TargetInput(Input):
    target: str | None = Field(
        None, description="ID of a trace, of a session, or of a span as TRACE:SPAN (default: the newest that matches)."
    )


class PromptInput(SignalInput, DefinitionInput, TargetInput):
    pass


class DraftPromptInput(DraftInput, TargetInput):
    pass


@dataclass(frozen=True, slots=True)
class PromptRecord:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    target_id: str
    model: str | None
    # Why the judge is sent nothing, if there are no messages.
    text: str | None
    messages: list[ChatMessageRecord]


@operation("signals.prompt", Scope.WRITE, Effect.READS)
def show_prompt(context: Context, arguments: PromptInput) -> PromptRecord:
    """Show what the judge of a signal, changed or not, would be sent of one target. Judges nothing."""
    return _prompt(context, _changed_version(context, arguments), arguments)


@operation("signals.prompt_draft", Scope.WRITE, Effect.READS)
def show_draft_prompt(context: Context, arguments: DraftPromptInput) -> PromptRecord:
    """Show what the judge of a signal that is not created yet would be sent of one target. Judges nothing."""
    return _prompt(context, _draft_version(context, arguments), arguments)


def _changed_version(context: Context, arguments: StartTestInput | PromptInput) -> SignalVersion:
    signal = signal_of(context, arguments)
    return operations.draft_version(changed_definition(signal, arguments), signal.agent, signal.scope, signal)


def _draft_version(context: Context, arguments: DraftInput) -> SignalVersion:
    agent = agent_of(context, arguments.agent)
    scope, definition = draft_definition(arguments, agent)
    return operations.draft_version(definition, agent, scope)


def _start(context: Context, version: SignalVersion, arguments: SampleInput) -> SignalTestRecord:
    test = signal_tests.start_test(version, _sample(context, version, arguments), context.now, context.actor)
    return _wait_for(context, test.pk, arguments.wait_seconds)


def _sample(context: Context, version: SignalVersion, arguments: SampleInput) -> Sample:
    if arguments.again is not None:
        return signal_tests.sample_again(version, _find_test(context, arguments.again), context.now)
    if arguments.targets:
        return signal_tests.sample_by_key(version, arguments.targets, context.now)
    end = arguments.end or context.now
    return signal_tests.sample_newest(version, arguments.sample_size, arguments.start or end - signal_tests.WEEK, end)


def _prompt(context: Context, version: SignalVersion, arguments: TargetInput) -> PromptRecord:
    if arguments.target is None:
        start = context.now - timedelta(days=context.project.kept_days + 1)
        sample = signal_tests.sample_newest(version, 1, start, context.now)
    else:
        sample = signal_tests.sample_by_key(version, [arguments.target], context.now)
    if not sample.targets:
        raise NotFound(sample.shortfall or f"The agent has no {version.signal.scope} {arguments.target}.")
    target = sample.targets[0]
    prompt = signal_tests.preview_prompt(version, target, context.now)
    return PromptRecord(target.target_key, prompt.model or None, prompt.text or None, messages_of(prompt.messages))


def _wait_for(context: Context, pk: int, seconds: int) -> SignalTestRecord:
    deadline = time.monotonic() + seconds
    record = _test(context, pk)
    while record.state == SignalTest.State.RUNNING and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        record = _test(context, pk)
    return record


def _find_test(context: Context, pk: int) -> SignalTest:
    try:
        return signal_tests.find_test(context.project, pk, context.actor)
    except SignalTest.DoesNotExist as error:
        raise NotFound(f"There is no test {pk} of yours in this project.") from error


def _test(context: Context, pk: int) -> SignalTestRecord:
    found = signal_tests.results_of(_find_test(context, pk))
    return SignalTestRecord.of(found, load_rows(context.project, found.test.scope, found.ended))
