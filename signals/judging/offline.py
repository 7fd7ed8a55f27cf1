"""The judge without a model: rules for the built-in templates. Pure. Accuracy: docs/reference/offline-judge.md."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from vader import SentimentIntensityAnalyzer

from signals.judging import phrases
from signals.judging.phrases import quote, straight
from traces.conventions.message_formats import Message, ToolCall, parse
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
    """Parts of a target that the rules read. For a span or trace: the newest request and what follows."""

    def __init__(self, scope: str, transcript: Transcript, spans: Sequence[SpanRecord]) -> None:
        self.scope = scope
        self.messages = [message for message in transcript.messages if message.role != "system"]
        self.start = 0 if scope == "session" else _newest_request(self.messages)
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
        span_ids = {(span.trace_id, span.span_id) for span in self.spans}
        roots = [span for span in self.spans if (span.trace_id, span.parent_id) not in span_ids]
        return max(roots, key=lambda span: (span.parent_id is None, span.start_time), default=None)

    @cached_property
    def error(self) -> str:
        """The error of the last message, else that of the last run."""
        error = self.new[-1].error if self.new else ""
        run = self.last_run
        if error or run is None or run.status != "error":
            return error
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
            if _failure_of(call):
                open_failures[call.name] = call
            elif call.result is not None:
                open_failures.pop(call.name, None)
        return list(open_failures.values())

    @cached_property
    def acted(self) -> bool:
        """True if a tool that changes something succeeded."""
        return any(not phrases.READING_TOOL.match(call.name.lower()) and not _failure_of(call) for call in self.calls)

    def quoted(self, family: phrases.Phrases, texts: Sequence[str]) -> str:
        return next((phrase for text in texts if (phrase := family.find(text))), "")


def _newest_request(messages: Sequence[Message]) -> int:
    start = next((index for index, message in enumerate(messages) if message.produced), len(messages))
    return next((index for index in range(start - 1, -1, -1) if messages[index].role == "user"), 0)


def _failure_of(call: ToolCall) -> str:
    if call.error:
        return call.error
    result = call.result or ""
    if re.match(r"\s*(?:error|exception|traceback)\b", result[:100], re.IGNORECASE):
        return result
    data = parse(result, limit=20_000)
    if isinstance(data, dict) and (data.get("error") or data.get("success") is False or data.get("status") == "error"):
        return str(data.get("error") or data.get("message") or "it reported no success")
    return ""


def nsfw(evidence: Evidence) -> OfflineVerdict:
    for speaker, texts in (("user", evidence.user), ("assistant", evidence.answers)):
        if phrase := evidence.quoted(phrases.NSFW, texts):
            return OfflineVerdict("yes", f"The {speaker} wrote “{phrase}”.")
    return OfflineVerdict("no", "No explicit, graphic or degrading words were found.")


def jailbreak(evidence: Evidence) -> OfflineVerdict:
    if phrase := evidence.quoted(phrases.JAILBREAK, evidence.user):
        return OfflineVerdict("yes", f"The user wrote “{phrase}”, a known way to get around instructions.")
    return OfflineVerdict(
        "no", "The user's messages contain no known phrasing of an attempt to get around instructions."
    )


def laziness(evidence: Evidence) -> OfflineVerdict:
    if phrase := evidence.quoted(phrases.JAILBREAK, evidence.user) or evidence.quoted(phrases.NSFW, evidence.user):
        return OfflineVerdict("no", f"A request like “{phrase}” may be refused, so a refusal is not laziness here.")
    if evidence.error or evidence.broken:
        error = evidence.error or _failure_of(evidence.broken[-1])
        return OfflineVerdict("no", f"An error stood in the way: “{quote(error)}”.")
    if reason := _lazy_phrase(evidence) or _repetition(evidence):
        return OfflineVerdict("yes", reason)
    has_ended = evidence.last_run is None or evidence.last_run.ended
    if evidence.user and has_ended and not evidence.answers and not evidence.calls:
        return OfflineVerdict("yes", "The assistant answered nothing.")
    return OfflineVerdict("no", "No refusal, placeholder, delay or empty answer was found.")


_LAZY = (
    (phrases.PLACEHOLDER, "left a part out"),
    (phrases.HAND_BACK, "handed the work back"),
    (phrases.STALLING, "put it off"),
    (phrases.IGNORANCE, "gave no answer"),
)


def _lazy_phrase(evidence: Evidence) -> str:
    unruled = [text for text in evidence.answers if not phrases.RULED_OUT.find(text)]
    if phrase := evidence.quoted(phrases.REFUSAL, unruled):
        return f"The assistant refused: “{phrase}”."
    for family, action in _LAZY:
        if phrase := evidence.quoted(family, evidence.answers):
            return f"The assistant {action}: “{phrase}”."
    return ""


def _repetition(evidence: Evidence) -> str:
    earlier = {straight(message.text) for message in evidence.messages[: evidence.start] if message.role == "assistant"}
    for text in evidence.answers:
        if len(text) > 40 and straight(text) in earlier:
            return f"The assistant repeated an earlier answer: “{quote(text)}”."
    return ""


def frustration(evidence: Evidence) -> OfflineVerdict:
    if phrase := evidence.quoted(phrases.FRUSTRATION, evidence.user):
        return OfflineVerdict("yes", f"The user wrote “{phrase}”.")
    signs = []
    if phrase := evidence.quoted(phrases.GIVING_UP, evidence.user[1:]):
        signs.append(f"gave up (“{phrase}”)")
    if phrase := evidence.quoted(phrases.WANTS_PERSON, evidence.user[1:]):
        signs.append(f"asked for a person (“{phrase}”)")
    if shouted := next((text for text in evidence.user if _shouts(text)), ""):
        signs.append(f"shouted (“{quote(shouted)}”)")
    if angry := next((text for text in evidence.user[1:] if sentiment_score(text) <= -0.6), ""):
        signs.append(f"used strongly negative words (“{quote(angry)}”)")
    if len(signs) > 1:
        return OfflineVerdict("yes", f"The user {signs[0]} and {signs[1]}.")
    return OfflineVerdict("no", f"The user {signs[0]}, but nothing else shows frustration." if signs else CALM)


CALM = "No complaint, shouting or giving up was found in the user's messages."


def _shouts(text: str) -> bool:
    letters = [character for character in text[:2_000] if character.isalpha()]
    capitals = sum(character.isupper() for character in letters)
    return (len(letters) >= 15 and capitals > 0.7 * len(letters)) or bool(re.search(r"[!?]{3,}", text[:2_000]))


def sentiment(evidence: Evidence) -> OfflineVerdict:
    scores = [sentiment_score(text) for text in evidence.user]
    if not any(scores):
        return OfflineVerdict("neutral", "The user's words carry no sentiment.")
    weights = []
    for number, score in enumerate(scores, start=1):
        strength = 1 if abs(score) >= MILD else 0.25
        weights.append(strength * (1 + number / len(scores)))
    mean = sum(score * weight for score, weight in zip(scores, weights, strict=True)) / sum(weights)
    value = "neutral"
    if abs(mean) >= MILD:
        value = "positive" if mean > 0 else "negative"
    strongest = max(zip(scores, evidence.user, strict=True), key=lambda pair: pair[0] if mean > 0 else -pair[0])[1]
    summary = "balance out or are mild" if value == "neutral" else f"are mostly {value}"
    return OfflineVerdict(
        value, f"The user's words {summary} (score {mean:+.2f}). The strongest: “{quote(strongest)}”."
    )


def sentiment_score(text: str) -> float:
    """Return the sentiment, -1 to 1. Politeness scores 0, a complaint -0.6 or less."""
    score = float(_analyzer().polarity_scores(straight(text)[:2_000])["compound"])
    return min(score, -0.6) if phrases.FRUSTRATION.find(text) else score


def task_outcome(evidence: Evidence) -> OfflineVerdict:
    return next(verdict for rule in OUTCOME_RULES if (verdict := rule(evidence)))


def _reported_failure(evidence: Evidence) -> OfflineVerdict | None:
    if evidence.last_run and evidence.last_run.outcome == "failure":
        return OfflineVerdict("failed", "The agent reported the outcome of its last run as a failure.")
    if evidence.error:
        return OfflineVerdict("failed", f"It ended with an error: “{quote(evidence.error)}”.")
    return None


def _user_left(evidence: Evidence) -> OfflineVerdict | None:
    if phrase := evidence.quoted(phrases.GIVING_UP, evidence.user[1:][-2:]):
        return OfflineVerdict("abandoned", f"The user gave up: “{phrase}”.")
    if not evidence.acted and (phrase := evidence.quoted(phrases.POSTPONING, evidence.user[1:][-3:])):
        return OfflineVerdict("abandoned", f"The user put it off before anything was done: “{phrase}”.")
    return None


def _handed_over(evidence: Evidence) -> OfflineVerdict | None:
    tool = next((call.name for call in evidence.calls if phrases.TRANSFER_TOOL.search(call.name.lower()[:200])), "")
    handover = tool or phrases.TRANSFER.find(evidence.closing)
    if not handover:
        return None
    if request := evidence.quoted(phrases.WANTS_PERSON, evidence.user):
        return OfflineVerdict("abandoned", f"The user asked for a person: “{request}”.")
    return OfflineVerdict("failed", f"The assistant handed the conversation to a person (“{quote(handover)}”).")


def _refused(evidence: Evidence) -> OfflineVerdict | None:
    if not (phrase := phrases.REFUSAL.find(evidence.closing)):
        return None
    if rule := phrases.RULED_OUT.find(evidence.closing):
        return OfflineVerdict("completed", f"The assistant refused what a rule forbids: “{rule}”.")
    if any(call.result and not _failure_of(call) for call in evidence.calls) and not evidence.broken:
        return OfflineVerdict("partial", f"Tools were used with success, but the assistant ends with “{phrase}”.")
    return OfflineVerdict("failed", f"The assistant ends with “{phrase}”.")


def _unanswered(evidence: Evidence) -> OfflineVerdict | None:
    if not evidence.answers and not evidence.calls:
        return OfflineVerdict("failed", "The assistant did not answer.")
    last = next((message for message in reversed(evidence.new) if not phrases.LEAVING.find(message.text)), None)
    if last is None or phrases.ANYTHING_ELSE.find(last.text[-200:]):
        return None
    if last.role == "user" and not phrases.COURTESY.find(last.text):
        return OfflineVerdict("failed", f"The user's last message got no answer: “{quote(last.text)}”.")
    if last.role == "assistant" and last.text.rstrip().endswith(("?", "\uff1f")):
        return _ends_with_a_question(evidence.scope, quote(last.text.rstrip()[-80:]))
    return None


def _ends_with_a_question(scope: str, question: str) -> OfflineVerdict:
    if scope == "session":
        return OfflineVerdict("abandoned", f"The assistant's last question was never answered: “{question}”.")
    return OfflineVerdict("partial", f"The run ends with a question to the user: “{question}”.")


def _broken(evidence: Evidence) -> OfflineVerdict | None:
    if not evidence.broken:
        return None
    call = evidence.broken[-1]
    reason = f"{quote(call.name)} failed and never succeeded after that: “{quote(_failure_of(call))}”."
    has_success = any(other.result and not _failure_of(other) for other in evidence.calls)
    return OfflineVerdict("partial" if has_success else "failed", reason)


def _not_acted(evidence: Evidence) -> OfflineVerdict | None:
    if evidence.acted or not evidence.calls or not (request := evidence.quoted(phrases.WANTS_ACTION, evidence.user)):
        return None
    if rule := evidence.quoted(phrases.RULED_OUT, evidence.answers):
        return OfflineVerdict("completed", f"The assistant explained that a rule forbids it: “{rule}”.")
    return OfflineVerdict("failed", f"The user asked “{request}”, but the tools that ran only read.")


def _displeased(evidence: Evidence) -> OfflineVerdict | None:
    if phrase := evidence.quoted(phrases.FRUSTRATION, evidence.user[1:][-1:]):
        return OfflineVerdict("failed", f"The user leaves dissatisfied: “{phrase}”.")
    return None


def _done(evidence: Evidence) -> OfflineVerdict | None:
    if evidence.user[1:] and (phrase := phrases.COURTESY.find(evidence.user[-1])):
        return OfflineVerdict(
            "completed", f"No error or refusal stands at the end, and the user closes with “{phrase}”."
        )
    success_count = sum(1 for call in evidence.calls if call.result and not _failure_of(call))
    if success_count:
        worked = f"{success_count} tool call{'' if success_count == 1 else 's'} worked"
        return OfflineVerdict("completed", f"{worked} and no error or refusal stands at the end.")
    return OfflineVerdict("completed", "The assistant answered, and no error or refusal stands at the end.")


# The first verdict counts. The last rule always returns one.
OUTCOME_RULES: tuple[Callable[[Evidence], OfflineVerdict | None], ...] = (
    _reported_failure,
    _user_left,
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
# Everyday words of other languages that are English words with a sentiment: the German "die", the Spanish "sin".
FALSE_FRIENDS = "die war hell ha sin tout dire"
# "The wrong address" names a problem, mildly.
MILDER = {"wrong": -0.8}

OTHER_LANGUAGES = {
    2.5: "super toll großartig prima perfekt fantastisch wunderbar excelente genial perfecto fantástico maravilloso "
    "parfait génial excellent formidable merveilleux",
    1.8: "gut zufrieden hilfreich bueno buena contento contenta útil bien satisfait satisfaite content contente utile",
    -2.0: "schlecht enttäuscht enttäuschend nervig falsch traurig malo mala decepcionado decepcionada triste "
    "mauvais mauvaise déçu déçue décevant nul",
    -2.8: "furchtbar schrecklich katastrophe wütend unverschämt lächerlich terrible horrible pésimo pésima furioso "
    "inaceptable catastrophe furieux furieuse inacceptable ridicule",
}


@cache
def _analyzer() -> SentimentIntensityAnalyzer:
    weights = {word: weight for weight, line in OTHER_LANGUAGES.items() for word in line.split()}
    neutral = [*FORMULAS.split(), *FALSE_FRIENDS.split()]
    return SentimentIntensityAnalyzer(extra_lexicon=weights | MILDER | dict.fromkeys(neutral, 0.0))
