"""What makes failures the same: where they begin, the type of the exception, the message without its details."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from halo.analyst.material import Step
from traces.records import PayloadRecord

TOOL_KINDS = frozenset(("TOOL", "RETRIEVER", "RERANKER"))
MAX_TEMPLATE_CHARACTERS = 160
MAX_MESSAGE_CHARACTERS, MAX_TYPE_CHARACTERS = 2_000, 100
MASK = "…"

_TRACEBACK = "Traceback (most recent call last)"
_TYPE = re.compile(
    r"^((?:[a-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Timeout|Warning|Failure|Interrupt|Exit|Fault)?)(?::|$)"
)
# Ordered: what contains others comes first. Statuses of HTTP tell causes apart.
_DETAILS = re.compile(
    r"""
    (?P<kept>\b(?i:status|code|http(?:/\d(?:\.\d)?)?|error)\W{1,4}[45]\d\d\b | \b[45]\d\d\ [A-Z][a-z]+)
    | "[^"\n]*" | “[^”\n]*” | `[^`\n]*` | (?<!\w)'[^'\n]*'(?!\w)      # quoted
    | \b[a-z][a-z+.-]*://[^\s<>"')\]]+                               # URLs
    | [\w.+-]+@[\w-]+(?:\.[\w-]+)+                                   # addresses of mail
    | (?<![\w.])(?:[A-Za-z]:)?(?:[\\/][\w.@~+-]+){2,}[\\/]?           # paths
    | \b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b       # UUIDs
    | \b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b                           # IP addresses
    | \b(?=[0-9a-zA-Z_-]*\d)[0-9a-zA-Z]+(?:[_-][0-9a-zA-Z]+)*\b      # words with a digit: ids, hashes, models
    | \d+(?:[.,:]\d+)*                                               # numbers
    """,
    re.VERBOSE,
)
_REPEATED = re.compile(rf"{MASK}(?:[\s,;:./-]*{MASK})+")


class Signature(NamedTuple):
    """The same for failures with one cause. `template`: the message, with a mask for each detail."""

    where: str
    exception: str
    template: str


def place_of(step: Step) -> str:
    """The name of a tool, else of the step, without its details."""
    return _masked_name(step.tool or step.name)


@lru_cache(maxsize=4096)
def _masked_name(name: str) -> str:
    return mask(name)


def signature_of(step: Step) -> Signature:
    """The signature of a failed step by its status; the text of the step may say more."""
    exception, message = split(step.status_message)
    return Signature(place_of(step), exception, mask(message))


def split(message: str) -> tuple[str, str]:
    """The type of the exception, or nothing, and the message after it."""
    text = message[:MAX_MESSAGE_CHARACTERS].partition(_TRACEBACK)[0].strip()
    match = _TYPE.match(text)
    if match is None or not _is_type(match[1], text):
        return "", text
    return _type_name(match[1]), text[match.end() :].strip()


def _type_name(name: str) -> str:
    return name.rpartition(".")[2][:MAX_TYPE_CHARACTERS]


def _is_type(name: str, text: str) -> bool:
    # `Request: …` is a sentence, `RateLimitReached: …` and `ValueError` are types.
    inner_capitals = sum(letter.isupper() for letter in name.rpartition(".")[2])
    return inner_capitals > 1 or "." in name or (name != text and name.endswith(("Error", "Exception")))


def mask(text: str) -> str:
    """A text without its details, on one line."""
    line = " ".join(_DETAILS.sub(_masked, text[:MAX_MESSAGE_CHARACTERS]).split())
    line = _REPEATED.sub(MASK, line)
    return line if len(line) <= MAX_TEMPLATE_CHARACTERS else line[:MAX_TEMPLATE_CHARACTERS]


def _masked(detail: re.Match[str]) -> str:
    return detail["kept"] or MASK


def exception_in(payload: PayloadRecord) -> tuple[str, str]:
    """Type and message of the last exception that a step recorded; empty without one."""
    for event in reversed(payload.events if isinstance(payload.events, list) else []):
        attributes = event.get("attributes") if isinstance(event, dict) else None
        if isinstance(attributes, dict) and event.get("name") == "exception":
            message = str(attributes.get("exception.message") or "")
            return _type_name(str(attributes.get("exception.type") or "")), message[:MAX_MESSAGE_CHARACTERS]
    return "", ""


class Origin(NamedTuple):
    """A step in which a failure begins. `is_fatal`: the run fails with it. `path`: names of steps from the root."""

    step: Step
    is_fatal: bool
    path: tuple[str, ...]


def origins(steps: Sequence[Step], *, run_failed: bool) -> list[Origin]:
    """The deepest failed steps: those above them only repeat the failure."""
    failed = [step for step in steps if step.status == "error"]
    if not failed:
        return []
    by_id = {step.span_id: step for step in steps}
    paths = {step.span_id: _ancestors(step, by_id) for step in failed}
    above = {ancestor.span_id for path in paths.values() for ancestor in path}
    deepest = [step for step in failed if step.span_id not in above] or failed[:1]
    fatal = _fatal(deepest, paths) if run_failed else set()
    return [Origin(step, step.span_id in fatal, _names(paths[step.span_id])) for step in deepest]


def _fatal(deepest: Sequence[Step], paths: Mapping[int, list[Step]]) -> set[int]:
    """The failures that reached the root."""
    reached = {step.span_id for step in deepest if all(above.status == "error" for above in paths[step.span_id])}
    # Not all frameworks mark what is between: the run then failed with the last.
    return reached or {deepest[-1].span_id}


def _names(path: Sequence[Step]) -> tuple[str, ...]:
    return tuple(place_of(step) for step in reversed(path))


def _ancestors(step: Step, by_id: dict[int, Step]) -> list[Step]:
    """From the parent to the root. Ends where a circle closes."""
    path: dict[int, Step] = {step.span_id: step}
    parent = by_id.get(step.parent_id) if step.parent_id is not None else None
    while parent is not None and parent.span_id not in path:
        path[parent.span_id] = parent
        parent = by_id.get(parent.parent_id) if parent.parent_id is not None else None
    return list(path.values())[1:]
