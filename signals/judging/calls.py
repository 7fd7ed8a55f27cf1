"""One judge call: model, messages, and the result for the label. Writes no rows."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from catalyst.env import env
from catalyst.llm import ChatMessage, InvalidReply, LLMError, Reply, plain
from catalyst.llms.availability import Outage
from catalyst.llms.endpoints import ConnectedModel, ModelKey
from catalyst.llms.models import ModelConnection
from signals.definitions.templates import Template, template_for
from signals.judging import answers, offline, own_calls, prompt
from signals.judging.answers import InvalidAnswer
from signals.judging.clients import Clients
from signals.judging.exchanges import PromptAndReply
from signals.judging.judges import model_for, unusable
from signals.judging.prompt import Recording
from signals.models import Job, SignalTestItem
from signals.models.label_queue import MAX_OUTAGES
from signals.models.label_states import MAX_ATTEMPTS, Status
from signals.targets.inputs import JudgeInput

CONNECT = "Connect a model: owners do so in Settings, Models. Then choose it for the signal."
NO_CONTENT = "There is nothing to judge: this has no content."
GONE = "The target is no longer stored."
OWN_FAULT = "Something went wrong inside Catalyst; the log of the workers says what."


@dataclass(frozen=True, slots=True)
class JudgeCall:
    """A claimed label with the model and messages of its call.

    `model_answered`: the model has answered other labels since the last try of this one.
    """

    label: Job
    claimed_at: datetime
    revision: int
    model: ConnectedModel
    messages: Sequence[ChatMessage]
    digest: str
    model_answered: bool = False


@dataclass(frozen=True, slots=True)
class CallUsage:
    """Model, tokens and time of a finished call. `model` is the one that answered.

    `answered` is False if the call failed or timed out. `exchange` is None without a model.
    """

    requested_model: str
    model: str
    digest: str
    latency_ms: int
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    answered: bool = True
    exchange: PromptAndReply | None = None
    connection: ModelConnection | None = None

    @property
    def key(self) -> ModelKey:
        return ConnectedModel(self.requested_model, self.connection).key


@dataclass(frozen=True, slots=True)
class CallResult:
    """The result of one try. Status QUEUED requests another try."""

    label: Job
    status: Status
    revision: int
    value: str = ""
    reason: str = ""
    error: str = ""
    usage: CallUsage | None = None
    outage: Outage | None = None


def prepare(
    label: Job, read: Callable[[], JudgeInput | None], now: datetime, answered_at: Mapping[ModelKey, datetime]
) -> JudgeCall | CallResult:
    """Return the call for a claimed label, or its result if it needs none.

    Without a model, rules judge the built-in prompts at once. `answered_at`: when each model last answered.
    """
    version, model = label.version, model_for(label.version)
    template = None if model else template_for(version.prompt, version.labels)
    if not model and template is None:
        return CallResult(label, Status.FAILED, label.wanted_revision, error=CONNECT)
    # With a revoked key it waits, which the call finds out.
    if model.connection and model.connection.deleted_at and (error := unusable(model)):
        return CallResult(label, Status.FAILED, label.wanted_revision, error=error)
    target = read()
    if target is None:
        return CallResult(label, Status.SKIPPED, label.wanted_revision, error=GONE)
    if not target.transcript:
        return CallResult(label, Status.SKIPPED, target.revision, error=NO_CONTENT)
    if why := own_calls.reason_to_skip(target.transcript, label.signal_id, label.agent_id, now):
        return CallResult(label, Status.SKIPPED, target.revision, error=why)
    max_characters = version.judge_view.tokens(env.judge_budget_tokens) * prompt.CHARACTERS_PER_TOKEN
    recording = Recording(label.target_key, prompt.quote_transcript(target.transcript, max_characters), target.left_out)
    digest = prompt.digest(version, label.scope, recording)
    if template is not None:
        return _judged_offline(label, template, target, digest)
    token, hint = own_calls.new_token(label.agent_id), answers.hint(label.error)
    messages = prompt.messages(version, label.scope, recording, token=token, hint=hint)
    last_answer = answered_at.get(model.key)
    answered_since = label.tried_at is not None and last_answer is not None and last_answer > label.tried_at
    return JudgeCall(label, now, target.revision, model, messages, digest, answered_since)


async def ask(call: JudgeCall, clients: Clients, is_up: Callable[[], bool]) -> CallResult:
    """Call the model. `is_up` returns whether the model answered another call during this one."""
    started = time.monotonic()
    try:
        reply = await clients.ask(call.model, call.messages, prompt.answer_schema(call.label.version.labels))
    except LLMError as error:
        return _without_reply(call, error, round((time.monotonic() - started) * 1000), is_up)
    return interpret_reply(call, reply)


def _without_reply(call: JudgeCall, error: LLMError, latency_ms: int, is_up: Callable[[], bool]) -> CallResult:
    model = call.model
    exchange = PromptAndReply(call.messages)
    usage = CallUsage(model.name, model.name, call.digest, latency_ms, exchange=exchange, connection=model.connection)
    # A person waits for a test, and can mend the account.
    if error.permanent or (error.account and isinstance(call.label, SignalTestItem)):
        usage = replace(usage, input_tokens=0, output_tokens=0)
        return CallResult(call.label, Status.FAILED, call.revision, error=str(error), usage=usage)
    if isinstance(error, InvalidReply):
        return _count_failed_try(call.label, call.revision, str(error), usage)
    if error.suspect and (call.model_answered or is_up()):
        return _count_failed_try(call.label, call.revision, str(error), replace(usage, answered=False))
    return _unanswered(call, error, usage)


def _unanswered(call: JudgeCall, error: LLMError, usage: CallUsage) -> CallResult:
    # The try does not count, unless the target may be to blame for very many of them.
    if error.suspect and call.label.outages >= MAX_OUTAGES:
        text, usage = f"{error} ({MAX_OUTAGES + 1} times)", replace(usage, answered=False)
        return CallResult(call.label, Status.FAILED, call.revision, error=text, usage=usage)
    connection_id, name = call.model.key
    outage = Outage(name, str(error), call.claimed_at, error.retry_after, error.suspect, connection_id)
    return CallResult(call.label, Status.QUEUED, call.revision, error=outage.error, outage=outage)


def interpret_reply(call: JudgeCall, reply: Reply) -> CallResult:
    tokens = reply.input_tokens, reply.output_tokens, reply.cached_tokens
    exchange = PromptAndReply(call.messages, reply.text or reply.refusal)
    name, connection = call.model.name, call.model.connection
    usage = CallUsage(
        name, reply.model, call.digest, reply.latency_ms, *tokens, exchange=exchange, connection=connection
    )
    try:
        if reply.refusal:
            raise InvalidAnswer(f"The judge refused to answer: {plain(reply.refusal, 120)}")
        answer = answers.parse(reply.text, call.label.version.labels)
    except InvalidAnswer as error:
        cut_off = " Its answer was cut off." if reply.finish_reason == "length" else ""
        return _count_failed_try(call.label, call.revision, f"{error}{cut_off}", usage)
    return CallResult(call.label, Status.DONE, call.revision, value=answer.value, reason=answer.reason, usage=usage)


def cost(usage: CallUsage, now: datetime) -> Decimal | None:
    """Return the cost of a call in US dollars, or None without a known price."""
    if usage.key == (None, offline.JUDGE):
        return Decimal(0)
    tokens = usage.input_tokens, usage.output_tokens, usage.cached_tokens
    requested = ConnectedModel(usage.requested_model, usage.connection)
    if usage.connection and usage.connection.price_of(usage.requested_model):
        return requested.price(*tokens, now)
    costs = (model.price(*tokens, now) for model in (replace(requested, name=usage.model), requested))
    return next((cost for cost in costs if cost is not None), None)


def internal_error(label: Job) -> CallResult:
    return _count_failed_try(label, label.wanted_revision, OWN_FAULT, None)


def _count_failed_try(label: Job, revision: int, error: str, usage: CallUsage | None) -> CallResult:
    if label.attempts < MAX_ATTEMPTS:
        return CallResult(label, Status.QUEUED, revision, error=error, usage=usage)
    return CallResult(label, Status.FAILED, revision, error=f"{error} ({MAX_ATTEMPTS} tries)", usage=usage)


def _judged_offline(label: Job, template: Template, target: JudgeInput, digest: str) -> CallResult:
    started = time.monotonic()
    verdict = offline.judge(template.key, label.scope, target.transcript, target.spans)
    usage = CallUsage(offline.JUDGE, offline.JUDGE, digest, round((time.monotonic() - started) * 1000), 0, 0, 0)
    return CallResult(label, Status.DONE, target.revision, value=verdict.value, reason=verdict.reason, usage=usage)
