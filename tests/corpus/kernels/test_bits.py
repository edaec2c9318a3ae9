"""Bit operations against Python's integers."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from corpus.kernels.bits import count_ones, leading_zeros, low_bits, lowest_bit, rotate_left, trailing_zeros

ALL = (1 << 64) - 1
WORDS = st.integers(0, ALL) | st.integers(0, 63).map(lambda bit: 1 << bit) | st.sampled_from([0, ALL])


@njit
def counts(value: np.uint64) -> tuple[int, int, int, int]:
    return trailing_zeros(value), leading_zeros(value), count_ones(value), lowest_bit(value)


@njit
def turned(value: np.uint64, count: np.uint64) -> int:
    return rotate_left(value, count)


@njit
def lowest(count: np.uint64) -> int:
    return low_bits(count)


@settings(deadline=None)
@given(WORDS)
def test_counting(value: int) -> None:
    trailing = len(bin(value)) - len(bin(value).rstrip("0")) if value else 64
    expected = (trailing, 64 - value.bit_length(), value.bit_count(), value & -value)
    assert counts(np.uint64(value)) == expected


@settings(deadline=None)
@given(WORDS, st.integers(1, 63))
def test_rotating(value: int, count: int) -> None:
    assert turned(np.uint64(value), np.uint64(count)) == ((value << count) | (value >> (64 - count))) & ALL


@settings(deadline=None)
@given(st.integers(0, 200))
def test_low_bits(count: int) -> None:
    assert lowest(np.uint64(count)) == (1 << min(count, 64)) - 1
