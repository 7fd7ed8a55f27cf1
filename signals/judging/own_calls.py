"""Recognizes the traces of judge calls, so that signals don't judge their own judging for ever.

A gateway between Catalyst and the model may send its traces back here. The token of each prompt tells which agent's
signal asked. Traffic can't forge it without Catalyst's secret key.
"""

import hmac
import re
import secrets
from collections.abc import Iterator
from datetime import datetime

from django.utils.crypto import salted_hmac

from catalyst.core.token_buckets import Limit, MemoryBuckets
from signals.judging.prompt import INSTRUCTIONS
from traces.transcripts.transcript import Transcript

OWN = "This is a call of the judge for a signal of the same agent. Signals don't judge their own judging."
TOO_MANY = "This looks like a call of a judge, and the signal has judged many of these in the last hour."
LOOK_ALIKES = Limit("judge calls that a signal judges", capacity=600, tokens_per_second=600 / 3600)
MAX_TOKENS_READ = 100

_SALT = "signals.judging.own_calls"
_TOKEN = re.compile(r"BEGIN RECORDING ([0-9a-f]{8})([0-9a-f]{8})\b")
_FIRST_LINE = INSTRUCTIONS.partition("\n")[0]

# Of this process: a limit for each worker stops a loop just as well.
_look_alikes = MemoryBuckets()


def new_token(agent_id: int) -> str:
    """A token for the prompt of one call. Sixteen random hexadecimal digits to all who lack the secret key."""
    nonce = secrets.token_hex(4)
    return nonce + _mark(agent_id, nonce)


def reason_to_skip(transcript: Transcript, signal_id: int | None, agent_id: int, now: datetime) -> str:
    """Why a target must not be judged because it is a judge call itself; empty if it may be judged.

    Calls for signals of the same agent are never judged. Judge calls of unknown origin are judged up to a limit an
    hour, because a gateway may cut the token off.
    """
    if any(hmac.compare_digest(mark, _mark(agent_id, nonce)) for nonce, mark in _tokens(transcript)):
        return OWN
    if not _has_instructions(transcript):
        return ""
    if _look_alikes.seconds_to_wait(LOOK_ALIKES, signal_id, now) is not None:
        return TOO_MANY
    _look_alikes.take(LOOK_ALIKES, signal_id, now)
    return ""


def _tokens(transcript: Transcript) -> Iterator[tuple[str, str]]:
    left = MAX_TOKENS_READ
    for message in transcript.messages:
        for match in _TOKEN.finditer(message.text):
            if not left:
                return
            left -= 1
            yield match[1], match[2]


def _has_instructions(transcript: Transcript) -> bool:
    # Only in the part of a conversation that its users can't write.
    return any(message.role == "system" and message.text.startswith(_FIRST_LINE) for message in transcript.messages)


def _mark(agent_id: int, nonce: str) -> str:
    return salted_hmac(_SALT, f"{agent_id}:{nonce}", algorithm="sha256").hexdigest()[:8]
