"""Sampling: a hash of the target key decides whether a target is sampled.

The hash contains neither signal nor project. A higher rate therefore only adds targets, and two signals with one rate
sample the same targets.
"""

import hashlib
from uuid import UUID

# Keeps us independent of whatever a tracing SDK sampled by the same id before us. Changing it changes every sample.
DOMAIN = b"catalyst.signals.sampling.v1\0"


def trace_key(trace_id: UUID) -> str:
    """Return 32 hexadecimal digits."""
    return trace_id.hex


def span_key(trace_id: UUID, span_id: int) -> str:
    """Return the trace's key, a colon and 16 hexadecimal digits. `span_id` is the stored, signed number."""
    return f"{trace_id.hex}:{span_id & 0xFFFFFFFFFFFFFFFF:016x}"


def fraction(target_key: str) -> float:
    """Return the target's position in [0, 1). Every rate above it samples the target. For display."""
    return (_hash(target_key) >> 11) / (1 << 53)


def sampling_hash(target_key: str) -> int:
    """Return the hash as a signed 64-bit number, a short id of the target."""
    return _hash(target_key) - (1 << 63)


def is_sampled(target_key: str, rate_percent: int) -> bool:
    """Return whether a rate of 0 (never) to 100 (always) percent samples the target."""
    return _hash(target_key) * 100 < rate_percent << 64


def least_rate(target_key: str) -> int:
    """Return the lowest rate in percent, 1 to 100, that samples the target."""
    return (_hash(target_key) * 100 >> 64) + 1


def _hash(target_key: str) -> int:
    return int.from_bytes(hashlib.sha256(DOMAIN + target_key.encode()).digest()[:8])
