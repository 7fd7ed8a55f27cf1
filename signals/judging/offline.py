"""The judge without a model: rules for the built-in templates. Pure. Accuracy: docs/reference/offline-judge.md."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from vader import SentimentIntensityAnalyzer

from signals.judging import phrases
from signals.judging.phrases import quote, straight
from traces.conventions.dialects import Message, ToolCall, parse
from traces.records import SpanRecord
from traces.transcripts.transcript import Transcript

# Stored in place of a model's name.
JUDGE = "offline"
# Sentiment scores closer to 0 are neutral.
MILD = 0.3
# Longer answers are never a mere goodbye.
SHORT = 400


class NoOfflineJudge(LookupError):
    """The prompt is not a template's. The message is for people."""


@dataclass(frozen=True, slots=True)
class OfflineVerdict:
    """A label of the template, and up to two sentences of evidence."""

    value: str
    reason: str


def judge(template_key: str, scope: str, transcript: Transcript, spans: Sequence[SpanRecord]) -> OfflineVerdict:
    """Label a target. `spans`: all spans of the target.

    Raises NoOfflineJudge for prompts that are not built in.
    """
    rule = RULES.get(template_key)
    if rule is None:
        raise NoOfflineJudge("Only the built-in templates can be judged without a model. Connect a model to ask this.")
    return rule(Evidence(scope, transcript, spans))


class Evidence:
    """Parts of a target that the rules read. For a span or trace: only the newest exchange."""

    def __init__(self, scope: str, transcript: Transcript, spans: Sequence[SpanRecord]) -> None:
        self.scope = scope
        self.messages = [message for message in transcript.messages if message.role != "system"]
        self.start = 0 if scope == "session" else _request(self.messages)
        self.new = self.messages[self.start :]
        self.spans = spans

    @cached_property
    def user(self) -> list[str]:
        return [message.text for message in self.new if message.role == "user" and message.text]

    @cached_property
    def answers(self) -> list[str]:
        return [message.text for message in self.new if message.role == "assistant" and message.text.strip()]

    @cached_property
    def calls(self) -> list[ToolCall]:
        return [call for message in self.new if message.role == "assistant" for call in message.tool_calls]

    @cached_property
    def last_run(self) -> SpanRecord | None:
        """The root that started last. Without a root: the earliest span."""
        known = {(span.trace_id, span.span_id) for span in self.spans}
        roots = [span for span in self.spans if (span.trace_id, span.parent_id) not in known]
        return max(roots, key=lambda span: (span.parent_id is None, span.start_time), default=None)

    @cached_property
    def error(self) -> str:
        """The error of the last message, else that of the last run."""
        told = self.new[-1].error if self.new else ""
        run = self.last_run
        if told or run is None or run.status != "error":
            return told
        return run.status_message or "the last run has status error"

    @cached_property
    def closing(self) -> str:
        """The last answer that is more than a goodbye."""
        goodbyes = (phrases.CLOSING, phrases.ANYTHING_ELSE)
        for answer in reversed(self.answers[-3:]):
            if len(answer) > SHORT or not any(goodbye.find(answer) for goodbye in goodbyes):
                return answer
        return self.answers[-1] if self.answers else ""

    @cached_property
    def broken(self) -> list[ToolCall]:
        """Failed calls of tools that never succeeded afterwards."""
        open_failures: dict[str, ToolCall] = {}
        for call in self.calls:
            if _failure(call):
                open_failures[call.name] = call
            elif call.result is not None:
                open_failures.pop(call.name, None)
        return list(open_failures.values())

    @cached_property
    def acted(self) -> bool:
        """Whether a tool that does more than read succeeded."""
        return any(not phrases.READING_TOOL.match(call.name.lower()) and not _failure(call) for call in self.calls)

    def quoted(self, family: phrases.Phrases, texts: Sequence[str]) -> str:
        return next((found for text in texts if (found := family.find(text))), "")


def _request(messages: Sequence[Message]) -> int:
    start = next((index for index, message in enumerate(messages) if message.produced), len(messages))
    return next((index for index in range(start - 1, -1, -1) if messages[index].role == "user"), 0)


def _failure(call: ToolCall) -> str:
    if call.error:
        return call.error
    result = call.result or ""
    if re.match(r"\s*(?:error|exception|traceback)\b", result[:100], re.IGNORECASE):
        return result
    told = parse(result, limit=20_000)
    if isinstance(told, dict) and (told.get("error") or told.get("success") is False or told.get("status") == "error"):
        return str(told.get("error") or told.get("message") or "it reported no success")
    return ""


def nsfw(seen: Evidence) -> OfflineVerdict:
    for speaker, texts in (("user", seen.user), ("assistant", seen.answers)):
        if found := seen.quoted(phrases.NSFW, texts):
            return OfflineVerdict("yes", f"The {speaker} wrote “{found}”.")
    return OfflineVerdict("no", "No explicit, graphic or degrading words were found.")


def jailbreak(seen: Evidence) -> OfflineVerdict:
    if found := seen.quoted(phrases.JAILBREAK, seen.user):
        return OfflineVerdict("yes", f"The user wrote “{found}”, a known way to get around instructions.")
    return OfflineVerdict(
        "no", "The user's messages contain no known phrasing of an attempt to get around instructions."
    )


def laziness(seen: Evidence) -> OfflineVerdict:
    if found := seen.quoted(phrases.JAILBREAK, seen.user) or seen.quoted(phrases.NSFW, seen.user):
        return OfflineVerdict("no", f"Refusing would be right: the user wrote “{found}”.")
    if seen.error or seen.broken:
        told = seen.error or _failure(seen.broken[-1])
        return OfflineVerdict("no", f"An error stood in the way: “{quote(told)}”.")
    if reason := _lazy_phrase(seen) or _repetition(seen):
        return OfflineVerdict("yes", reason)
    ended = seen.last_run is None or seen.last_run.ended
    if seen.user and ended and not seen.answers and not seen.calls:
        return OfflineVerdict("yes", "The assistant answered nothing.")
    return OfflineVerdict("no", "No refusal, placeholder, delay or empty answer was found.")


_LAZY = (
    (phrases.PLACEHOLDER, "left a part out"),
    (phrases.HAND_BACK, "handed the work back"),
    (phrases.STALLING, "put it off"),
    (phrases.IGNORANCE, "gave no answer"),
)


def _lazy_phrase(seen: Evidence) -> str:
    free = [text for text in seen.answers if not phrases.RULED_OUT.find(text)]
    if found := seen.quoted(phrases.REFUSAL, free):
        return f"The assistant refused: “{found}”."
    for family, what in _LAZY:
        if found := seen.quoted(family, seen.answers):
            return f"The assistant {what}: “{found}”."
    return ""


def _repetition(seen: Evidence) -> str:
    earlier = {straight(message.text) for message in seen.messages[: seen.start] if message.role == "assistant"}
    for text in seen.answers:
        if len(text) > 40 and straight(text) in earlier:
            return f"The assistant repeated an earlier answer: “{quote(text)}”."
    return ""


def frustration(seen: Evidence) -> OfflineVerdict:
    if found := seen.quoted(phrases.FRUSTRATION, seen.user):
        return OfflineVerdict("yes", f"The user wrote “{found}”.")
    signs = []
    if found := seen.quoted(phrases.GIVING_UP, seen.user[1:]):
        signs.append(f"gave up (“{found}”)")
    if found := seen.quoted(phrases.WANTS_PERSON, seen.user[1:]):
        signs.append(f"asked for a person (“{found}”)")
    if shouted := next((text for text in seen.user if _shouts(text)), ""):
        signs.append(f"shouted (“{quote(shouted)}”)")
    if angry := next((text for text in seen.user[1:] if feeling(text) <= -0.6), ""):
        signs.append(f"used strongly negative words (“{quote(angry)}”)")
    if len(signs) > 1:
        return OfflineVerdict("yes", f"The user {signs[0]} and {signs[1]}.")
    return OfflineVerdict("no", f"The user {signs[0]}, but nothing else shows frustration." if signs else CALM)


CALM = "No complaint, shouting or giving up was found in the user's messages."


def _shouts(text: str) -> bool:
    letters = [character for character in text[:2_000] if character.isalpha()]
    capitals = sum(character.isupper() for character in letters)
    return (len(letters) >= 15 and capitals > 0.7 * len(letters)) or bool(re.search(r"[!?]{3,}", text[:2_000]))


def sentiment(seen: Evidence) -> OfflineVerdict:
    scores = [feeling(text) for text in seen.user]
    if not any(scores):
        return OfflineVerdict("neutral", "The user's words carry no sentiment.")
    weights = [
        (1 + number / len(scores)) * (1 if abs(score) >= MILD else 0.25) for number, score in enumerate(scores, start=1)
    ]
    mean = sum(score * weight for score, weight in zip(scores, weights, strict=True)) / sum(weights)
    value = "positive" if mean >= MILD else "negative" if mean <= -MILD else "neutral"
    strongest = max(zip(scores, seen.user, strict=True), key=lambda pair: pair[0] if mean > 0 else -pair[0])[1]
    told = "balance out or are mild" if value == "neutral" else f"are mostly {value}"
    return OfflineVerdict(value, f"The user's words {told} (score {mean:+.2f}). The strongest: “{quote(strongest)}”.")


def feeling(text: str) -> float:
    """Return the sentiment, -1 to 1. Politeness scores 0, a complaint -0.6 or less."""
    score = float(_analyser().polarity_scores(straight(text)[:2_000])["compound"])
    return min(score, -0.6) if phrases.FRUSTRATION.find(text) else score


def task_outcome(seen: Evidence) -> OfflineVerdict:
    return next(verdict for rule in OUTCOME_RULES if (verdict := rule(seen)))


def _reported(seen: Evidence) -> OfflineVerdict | None:
    if seen.last_run and seen.last_run.outcome == "failure":
        return OfflineVerdict("failed", "The agent reported the outcome of its last run as a failure.")
    if seen.error:
        return OfflineVerdict("failed", f"It ended with an error: “{quote(seen.error)}”.")
    return None


def _left(seen: Evidence) -> OfflineVerdict | None:
    if found := seen.quoted(phrases.GIVING_UP, seen.user[1:][-2:]):
        return OfflineVerdict("abandoned", f"The user gave up: “{found}”.")
    if not seen.acted and (found := seen.quoted(phrases.POSTPONING, seen.user[1:][-3:])):
        return OfflineVerdict("abandoned", f"The user put it off before anything was done: “{found}”.")
    return None


def _handed_over(seen: Evidence) -> OfflineVerdict | None:
    tool = next((call.name for call in seen.calls if phrases.TRANSFER_TOOL.search(call.name.lower()[:200])), "")
    found = tool or phrases.TRANSFER.find(seen.closing)
    if not found:
        return None
    if asked := seen.quoted(phrases.WANTS_PERSON, seen.user):
        return OfflineVerdict("abandoned", f"The user asked for a person: “{asked}”.")
    return OfflineVerdict("failed", f"The assistant handed the conversation to a person (“{quote(found)}”).")


def _refused(seen: Evidence) -> OfflineVerdict | None:
    if not (found := phrases.REFUSAL.find(seen.closing)):
        return None
    if rule := phrases.RULED_OUT.find(seen.closing):
        return OfflineVerdict("completed", f"The assistant refused what a rule forbids: “{rule}”.")
    if any(call.result and not _failure(call) for call in seen.calls) and not seen.broken:
        return OfflineVerdict("partial", f"Tools were used with success, but the assistant ends with “{found}”.")
    return OfflineVerdict("failed", f"The assistant ends with “{found}”.")


def _unanswered(seen: Evidence) -> OfflineVerdict | None:
    if not seen.answers and not seen.calls:
        return OfflineVerdict("failed", "The assistant did not answer.")
    last = next((message for message in reversed(seen.new) if not phrases.LEAVING.find(message.text)), None)
    if last is None or phrases.ANYTHING_ELSE.find(last.text[-200:]):
        return None
    if last.role == "user" and not phrases.COURTESY.find(last.text):
        return OfflineVerdict("failed", f"The user's last message got no answer: “{quote(last.text)}”.")
    if last.role == "assistant" and last.text.rstrip().endswith(("?", "\uff1f")):
        return _ends_with_a_question(seen.scope, quote(last.text.rstrip()[-80:]))
    return None


def _ends_with_a_question(scope: str, question: str) -> OfflineVerdict:
    if scope == "session":
        return OfflineVerdict("abandoned", f"The assistant's last question was never answered: “{question}”.")
    return OfflineVerdict("partial", f"The run ends with a question to the user: “{question}”.")


def _broken(seen: Evidence) -> OfflineVerdict | None:
    if not seen.broken:
        return None
    call = seen.broken[-1]
    told = f"{quote(call.name)} failed and never succeeded after that: “{quote(_failure(call))}”."
    worked = any(other.result and not _failure(other) for other in seen.calls)
    return OfflineVerdict("partial" if worked else "failed", told)


def _not_acted(seen: Evidence) -> OfflineVerdict | None:
    if seen.acted or not seen.calls or not (asked := seen.quoted(phrases.WANTS_ACTION, seen.user)):
        return None
    if rule := seen.quoted(phrases.RULED_OUT, seen.answers):
        return OfflineVerdict("completed", f"The assistant explained that a rule forbids it: “{rule}”.")
    return OfflineVerdict("failed", f"The user asked “{asked}”, but the tools that ran only read.")


def _displeased(seen: Evidence) -> OfflineVerdict | None:
    if found := seen.quoted(phrases.FRUSTRATION, seen.user[1:][-1:]):
        return OfflineVerdict("failed", f"The user leaves dissatisfied: “{found}”.")
    return None


def _done(seen: Evidence) -> OfflineVerdict | None:
    if seen.user[1:] and (found := phrases.COURTESY.find(seen.user[-1])):
        return OfflineVerdict(
            "completed", f"No error or refusal stands at the end, and the user closes with “{found}”."
        )
    worked = sum(1 for call in seen.calls if call.result and not _failure(call))
    if worked:
        return OfflineVerdict("completed", f"{worked} tool calls worked and no error or refusal stands at the end.")
    return OfflineVerdict("completed", "The assistant answered, and no error or refusal stands at the end.")


# The first verdict counts. The last rule always returns one.
OUTCOME_RULES: tuple[Callable[[Evidence], OfflineVerdict | None], ...] = (
    _reported,
    _left,
    _handed_over,
    _refused,
    _unanswered,
    _broken,
    _not_acted,
    _displeased,
    _done,
)

RULES: dict[str, Callable[[Evidence], OfflineVerdict]] = {
    "nsfw": nsfw,
    "jailbreak": jailbreak,
    "laziness": laziness,
    "frustration": frustration,
    "sentiment": sentiment,
    "task_outcome": task_outcome,
}

# Politeness and business words that VADER scores as sentiment.
FORMULAS = (
    "please pls thanks thank thx yes no ok okay sure hi hello dear help cancel stop want like well proceed hoping "
    "wondering interested interest gift credit save free share support change charge pay number insurance original"
)

OTHER_LANGUAGES = {
    2.5: "super toll großartig prima perfekt fantastisch wunderbar excelente genial perfecto fantástico maravilloso "
    "parfait génial excellent formidable merveilleux",
    1.8: "gut zufrieden hilfreich bueno buena contento contenta útil bien satisfait satisfaite content contente utile",
    -2.0: "schlecht enttäuscht enttäuschend nervig falsch traurig malo mala decepcionado decepcionada mal triste "
    "mauvais mauvaise déçu déçue décevant nul",
    -2.8: "furchtbar schrecklich katastrophe wütend unverschämt lächerlich terrible horrible pésimo pésima furioso "
    "inaceptable catastrophe furieux furieuse inacceptable ridicule",
}


@cache
def _analyser() -> SentimentIntensityAnalyzer:
    words = {word: weight for weight, line in OTHER_LANGUAGES.items() for word in line.split()}
    return SentimentIntensityAnalyzer(extra_lexicon=words | dict.fromkeys(FORMULAS.split(), 0.0))
