"""Messages of OpenAI, Anthropic, Gemini, Bedrock, GenAI, Vercel and LangChain in one form.

Input is untrusted: wrong types are skipped or shown as text, and depth and count are limited.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, TypeIs
from uuid import UUID

import orjson

from traces.conventions.attachments import kind_of_part, read_attachment, text_within, transcript_of
from traces.conventions.citations import MAX_CITATIONS, Citation, citations_of, read_citation
from traces.conventions.embedded_files import Attachment, may_hold_data, take_out
from traces.conventions.json_objects import Json, as_text, first, name_of

MAX_MESSAGES = 2_000
MAX_PARTS = 500
MAX_DEPTH = 12
# Longer texts are not parsed.
MAX_JSON_CHARACTERS = 2_000_000


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A requested or executed tool call. `arguments` and `result` are text, JSON if sent as JSON.

    `result`: None if none was seen. `span_id`: the TOOL span that ran it, if any. `attachments`: the files in its
    arguments and its result, which mention them.
    """

    name: str
    arguments: str = ""
    result: str | None = None
    error: str = ""
    id: str = ""
    span_id: int | None = None
    duration_us: int | None = None
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a conversation. `role`: system, user, assistant or tool. `span_id`: the first span that has it.

    `produced`: True for output of a span, False for input. A message with role tool is a result without a known call;
    its only tool call holds the result. `attachments`: files, each of which the text mentions. `refused`: the model, or
    its maker, refused to answer.
    """

    role: str
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    span_id: int | None = None
    produced: bool = False
    error: str = ""
    trace_id: UUID | None = None
    # What the model thought before it answered. Judges are not shown it.
    thinking: str = ""
    attachments: tuple[Attachment, ...] = ()
    citations: tuple[Citation, ...] = ()
    refused: bool = False


ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
}
_CALLS = frozenset(("tool_call", "tool_use", "function_call", "server_tool_use", "mcp_call"))
_RESULTS = frozenset(
    ("tool_result", "tool_call_response", "function_call_output", "tool_response", "computer_call_output")
)
_THOUGHTS = frozenset(("thinking", "redacted_thinking", "reasoning", "thought"))
_TEXT_PARTS = frozenset(("text", "input_text", "output_text", "refusal"))
_THOUGHT_TEXTS = ("thinking", "reasoning", "content", "text", "summary", "reasoningContent")
_PART_TEXTS = (
    "text",
    "content",
    "refusal",
    "transcript",
    "parts",
    "message_content",
    "citationsContent",
    "reasoningText",
    "value",
)
_SOURCES = frozenset(("source", "source_url", "source_document", "citation"))
_MESSAGE_KEYS = ("message", "messages", "tool_calls", "toolCalls")
_CALL_KEYS = ("functionCall", "function_call", "toolUse", "tool_call")
_RESULT_KEYS = ("functionResponse", "function_response", "toolResult")
_REFUSED = frozenset(
    ("content_filter", "content-filter", "content_filtered", "refusal", "SAFETY", "guardrail_intervened")
)
_REASONS = ("finish_reason", "finishReason", "stop_reason", "stopReason")
_CONTENT = ("content", "contents", "parts", "text")
_BODY_KEYS = frozenset((*_CONTENT, *_CALL_KEYS, "tool_calls", "toolCalls", "refusal", "audio"))
_HEADER_KEYS = frozenset(("role", "name", "id", "type", "tool_call_id", "toolCallId", "finish_reason"))
_THINKING = ("reasoning_content", "reasoning", "thinking")
_SYSTEM = ("system", "instructions", "systemInstruction", "system_instruction")
_INPUT_KEYS = ("messages", "contents", "input", "inputs", "prompt", "question", "query", "text", "content")
_OUTPUT_KEYS = (
    *("choices", "candidates", "generations", "output", "outputs", "message", "messages", "update", "response"),
    *("answer", "result", "text", "content"),
)
_EMPTY: tuple[object, ...] = (None, "", [], {})
_TEXTS = frozenset(("question", "query", "answer", "result", "text"))
# Alternative answers; the first is the one that was used.
_ALTERNATIVES = frozenset(("choices", "candidates", "generations"))


def read(value: object, role: str, cache: dict[bytes, list[Message]] | None = None) -> list[Message]:
    """Read messages from a value of any shape. `role` is the default.

    Keeps the newest MAX_MESSAGES and notes how many are missing. `cache` holds messages that later calls send again.
    """
    left_out = 0
    if isinstance(value, list) and len(value) > MAX_MESSAGES:
        left_out = len(value) - MAX_MESSAGES
        value = value[-MAX_MESSAGES:]
    if cache is not None and _is_message_list(value):
        messages = [message for item in value for message in _read_cached(item, role, cache)]
    else:
        messages = _read_apart(value, role, 0)
    left_out += max(0, len(messages) - MAX_MESSAGES)
    if left_out:
        return [Message("system", f"[{left_out:,} earlier messages are not shown]"), *messages[-MAX_MESSAGES:]]
    return messages


def _is_message_list(value: object) -> TypeIs[list[Json]]:
    return isinstance(value, list) and all(isinstance(item, dict) and "role" in item for item in value)


def _read_cached(item: Json, role: str, cache: dict[bytes, list[Message]]) -> list[Message]:
    try:
        key = orjson.dumps(item)
    except TypeError:
        return _read_apart(item, role, 1)
    if key not in cache:
        cache[key] = _read_apart(item, role, 1)
    return cache[key]


def _read_apart(value: object, role: str, depth: int) -> list[Message]:
    return [_with_files_apart(message) for message in _read(value, role, depth)]


def _with_files_apart(message: Message) -> Message:
    if not message.tool_calls and not message.thinking and not may_hold_data(message.text):
        return message
    (text, files), (thinking, others) = take_out(message.text), take_out(message.thinking)
    calls = tuple(map(call_with_files_apart, message.tool_calls))
    if not files and not others and calls == message.tool_calls:
        return message
    attachments = message.attachments + files + others
    return replace(message, text=text, thinking=thinking, tool_calls=calls, attachments=attachments)


def call_with_files_apart(call: ToolCall) -> ToolCall:
    """The call without the data of files in its texts: these mention the files, which become its attachments."""
    (arguments, given), (result, returned) = take_out(call.arguments), take_out(call.result or "")
    error, others = take_out(call.error)
    if not (given or returned or others):
        return call
    result_text = None if call.result is None else result
    attachments = call.attachments + given + returned
    return replace(call, arguments=arguments, result=result_text, error=error, attachments=attachments)


def read_text(text: str, role: str) -> list[Message]:
    """Read messages from JSON text; other text is one message."""
    parsed = parse(text)
    if parsed is not None and (messages := read(_only_argument(parsed), role)):
        return messages
    text = unquoted(text)
    return [_with_files_apart(Message(role, text))] if text.strip() else []


def unquoted(text: str) -> str:
    """The text that a JSON string stands for; any other text as it is."""
    if not 2 <= len(text) <= MAX_JSON_CHARACTERS or not text[0] == text[-1] == '"':
        return text
    try:
        return str(orjson.loads(text))
    except ValueError:
        return text


def _only_argument(value: Json | list[Any]) -> object:
    # OpenLLMetry packs what a decorated function got.
    if not isinstance(value, dict) or value.keys() != {"args", "kwargs"}:
        return value
    args, kwargs = value["args"], value["kwargs"]
    given = [*args, *kwargs.values()] if isinstance(args, list) and isinstance(kwargs, dict) else []
    return given[0] if len(given) == 1 else value


def parse(text: object, limit: int = MAX_JSON_CHARACTERS) -> Json | list[Any] | None:
    """Parse a JSON object or list. Returns None for anything else, and for texts longer than `limit` without files."""
    if not isinstance(text, str) or len(text) < 2 or text.lstrip()[:1] not in ("{", "["):
        return None
    if len(text) > limit and len(take_out(text)[0]) > limit:
        return None
    try:
        value = orjson.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict | list) else None


def _read(value: object, role: str, depth: int) -> Iterator[Message]:
    if depth > MAX_DEPTH or value is None:
        return
    if isinstance(value, list):
        yield from _read_list(value[:MAX_MESSAGES], role, depth + 1)
    elif isinstance(value, dict):
        yield from _read_object(value, role, depth + 1)
    elif text := as_text(value).strip():
        yield Message(role, text)


def _read_list(items: list[Any], role: str, depth: int) -> Iterator[Message]:
    if any(isinstance(item, dict) and not _holds_messages(item, role) for item in items):
        yield Message(role, as_text(items))
        return
    for parts, group in groupby(items, key=_is_part):
        if parts:
            yield from _from_parts(list(group), role, depth)
            continue
        for item in group:
            yield from _read(item, role, depth)


def _holds_messages(item: Json, role: str) -> bool:
    source = _without_envelope(item)
    return _is_part(source) or _is_message(source) or _message_key(source, role) is not None


def _is_part(item: object) -> bool:
    if not isinstance(item, dict) or "role" in item or any(key in item for key in _MESSAGE_KEYS):
        return False
    kind = _kind(item)
    if kind in _CALLS | _RESULTS | _THOUGHTS | _TEXT_PARTS or kind_of_part(kind):
        return True
    if _is_call(item, kind):
        return True
    return kind not in ROLES and isinstance(item.get("text"), str)


def _is_call(part: Json, kind: str) -> bool:
    # Vercel's calls name a tool, and have no type.
    return (not kind and "toolName" in part) or any(isinstance(part.get(key), dict) for key in _CALL_KEYS)


def _from_parts(parts: list[Any], role: str, depth: int) -> Iterator[Message]:
    for _, group in groupby(parts, key=lambda part: _kind(part) in _RESULTS):
        yield from _read_message({"content": list(group)}, role, depth)


def _read_object(source: Json, role: str, depth: int) -> Iterator[Message]:
    if (message := _simple_message(source)) is not None:
        yield message
        return
    source = _without_envelope(source)
    if _is_part(source):
        yield from _from_parts([source], role, depth)
        return
    if _is_message(source):
        yield from _read_message(source, role, depth)
        return
    key = _message_key(source, role)
    if key is None:
        if source:
            refused = _is_refused(source)
            yield Message(role, "" if refused else as_text(source), refused=refused)
        return
    if role != "assistant" and (system := first(source, *_SYSTEM)) is not None:
        yield from _read(system, "system", depth)
    inner = source[key]
    if key in _ALTERNATIVES and isinstance(inner, list):
        inner = inner[0]
    yield from _with_remarks(source, list(_read(inner, role, depth)), role)


def _with_remarks(source: Json, messages: list[Message], role: str) -> list[Message]:
    """Messages with what the object around them says of the last one."""
    citations, refused = tuple(citations_of(source)), _is_refused(source)
    if not citations and not refused:
        return messages
    *others, last = messages or [Message(role)]
    return [*others, replace(last, citations=last.citations + citations, refused=last.refused or refused)]


def _is_refused(source: Json) -> bool:
    return name_of(source, *_REASONS) in _REFUSED


def _simple_message(source: Json) -> Message | None:
    speaker, content = source.get("role"), source.get("content")
    # Fast path: most messages have only a role and a text.
    if len(source) == 2 and speaker in ("system", "user", "assistant") and content and isinstance(content, str):
        return Message(speaker, content)
    return None


def _message_key(source: Json, role: str) -> str | None:
    names = _OUTPUT_KEYS if role == "assistant" else _INPUT_KEYS
    key = next((name for name in names if source.get(name) not in _EMPTY), None)
    if key is None or (isinstance(source[key], list | dict) and key not in _TEXTS):
        return key
    # Text counts as a message only if the object has nothing else to show.
    return key if "model" in source or len(_shown(source)) == 1 else None


def _shown(source: Json) -> list[str]:
    return [name for name, value in source.items() if value not in _EMPTY and name not in _SYSTEM]


def _without_envelope(source: Json) -> Json:
    # LangChain's serialized messages.
    for envelope in ("kwargs", "data"):
        inner = source.get(envelope)
        if isinstance(inner, dict) and "content" in inner:
            speaker = _langchain_speaker(source)
            return {"role": speaker, **inner} if speaker in ROLES else inner
    return _of_crewai(source) or source


def _of_crewai(source: Json) -> Json | None:
    # The output of a crew or of a task, and a task.
    if "json_dict" in source and isinstance(source.get("raw"), str):
        return {"role": "assistant", "content": source["raw"]}
    if "expected_output" in source and isinstance(source.get("description"), str):
        return {"role": "user", "content": source["description"]}
    return None


def _langchain_speaker(source: Json) -> str:
    # Example: ["langchain", "schema", "messages", "AIMessageChunk"] is "ai".
    path = source.get("id")
    kind = path[-1] if isinstance(path, list) and path else source.get("type")
    return str(kind).removesuffix("Chunk").removesuffix("Message").lower()


def _is_message(source: Json) -> bool:
    if name_of(source, "role").lower() in ROLES:
        return not source.keys().isdisjoint(_BODY_KEYS) or source.keys() <= _HEADER_KEYS
    if _kind(source) in ROLES or _kind(source) == "message":
        return any(key in source for key in _CONTENT)
    return isinstance(first(source, "tool_calls", "toolCalls"), list) or "parts" in source


def _kind(source: Json) -> str:
    kind = source.get("type")
    if isinstance(kind, str):
        return kind.replace("-", "_")
    # Vercel's list of calls.
    return "tool_call" if "toolName" in source else ""


def _read_message(source: Json, role: str, depth: int) -> Iterator[Message]:
    speaker = ROLES.get((name_of(source, "role") or _kind(source)).lower(), role)
    content = _Content()
    content.add(first(source, *_CONTENT), depth)
    if not content.calls:
        content.calls = list(_calls_beside_content(source))
    content.add_beside(source)
    text = content.text()
    answered = name_of(source, "tool_call_id", "toolCallId")
    if (speaker == "tool" and not content.results) or (answered and speaker == "user"):
        error = text if source.get("status") == "error" else ""
        files = tuple(content.attachments)
        call = ToolCall(name_of(source, "name"), result=text, error=error, id=answered, attachments=files)
        yield Message("tool", tool_calls=(call,))
    else:
        yield from _in_order_of_content(content, speaker, text)


def _in_order_of_content(content: "_Content", speaker: str, text: str) -> list[Message]:
    results = [Message("tool", tool_calls=(result,)) for result in content.results]
    said = Message(
        "assistant" if content.calls else speaker,
        text,
        tuple(content.calls),
        thinking="\n".join(filter(None, content.thoughts)),
        attachments=tuple(content.attachments),
        citations=tuple(content.citations[:MAX_CITATIONS]),
        refused=content.refused,
    )
    if said.tool_calls:
        return [said, *results]
    is_empty = not (text or said.thinking or said.citations or said.refused)
    return results if is_empty else [*results, said]


def _calls_beside_content(source: Json) -> Iterator[ToolCall]:
    extra = source.get("additional_kwargs")
    calls = first(source, "tool_calls", "toolCalls") or (
        first(extra, "tool_calls") if isinstance(extra, dict) else None
    )
    if isinstance(calls, list):
        for call in calls[:MAX_PARTS]:
            if isinstance(call, dict):
                yield read_call(call)
    elif isinstance(call := source.get("function_call"), dict):
        yield read_call(call)


def read_call(source: Json) -> ToolCall:
    """Read a tool call in any dialect."""
    inner = first(source, *_CALL_KEYS)
    source = inner if isinstance(inner, dict) else source
    function = source.get("function")
    body = function if isinstance(function, dict) else source
    return ToolCall(
        name=name_of(body, "name", "toolName", "tool_name"),
        arguments=as_text(first(body, "arguments", "args", "input", "parameters")),
        id=name_of(source, "call_id", "toolCallId", "toolUseId", "tool_call_id", "id"),
    )


def _read_result(source: Json, depth: int) -> ToolCall:
    inner = first(source, *_RESULT_KEYS)
    source = inner if isinstance(inner, dict) else source
    content = _Content()
    output = first(source, "content", "output", "result", "response")
    content.add(output, depth)
    text = content.text()
    failed = source.get("is_error") is True or source.get("isError") is True or source.get("status") == "error"
    # Vercel tells it by the type of the output: error-text or error-json.
    failed = failed or (isinstance(output, dict) and _kind(output).startswith("error_"))
    return ToolCall(
        name=name_of(source, "name", "toolName", "tool_name"),
        result=text,
        error=text if failed else "",
        id=name_of(source, "tool_use_id", "call_id", "toolCallId", "toolUseId", "tool_call_id", "id"),
        attachments=tuple(content.attachments),
    )


def _thought(value: object, depth: int) -> str:
    content = _Content()
    content.add(value, depth)
    return content.text()


@dataclass(slots=True)
class _Content:
    texts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)
    results: list[ToolCall] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    citations: list[Citation] = field(default_factory=list)
    refused: bool = False

    def text(self) -> str:
        return "\n".join(text for text in self.texts if text)

    def add(self, content: object, depth: int) -> None:
        parts: Sequence[object] = content[:MAX_PARTS] if isinstance(content, list) else [content]
        if depth > MAX_DEPTH:
            return
        for part in parts:
            if isinstance(part, dict):
                self.add_part(part, depth + 1)
            elif isinstance(part, list):
                self.add(part, depth + 1)
            else:
                self.texts.append(as_text(part))

    def add_part(self, part: Json, depth: int) -> None:
        kind = _kind(part)
        self.citations += citations_of(part)
        if kind in _CALLS or _is_call(part, kind):
            self.calls.append(read_call(part))
        elif kind in _RESULTS or any(isinstance(part.get(key), dict) for key in _RESULT_KEYS):
            self.results.append(_read_result(part, depth))
        elif kind in _THOUGHTS or part.get("thought") is True or "reasoningContent" in part:
            self.thoughts.append(_thought(first(part, *_THOUGHT_TEXTS), depth))
        elif kind in _SOURCES and (citation := read_citation(part)) is not None:
            self.citations.append(citation)
        elif (attachment := read_attachment(part, kind)) is not None:
            self.add_attachment(attachment, transcript_of(part))
        else:
            self.add_text(part, kind, depth)

    def add_attachment(self, attachment: Attachment, transcript: str = "") -> None:
        self.attachments.append(attachment)
        self.texts += [attachment.mention, transcript]

    def add_text(self, part: Json, kind: str, depth: int) -> None:
        self.refused |= kind == "refusal"
        if (inner := text_within(part) if kind_of_part(kind) else first(part, *_PART_TEXTS)) is not None:
            self.add(inner, depth)
        elif part and kind not in _TEXT_PARTS:
            self.texts.append(as_text(part))

    def add_beside(self, source: Json) -> None:
        """What a message says beside its content."""
        self.citations += citations_of(source)
        self.refused |= bool(source.get("refusal")) or _is_refused(source)
        self.texts.append(as_text(source.get("refusal")))
        self.thoughts.append(_thought(first(source, *_THINKING), 0))
        if isinstance(audio := source.get("audio"), dict):
            said = "" if self.text() else transcript_of(audio)
            self.add_attachment(read_attachment({"audio": audio}) or Attachment("audio"), said)
