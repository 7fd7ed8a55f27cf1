"""Merges model calls into one conversation, with history once and tool results in their calls."""

import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from uuid import UUID

from traces.conventions.embedded_files import located, united
from traces.conventions.json_objects import Json
from traces.conventions.message_formats import Message, ToolCall, parse

MAX_ENTRIES = 5_000
# Tool calls in the input or output of a span.
MAX_CALLS = 5_000
MAX_ERRORS = 200
MAX_TRIES = 50
MAX_ERROR_CHARACTERS = 2_000
MAX_NAME_CHARACTERS = 200

type Key = tuple[str, ...]
# A tool call of an entry.
type Slot = tuple["Entry", int]


def key_of(message: Message) -> Key:
    """Equal for a message and its copies in later requests, despite changed spaces, quotes and dates."""
    asked = [call.id or f"{call.name}({_canonical(call.arguments)})" for call in message.tool_calls]
    if any(call.id for call in message.tool_calls) and message.role != "tool":
        return message.role, *asked
    text = " ".join(message.text.split())
    if message.role == "system":
        text = re.sub(r"\d+", "0", text)
    if message.role == "tool":
        asked += [_folded(call.result) for call in message.tool_calls]
    return message.role, text, *asked, *(attachment.digest for attachment in message.attachments)


def _canonical(arguments: str) -> str:
    parsed: Json | list[object] | None = parse(arguments, limit=10_000)
    if isinstance(parsed, dict):
        return repr(sorted(parsed.items(), key=lambda item: item[0])) if parsed else ""
    return "".join(arguments.split())


@dataclass(slots=True, eq=False)
class Entry:
    message: Message
    calls: list[ToolCall]

    def done(self) -> Message:
        return replace(self.message, tool_calls=tuple(self.calls))


class PendingCalls:
    """Tool calls without a result, indexed by id and name."""

    def __init__(self) -> None:
        self._slots: list[Slot] = []
        self._taken: set[int] = set()
        self._queues: dict[tuple[str | None, str | None], deque[int]] = {}

    def add(self, entry: Entry) -> None:
        for index, call in enumerate(entry.calls):
            for key in {(call.id, call.name), (call.id, None), (None, call.name), (None, None)}:
                self._queues.setdefault(key, deque()).append(len(self._slots))
            self._slots.append((entry, index))

    def match(self, result: ToolCall) -> Slot | None:
        """Match a result to the first call with its id if both have one, else with its name."""
        name = result.name or None
        keys = [(result.id, None), ("", name)] if result.id else [(None, name)]
        numbers = [number for key in keys if (number := self._first(self._queues.get(key, deque()))) is not None]
        if not numbers:
            return None
        self._taken.add(min(numbers))
        return self._slots[min(numbers)]

    def _first(self, queue: deque[int]) -> int | None:
        while queue and queue[0] in self._taken:
            queue.popleft()
        return queue[0] if queue else None


class Conversation:
    """Builds the conversation of a trace from calls in order of time.

    A message is identified by its content and its count: the third "yes" of a request is the third of the conversation.
    """

    def __init__(self, trace_id: UUID) -> None:
        self._trace_id = trace_id
        self._entries: list[Entry] = []
        self._known: dict[Key, list[Entry]] = {}
        self._by_id: dict[str, list[Slot]] = {}
        self._unanswered: dict[str, deque[Slot]] = {}
        self._waiting: dict[str, deque[Slot]] = {}
        self._steps: dict[str, deque[Entry]] = {}
        self._keys: dict[Message, Key] = {}
        self._counts: Counter[Key] = Counter()
        self._errors: deque[str] = deque(maxlen=MAX_ERRORS)
        self._left_out = 0
        self._calls_left_out = 0

    def add_input(self, messages: Iterable[Message], span_id: int) -> None:
        """Add the input of a call. New messages are inserted between known ones."""
        self._counts = Counter()
        pending = PendingCalls()
        new: list[Entry] = []
        for message in self._limit_calls(_located(messages, span_id)):
            if message.role == "tool":
                if not self._add_result(message.tool_calls[0], pending):
                    self._add_input_message(message, span_id, new)
                continue
            pending.add(self._add_input_message(message, span_id, new))
        self._place(new, None)

    def add_output(self, messages: Iterable[Message], span_id: int) -> None:
        """Add the output of a call, unless another span gave the same."""
        pending = PendingCalls()
        for message in self._limit_calls(_located(messages, span_id)):
            if message.role == "tool" and self._add_result(message.tool_calls[0], pending):
                continue
            key = self._key(message)
            self._counts[key] += 1
            if self._counts[key] > len(self._known.get(key, ())):
                entry = self._enter(replace(message, produced=True), span_id)
                pending.add(entry)
                self._place([entry], None)

    def add_tool_run(self, call: ToolCall) -> None:
        """Add the run of a tool to the call that requested it, else as a step."""
        call = _located_call(call, call.span_id or 0)
        slot = next((slot for slot in self._candidates(call) if _same_tool(self._at(slot), call)), None)
        if slot is None:
            entry = self._enter(Message("assistant", tool_calls=(call,), produced=True), call.span_id or 0)
            self._steps.setdefault(_plain(call.name), deque()).append(entry)
            self._place([entry], None)
        else:
            self._fill(slot, call)
        if call.error:
            self._errors.append(call.error)

    def _candidates(self, run: ToolCall) -> Iterator[Slot]:
        if run.id:
            yield from (slot for slot in self._by_id.get(run.id, [])[:MAX_TRIES] if self._free(slot))
        waiting = self._waiting.get(_plain(run.name), deque())
        while waiting and not self._free(waiting[0]):
            waiting.popleft()
        yield from (slot for slot in islice(waiting, MAX_TRIES) if self._free(slot))

    def add_error(self, error: str, span_id: int) -> None:
        """Add an error, once if repeated."""
        last = self._entries[-1].message if self._entries else None
        if last and last.error and _core(error) in last.error:
            return
        self._errors.append(error)
        if last and last.span_id == span_id and last.produced and not last.error:
            self._entries[-1].message = replace(last, error=error)
        else:
            self._place([self._enter(Message("assistant", error=error, produced=True), span_id)], None)

    def has_error(self, error: str) -> bool:
        """Whether it has this error, even wrapped in another type."""
        return any(_core(error) in known_error for known_error in self._errors)

    def prepend(self, messages: Iterable[Message], span_id: int) -> None:
        """Insert messages after system messages."""
        entries = [self._enter(message, span_id) for message in _located(messages, span_id) if message.role != "tool"]
        first = next((entry for entry in self._entries if entry.message.role != "system"), None)
        self._place(entries, first)

    def starts_with_steps(self) -> bool:
        return bool(self._entries) and self._entries[0].message.role not in ("system", "user")

    def put_first(self, request: Message) -> None:
        """Move the first user message, if it is this request, and its system messages before the steps before it."""
        at = next((index for index, entry in enumerate(self._entries) if entry.message.role == "user"), None)
        if at is None or self._key(self._entries[at].message) != self._key(request):
            return
        # Sorting is stable.
        self._entries[: at + 1] = sorted(
            self._entries[: at + 1], key=lambda entry: entry.message.role not in ("system", "user")
        )

    def has_role(self, role: str) -> bool:
        return any(entry.message.role == role for entry in self._entries)

    def has_output(self, text: str) -> bool:
        """Whether an output equals this text, contains it or is most of it."""
        normalized = " ".join(text.split())
        outputs = [
            " ".join(entry.message.text.split())
            for entry in reversed(self._entries)
            if entry.message.role == "assistant" and entry.message.text
        ]
        return any(
            normalized in output or (output in normalized and len(output) * 2 > len(normalized))
            for output in outputs[:50]
        )

    def messages(self) -> tuple[Message, ...]:
        done = [entry.done() for entry in self._entries]
        for count, noun in ((self._left_out, "later messages"), (self._calls_left_out, "tool calls")):
            if count:
                done.append(Message("system", f"[{count:,} {noun} are not shown]", trace_id=self._trace_id))
        return tuple(done)

    def _limit_calls(self, messages: Iterable[Message]) -> Iterator[Message]:
        room = MAX_CALLS
        for message in messages:
            if message.role == "tool" or len(message.tool_calls) <= room:
                room -= 0 if message.role == "tool" else len(message.tool_calls)
                yield message
                continue
            self._calls_left_out += len(message.tool_calls) - room
            yield replace(message, tool_calls=message.tool_calls[:room])
            room = 0

    def _add_input_message(self, message: Message, span_id: int, new: list[Entry]) -> Entry:
        key = self._key(message)
        self._counts[key] += 1
        entries = self._known.get(key, [])
        if self._counts[key] <= len(entries):
            entry = entries[self._counts[key] - 1]
            if entry not in new:
                self._place(new, entry)
                new.clear()
            return entry
        entry = self._enter(replace(message, produced=False), span_id)
        new.append(entry)
        self._absorb_runs(entry)
        return entry

    def _enter(self, message: Message, span_id: int) -> Entry:
        entry = Entry(replace(message, span_id=span_id, trace_id=self._trace_id), list(message.tool_calls))
        self._known.setdefault(self._key(message), []).append(entry)
        if message.role != "tool":
            for index, call in enumerate(entry.calls):
                if call.span_id is None:
                    self._waiting.setdefault(_plain(call.name), deque()).append((entry, index))
                if call.id:
                    self._by_id.setdefault(call.id, []).append((entry, index))
                self._unanswered.setdefault(call.id, deque()).append((entry, index))
        return entry

    def _key(self, message: Message) -> Key:
        key = self._keys.get(message)
        if key is None:
            key = self._keys[message] = key_of(message)
        return key

    def _place(self, entries: list[Entry], before: Entry | None) -> None:
        if not entries:
            return
        room = max(0, MAX_ENTRIES - len(self._entries))
        self._left_out += max(0, len(entries) - room)
        at = len(self._entries) if before is None or before not in self._entries else self._entries.index(before)
        self._entries[at:at] = entries[:room]

    def _add_result(self, result: ToolCall, pending: PendingCalls) -> bool:
        slot = pending.match(result) or self._first_unanswered(result.id)
        if slot is None and not result.name:
            # LiteLLM tells the id of a result, but not that of its call.
            slot = self._first_unanswered("")
        if slot is None:
            return self._is_repeated(result)
        call = self._at(slot)
        if call.result is None or call.span_id is not None:
            files = united(call.attachments, result.attachments)
            error = call.error or result.error
            self._set(slot, replace(call, result=result.result, error=error, attachments=files))
        return True

    def _is_repeated(self, result: ToolCall) -> bool:
        """Whether it was given to its call before. A window of the history can begin between a call and its result."""
        calls = [self._at(slot) for slot in self._by_id.get(result.id, [])[:MAX_TRIES]]
        # Some senders use an id for several calls.
        return len(calls) == 1 or any(_folded(call.result) == _folded(result.result) for call in calls)

    def _first_unanswered(self, call_id: str) -> Slot | None:
        unanswered = self._unanswered.get(call_id, deque())
        while unanswered and self._at(unanswered[0]).result is not None:
            unanswered.popleft()
        return unanswered[0] if unanswered else None

    def _fill(self, slot: Slot, run: ToolCall) -> None:
        call = self._at(slot)
        self._set(
            slot,
            replace(
                run,
                name=call.name or run.name,
                arguments=call.arguments or run.arguments,
                result=call.result if call.result is not None else run.result,
                id=call.id or run.id,
                attachments=united(call.attachments, run.attachments),
            ),
        )

    def _absorb_runs(self, entry: Entry) -> None:
        for index, call in enumerate(entry.calls):
            # The tool ran before its call was seen: the call replaces the step.
            steps = self._steps.get(_plain(call.name), deque())
            step = next((step for step in islice(steps, MAX_TRIES) if _same_tool(call, step.calls[0])), None)
            if step is not None:
                self._fill((entry, index), step.calls[0])
                steps.remove(step)
                self._drop(step)

    def _drop(self, entry: Entry) -> None:
        if entry in self._entries:
            self._entries.remove(entry)

    def _at(self, slot: Slot) -> ToolCall:
        return slot[0].calls[slot[1]]

    def _set(self, slot: Slot, call: ToolCall) -> None:
        slot[0].calls[slot[1]] = call

    def _free(self, slot: Slot) -> bool:
        return self._at(slot).span_id is None


def _located(messages: Iterable[Message], span_id: int) -> Iterator[Message]:
    """Messages whose attachments know the span that has their data."""
    for message in messages:
        if message.attachments or any(call.attachments for call in message.tool_calls):
            calls = tuple(_located_call(call, span_id) for call in message.tool_calls)
            yield replace(message, attachments=located(message.attachments, span_id), tool_calls=calls)
        else:
            yield message


def _located_call(call: ToolCall, span_id: int) -> ToolCall:
    return replace(call, attachments=located(call.attachments, span_id)) if call.attachments else call


def _same_tool(requested: ToolCall, run: ToolCall) -> bool:
    requested_name, run_name = _plain(requested.name), _plain(run.name)
    if requested.id and run.id:
        # Some senders use an id for several tools.
        return requested.id == run.id and (requested_name.endswith(run_name) or run_name.endswith(requested_name))
    return requested_name == run_name


def _plain(name: str) -> str:
    name = name[:MAX_NAME_CHARACTERS].lower().replace("handoff to ", "transfer_to_")
    return re.sub(r"[\W_]", "", name)


def _folded(text: str | None) -> str:
    return " ".join((text or "").split())


def _core(error: str) -> str:
    return error.partition(": ")[2] or error
