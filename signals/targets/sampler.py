"""Sample targets: enqueue labels for sampled ones, record the others as unsampled.

No target of a version is in both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from signals.models import Label, Unsampled
from signals.models.label_queue import LabelRequest
from signals.sampling import is_sampled


@dataclass(frozen=True, slots=True)
class SampleResult:
    sampled: int
    queued: int


def sample_and_enqueue(matching: Sequence[LabelRequest], rates: Mapping[int, int], now: datetime) -> SampleResult:
    """Sample these targets at the rates, in percent, of their versions.

    Call this in a transaction with `requeue.share_signal_lock`. A manual run has its own rate and may sample targets
    that were recorded as unsampled, so it needs `requeue.take_signal_lock`.
    """
    sampled: list[LabelRequest] = []
    left_out: list[LabelRequest] = []
    for each in matching:
        (sampled if is_sampled(each.target_key, rates[each.version_id]) else left_out).append(each)
    queued = Label.objects.enqueue(sampled, now)
    Unsampled.objects.discard_sampled([each for each in sampled if each.run_id is not None])
    Unsampled.objects.record(left_out)
    return SampleResult(len(sampled), queued)
