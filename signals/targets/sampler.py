"""A version looks at targets: those it samples are queued for its judge, the others are noted, each once.

So what a version looked at is, at every moment, its labels and what it left out: nothing is in both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from signals.models import Label, Unsampled
from signals.models.label_queue import Wanted
from signals.sampling import is_sampled


@dataclass(frozen=True, slots=True)
class Looked:
    """How many targets are within their version's rate, and for how many of them a label was queued."""

    sampled: int
    queued: int


def look(matching: Sequence[Wanted], rates: Mapping[int, int], now: datetime) -> Looked:
    """Sample these targets at the rates, in percent, of their versions.

    Call it in a transaction that keeps signals as they are. Live, one target is always sampled or never. A manual run
    has a rate of its own, so it must keep settling out (`backlog.change_signals`) while it takes what it samples from
    among what was left out.
    """
    sampled: list[Wanted] = []
    left_out: list[Wanted] = []
    for each in matching:
        (sampled if is_sampled(each.target_key, rates[each.version_id]) else left_out).append(each)
    queued = Label.objects.want(sampled, now)
    Unsampled.objects.forget_sampled([each for each in sampled if each.run_id is not None])
    Unsampled.objects.note(left_out)
    return Looked(len(sampled), queued)
