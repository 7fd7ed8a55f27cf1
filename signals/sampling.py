"""Which targets a signal looks at: a hash of the target alone decides, the same on every machine and in every version.

Neither the signal nor the project is in the hash. So a higher rate only adds targets (nested), and two signals with the
same rate label the same targets (coinciding) and can be compared.
"""

import hashlib
from uuid import UUID

# Keeps us independent of whatever a tracing SDK sampled by the same id before us. Changing it changes every sample.
DOMAIN = b"catalyst.signals.sampling.v1\0"


def trace_key(trace_id: UUID) -> str:
    """The target key of a trace: 32 hexadecimal digits."""
    return trace_id.hex


def span_key(trace_id: UUID, span_id: int) -> str:
    """The target key of a span: its trace's key, a colon and 16 hexadecimal digits. `span_id` is as stored, signed."""
    return f"{trace_id.hex}:{span_id & 0xFFFFFFFFFFFFFFFF:016x}"


def fraction(target_key: str) -> float:
    """Where the target lies in [0, 1): it is sampled at every rate above this. For people to read."""
    return (_draw(target_key) >> 11) / (1 << 53)


def draw(target_key: str) -> int:
    """The same as a signed number of 64 bits, which names the target where its key is too long to keep."""
    return _draw(target_key) - (1 << 63)


def is_sampled(target_key: str, rate_percent: int) -> bool:
    """Whether a signal with this rate, 0 to 100, looks at the target. 0 is never, 100 always."""
    return _draw(target_key) * 100 < rate_percent << 64


def least_rate(target_key: str) -> int:
    """The lowest rate in percent, 1 to 100, that samples the target."""
    return (_draw(target_key) * 100 >> 64) + 1


def _draw(target_key: str) -> int:
    return int.from_bytes(hashlib.sha256(DOMAIN + target_key.encode()).digest()[:8])
