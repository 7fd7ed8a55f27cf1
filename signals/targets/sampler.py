"""A version looks at targets: those it samples are queued for its judge, the others are noted, each once.

So what a version looked at is, at every moment, its labels and what it left out: nothing is in both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from signals.models import Label, Unsampled
from signals.models.label_queue import LabelRequest
from signals.sampling import is_sampled


@dataclass(frozen=True, slots=True)
class SampleResult:
    """How many targets are within their version's rate, and for how many of them a label was queued."""

    sampled: int
    queued: int


def sample_and_enqueue(matching: Sequence[LabelRequest], rates: Mapping[int, int], now: datetime) -> SampleResult:
    """Sample these targets at the rates, in percent, of their versions.

    Call it in a transaction that keeps signals as they are. Live, one target is always sampled or never. A manual run
    has a rate of its own, so it must keep settling out (`requeue.take_signal_lock`) while it takes what it samples from
    among what was left out.
    """
    sampled: list[LabelRequest] = []
    left_out: list[LabelRequest] = []
    for each in matching:
        (sampled if is_sampled(each.target_key, rates[each.version_id]) else left_out).append(each)
    queued = Label.objects.enqueue(sampled, now)
    Unsampled.objects.discard_sampled([each for each in sampled if each.run_id is not None])
    Unsampled.objects.record(left_out)
    return SampleResult(len(sampled), queued)
