"""Which targets a signal looks at."""

import hashlib
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.sampling import fraction, is_sampled, span_key, trace_key

KEYS = [trace_key(UUID(int=number)) for number in range(20_000)]


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 99))
def test_it_only_adds_targets_when_the_rate_is_raised(key: str, rate: int) -> None:
    assert is_sampled(key, rate + 1) >= is_sampled(key, rate)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_it_takes_nothing_at_0_and_everything_at_100_percent(key: str) -> None:
    assert not is_sampled(key, 0)
    assert is_sampled(key, 100)
    assert 0 <= fraction(key) < 1


@pytest.mark.parametrize("rate", [1, 10, 25, 50, 75])
def test_it_takes_the_share_it_is_asked_for(rate: int) -> None:
    taken = sum(is_sampled(key, rate) for key in KEYS)
    assert taken / len(KEYS) == pytest.approx(rate / 100, abs=0.01)
    assert taken == sum(fraction(key) < rate / 100 for key in KEYS)


def test_it_never_changes_its_mind_between_releases() -> None:
    key = "0af7651916cd43dd8448eb211c80319c"
    expected = int.from_bytes(hashlib.sha256(b"catalyst.signals.sampling.v1\0" + key.encode()).digest()[:8]) / 2**64
    assert fraction(key) == pytest.approx(expected)
    assert fraction(key) == pytest.approx(0.6203956151227844)


def test_it_is_independent_of_sampling_by_the_plain_id() -> None:
    sampled_before = [key for key in KEYS if hashlib.sha256(key.encode()).digest()[0] < 64]
    taken = sum(is_sampled(key, 25) for key in sampled_before)
    assert taken / len(sampled_before) == pytest.approx(0.25, abs=0.03)


def test_it_names_targets_by_hexadecimal_ids() -> None:
    trace_id = UUID("0af7651916cd43dd8448eb211c80319c")
    assert trace_key(trace_id) == "0af7651916cd43dd8448eb211c80319c"
    assert span_key(trace_id, -1) == "0af7651916cd43dd8448eb211c80319c:ffffffffffffffff"
