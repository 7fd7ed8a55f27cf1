"""Runs halo-engine once: a configuration on stdin, events on stdout, one JSON object per line.

It imports nothing of Catalyst, because it runs in the environment of halo/engine/pyproject.toml. The configuration is
one line with the fields of `Configuration`. Standard input stays open: its end means that the host is gone, and ends
this process. Events, by their `type`:

    started     engine: its version
    step        sequence, agent_id, parent_agent_id, agent, depth, kind (text, tool_call, tool_result), name, text
    delta       agent_id, depth, text: what the root agent is writing, a few times per second
    answer      text: the report. The last event, exit code 0
    incomplete  reason, text: it ended without a report; text is the last that the root agent wrote. Exit code 2
    failed      reason, error, text: it can't go on; text as before. Exit code 1
"""

import asyncio
import contextlib
import ctypes
import dataclasses
import errno
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from threading import Thread
from typing import IO, Any

MAX_STEP_CHARACTERS = 4_000
MAX_TEXT_CHARACTERS = 40_000
MAX_ANSWER_CHARACTERS = 400_000
MAX_ERROR_CHARACTERS = 1_000
MAX_NAME_CHARACTERS = 200
DELTA_SECONDS = 0.25
DELTA_CHARACTERS = 2_000
EXIT_CODES = {"answer": 0, "failed": 1, "incomplete": 2}
NICENESS = 10
PR_SET_PDEATHSIG = 1

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """`api`: responses or chat_completions. `messages`: objects with role and content.

    `max_failures`: after so many failed calls in a row the run fails. None: as the engine thinks best.
    """

    base_url: str
    api_key: str
    model: str
    api: str
    messages: list[Json]
    trace_path: str
    work_dir: str
    dataset_context: str | None = None
    max_depth: int = 2
    max_turns: int = 20
    max_parallel: int = 4
    reasoning_effort: str | None = None
    temperature: float | None = None
    memory_mb: int | None = None
    max_failures: int | None = None


class Output:
    """Writes events as lines. Nothing else may write to standard output."""

    def __init__(self, stream: IO[str], secret: str) -> None:
        self._stream = stream
        self._secret = secret

    def write(self, kind: str, /, **fields: Any) -> None:
        self._stream.write(json.dumps({"type": kind, **fields}) + "\n")
        self._stream.flush()

    def without_secret(self, text: str) -> str:
        return text.replace(self._secret, "[key]") if self._secret else text


def cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    note = f"\n… [cut: {len(text):,} characters]"
    return text[: limit - len(note)] + note


class Run:
    """Turns what the engine says into events, and remembers what the root agent wrote."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.answer = ""
        self.root_text = ""
        self._unfinished = ""
        self._unsent = ""
        self._root_id = ""
        self._sent_at = 0.0

    @property
    def last_text(self) -> str:
        """The last text of the root agent, even if it is not complete."""
        return self._unfinished.strip() or self.root_text

    def take(self, event: Any) -> None:
        if hasattr(event, "text_delta"):
            if event.depth == 0:
                self._add(event.agent_id, event.text_delta)
        elif hasattr(event, "item"):
            self._step(event)

    def _add(self, agent_id: str, text: str) -> None:
        self._root_id = agent_id
        self._unfinished = (self._unfinished + text)[-MAX_ANSWER_CHARACTERS:]
        self._unsent += text
        if len(self._unsent) >= DELTA_CHARACTERS or time.monotonic() - self._sent_at >= DELTA_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Send the rest of the text that is being written."""
        for start in range(0, len(self._unsent), DELTA_CHARACTERS):
            text = self._unsent[start : start + DELTA_CHARACTERS]
            self.output.write("delta", agent_id=self._root_id, depth=0, text=text)
        self._unsent, self._sent_at = "", time.monotonic()

    def _step(self, event: Any) -> None:
        text = content_of(event.item)
        if event.depth == 0:
            self.flush()
            if event.item.role == "assistant" and text.strip():
                self.root_text, self._unfinished = text, ""
        if event.final:
            self.answer = text
            return
        for kind, name, words in parts_of(event.item, text):
            limit = MAX_TEXT_CHARACTERS if kind == "text" else MAX_STEP_CHARACTERS
            self.output.write(
                "step",
                sequence=event.sequence,
                agent_id=event.agent_id,
                parent_agent_id=event.parent_agent_id,
                agent=event.agent_name,
                depth=event.depth,
                kind=kind,
                name=name[:MAX_NAME_CHARACTERS],
                text=cut(words, limit),
            )


def content_of(item: Any) -> str:
    if isinstance(item.content, list):
        return "\n".join(str(part.get("text", "")) for part in item.content if isinstance(part, dict))
    return item.content or ""


def parts_of(item: Any, text: str) -> Iterator[tuple[str, str, str]]:
    """Kind, name and text of the steps that an item is."""
    for call in item.tool_calls or ():
        yield "tool_call", call.function.name, call.function.arguments
    if item.role == "tool":
        yield "tool_result", item.name or "", text
    elif text:
        yield "text", "", text


BY_STATUS = {401: "unauthorized", 403: "forbidden", 404: "not_found", 413: "context_length", 429: "rate_limited"}
BY_CLASS = {
    "MaxTurnsExceeded": "max_turns",
    "EngineAgentRefusedError": "refused",
    "APITimeoutError": "timeout",
    "APIConnectionError": "unreachable",
    "ModelBehaviorError": "malformed_answer",
    "APIResponseValidationError": "malformed_answer",
    "APIError": "malformed_answer",
    "JSONDecodeError": "malformed_answer",
    "TimeoutException": "timeout",
    "ProtocolError": "malformed_answer",
    "TransportError": "unreachable",
    "ValidationError": "bad_traces",
    "MemoryError": "out_of_memory",
}
TOO_LONG = ("context_length_exceeded", "string_above_max_length")


def reason_of(error: BaseException) -> str:
    """A stable word for why the engine failed."""
    if type(error).__name__ == "EngineAgentExhaustedError" and error.__cause__ is not None:
        return reason_of(error.__cause__)
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "disk_full"
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        return _reason_of_status(status, str(getattr(error, "code", "")))
    names = [each.__name__ for each in type(error).__mro__]
    return next((BY_CLASS[name] for name in names if name in BY_CLASS), "crashed")


def _reason_of_status(status: int, code: str) -> str:
    if code in TOO_LONG:
        return "context_length"
    return BY_STATUS.get(status) or ("server_error" if status >= 500 else "bad_request")


def engine_config(configuration: Configuration) -> Any:
    """What the engine is told. Adapts it where it has no setting."""
    import agents  # noqa: PLC0415
    from engine.agents import openai_agent_runner  # noqa: PLC0415
    from engine.agents.agent_config import AgentConfig  # noqa: PLC0415
    from engine.engine_config import EngineConfig  # noqa: PLC0415
    from engine.model_config import ModelConfig  # noqa: PLC0415
    from engine.model_provider_config import ModelProviderConfig  # noqa: PLC0415
    from engine.traces.models.trace_index_config import TraceIndexConfig  # noqa: PLC0415
    from engine.traces.trace_index_builder import TraceIndexBuilder  # noqa: PLC0415

    # It would index files of 1000 spans in further processes, which takes longer than it does here.
    TraceIndexBuilder.SMALL_FILE_THRESHOLD = sys.maxsize
    if configuration.max_failures is not None:
        openai_agent_runner.MAX_CONSECUTIVE_LLM_FAILURES = configuration.max_failures
    if configuration.api == "chat_completions":
        agents.set_default_openai_api("chat_completions")
        _ask_for_usage(ModelConfig)
    model = ModelConfig(
        name=configuration.model,
        temperature=configuration.temperature,
        reasoning_effort=configuration.reasoning_effort,
    )
    return EngineConfig(
        root_agent=AgentConfig(name="root", model=model, maximum_turns=configuration.max_turns),
        subagent=AgentConfig(name="sub", model=model, maximum_turns=configuration.max_turns),
        synthesis_model=model,
        compaction_model=model,
        model_provider=ModelProviderConfig(base_url=configuration.base_url, api_key=configuration.api_key),
        trace_index=TraceIndexConfig(index_dir=Path(configuration.work_dir)),
        maximum_depth=configuration.max_depth,
        maximum_parallel_subagents=configuration.max_parallel,
        dataset_context=configuration.dataset_context,
    )


def _ask_for_usage(model_config: Any) -> None:
    # The SDK asks only OpenAI's own address to count the tokens of a streamed chat completion.
    without = model_config.to_sdk_model_settings
    model_config.to_sdk_model_settings = lambda self: dataclasses.replace(without(self), include_usage=True)


async def analyze(configuration: Configuration, run: Run) -> None:
    from engine.main import stream_engine_async  # noqa: PLC0415
    from engine.models.messages import AgentMessage  # noqa: PLC0415

    config = engine_config(configuration)
    messages = [AgentMessage(**message) for message in configuration.messages]
    run.output.write("started", engine=version("halo-engine"))
    events = stream_engine_async(messages, config, Path(configuration.trace_path))
    async with contextlib.aclosing(events):
        async for event in events:
            run.take(event)


def execute(configuration: Configuration, output: Output) -> int:
    """Run to the end; returns the exit code."""
    run = Run(output)
    kind, fields = "incomplete", {"reason": "no_final_answer"}
    try:
        asyncio.run(analyze(configuration, run))
    except Exception as error:  # noqa: BLE001
        print(output.without_secret(traceback.format_exc()), file=sys.stderr)
        words = f"{type(error).__name__}: {error}"
        fields = {"reason": reason_of(error), "error": cut(output.without_secret(words), MAX_ERROR_CHARACTERS)}
        kind = "failed"
    run.flush()
    if run.answer:
        kind, fields = "answer", {}
    text = cut(run.answer or run.last_text, MAX_ANSWER_CHARACTERS)
    output.write(kind, **fields, text=text)
    return EXIT_CODES[kind]


def end_with_host() -> None:
    """End this process at the end of standard input, which only a dead host closes."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(1)


def follow_host(parent: int) -> None:
    # Linux ends this process with the host even while it can't run the thread that reads standard input.
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    Thread(target=end_with_host, daemon=True).start()


def limit_memory(megabytes: int | None) -> None:
    """Limit what it may allocate. Linux only; macOS takes the limit and does not keep it."""
    if megabytes:
        limit = megabytes << 20
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def main() -> int:
    # Libraries print what they like; that goes to standard error.
    output_stream = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    parent = os.getppid()
    configuration = Configuration(**json.loads(sys.stdin.buffer.readline()))
    follow_host(parent)
    os.nice(NICENESS)
    limit_memory(configuration.memory_mb)
    return execute(configuration, Output(output_stream, configuration.api_key))


if __name__ == "__main__":
    code = EXIT_CODES["failed"]
    try:
        code = main()
    except Exception:  # noqa: BLE001
        traceback.print_exc()
    # Threads of the engine may still wait for something.
    os._exit(code)
