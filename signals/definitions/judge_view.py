"""Judge view: the parts of a target that the judge sees. Pure."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from catalyst.json_value import JsonValue
from traces.conventions.kinds import KINDS
from traces.conventions.span_mapping import MAX_SPAN_NAME_CHARACTERS
from traces.records import SpanRecord
from traces.transcripts.transcript import Message, Transcript

MIN_TOKENS = 500
MAX_TOKENS = 10_000_000
MAX_NAMES = 20
SPEAKERS = frozenset(("user", "assistant"))


def _known(kinds: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := set(kinds) - KINDS:
        raise ValueError(f"There is no kind {', '.join(sorted(unknown))}.")
    return tuple(sorted(set(kinds)))


def _storable_names(names: tuple[str, ...]) -> tuple[str, ...]:
    if any("\0" in name for name in names):
        raise ValueError("It can't hold a null character.")
    return tuple(dict.fromkeys(name for name in names if name))


Name = Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_SPAN_NAME_CHARACTERS)]


class JudgeView(JsonValue):
    """The parts of a target that the judge sees: by default everything.

    `messages_only` drops system prompts and errors. `kinds` and `names` select spans of a trace or session.
    `budget_tokens` lowers the token limit of the instance, at 4 characters a token.
    """

    messages_only: bool = False
    tool_calls: bool = True
    kinds: Annotated[tuple[str, ...], AfterValidator(_known)] = ()
    names: Annotated[tuple[Name, ...], Field(max_length=MAX_NAMES), AfterValidator(_storable_names)] = ()
    budget_tokens: Annotated[int | None, Field(ge=MIN_TOKENS, le=MAX_TOKENS)] = None

    @property
    def text(self) -> str:
        parts = ["what user and assistant said" if self.messages_only else "the whole transcript"]
        parts += ["without tool calls"] if not self.tool_calls else []
        parts += [f"only spans of kind {' or '.join(self.kinds)}"] if self.kinds else []
        parts += [f"only spans named {' or '.join(self.names)}"] if self.names else []
        parts += [f"at most {self.budget_tokens:,} tokens"] if self.budget_tokens else []
        return ", ".join(parts)

    def tokens(self, limit: int) -> int:
        return min(self.budget_tokens or limit, limit)

    def spans(self, spans: Iterable[SpanRecord]) -> list[SpanRecord]:
        return [
            span
            for span in spans
            if (not self.kinds or span.kind in self.kinds) and (not self.names or span.name in self.names)
        ]

    def narrowed(self, transcript: Transcript) -> Transcript:
        if self.tool_calls and not self.messages_only:
            return transcript
        messages = [self._narrowed_message(message) for message in transcript.messages]
        return Transcript(tuple(message for message in messages if message))

    def _narrowed_message(self, message: Message) -> Message | None:
        if self.messages_only and message.role not in SPEAKERS and not (self.tool_calls and message.role == "tool"):
            return None
        calls = message.tool_calls if self.tool_calls else ()
        error = "" if self.messages_only else message.error
        narrowed = replace(message, tool_calls=calls, error=error)
        dropped = bool(message.tool_calls or message.error) and not (narrowed.text or calls or error)
        return None if dropped or (message.role == "tool" and not calls) else narrowed


EVERYTHING = JudgeView()
